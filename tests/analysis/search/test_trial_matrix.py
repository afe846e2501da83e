"""Trials as numbers: positions on the searched scale, stages of the search, values drawn in."""

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import create_trial

from analysis.search.trial_matrix import drawn_in, n_learned, numeric_position, position, stages
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


def test_stages_tell_the_trials_that_open_a_search_and_the_users_own_from_the_others() -> None:
    kinds = ("reference", "sobol", "lhs", "tpe", "gp", "", "points")
    trials = [create_trial(value=1.0, user_attrs={"kind": kind}) for kind in kinds]
    assert stages(trials).tolist() == [0, 0, 0, 1, 1, 1, 2]
    assert n_learned(trials) == 2


def test_values_beyond_the_fences_are_drawn_in_and_the_far_ones_are_told() -> None:
    y = np.array([0.0, 4.0, 5.0, 6.0, 7.0, 8.0, 13.0, 30.0])
    lower, upper = np.quantile(y, [0.25, 0.75])
    drawn, near = drawn_in(y)
    assert (lower, upper) == (4.75, 9.25)
    assert drawn.tolist() == [0.0, 4.0, 5.0, 6.0, 7.0, 8.0, 13.0, 16.0]
    assert near.tolist() == [True] * 7 + [False]
