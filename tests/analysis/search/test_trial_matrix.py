"""Positions of knob values on their searched scale."""

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from analysis.search.trial_matrix import numeric_position, position
from search_spaces.knob import Knob

LOG = Knob("weight", FloatDistribution(0.1, 10.0, log=True), "1", "a factor", 1.0)
PLAIN = Knob("ratio", FloatDistribution(0.0, 1.0), "1", "a share", 0.5)
CHOICE = Knob("op", CategoricalDistribution(("mixup", "cutmix")), "1", "a choice", "mixup")
SINGLE = Knob("s", FloatDistribution(0.5, 0.5), "1", "a reason", 0.5)


def test_position_is_on_the_knobs_scale() -> None:
    assert position(LOG, 1.0) == numeric_position(LOG, 1.0) == pytest.approx(0.5)
    assert position(PLAIN, 0.25) == numeric_position(PLAIN, 0.25) == 0.25


def test_a_choice_has_its_place_among_the_choices_but_no_numeric_position() -> None:
    first, last = CHOICE.distribution.choices[0], CHOICE.distribution.choices[-1]
    assert (position(CHOICE, first), position(CHOICE, last)) == (0.0, 1.0)
    assert np.isnan(position(CHOICE, "unknown"))
    assert np.isnan(numeric_position(CHOICE, first))


def test_a_range_of_one_number_has_no_position() -> None:
    assert np.isnan(position(SINGLE, 0.5))
    assert np.isnan(numeric_position(SINGLE, 0.5))


def test_a_value_beyond_its_range_is_kept_within_0_and_1() -> None:
    assert numeric_position(PLAIN, 2.0) == 1.0
