"""Trials as numbers: positions on the searched scale, stages of the search, values drawn in."""

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import create_trial

from analysis.search.trial_matrix import (
    drawn_in,
    n_learned,
    numeric_position,
    position,
    stages,
    told_value,
    values_between,
)
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


def _number(low: float, high: float, *, log: bool = False, step: float | None = None) -> Knob:
    return Knob("k", FloatDistribution(low, high, log=log, step=step), "1", "a reason", low)


def _whole(low: int, high: int, *, log: bool = False, step: int = 1) -> Knob:
    return Knob("k", IntDistribution(low, high, log=log, step=step), "1", "a reason", low)


@pytest.mark.parametrize(
    ("knob", "expected"),
    [
        (_whole(1, 8, log=True), (1, 2, 3, 4, 5, 6, 7, 8)),
        (_whole(8, 128, step=40), (8, 48, 88, 128)),
        (_number(0.1, 0.5, step=0.1), (0.1, 0.2, 0.3, 0.4, 0.5)),
    ],
)
def test_a_step_leaves_the_values_that_a_trial_can_have(knob: Knob, expected: tuple[float, ...]) -> None:
    values = values_between(knob, 0, 1, 61)
    assert values == expected
    assert [type(value) for value in values] == [type(value) for value in expected]
    assert values_between(knob, position(knob, expected[1]), position(knob, expected[2]), 61) == expected[1:3]
    assert all(told_value(knob, values, place) == value for place, value in enumerate(values))


@pytest.mark.parametrize("knob", [_number(0.9, 0.999), _number(1e-4, 1.0, log=True), _number(-3.0, 250.0)])
def test_a_told_value_lies_nearest_to_its_own_place_and_in_the_range(knob: Knob) -> None:
    values, spec = values_between(knob, 0, 1, 61), knob.distribution
    assert isinstance(spec, FloatDistribution)
    for place in range(61):
        told = told_value(knob, values, place)
        assert np.abs(np.array(values) - told).argmin() == place
        assert spec.low <= told <= spec.high
        assert len(repr(told)) <= len(repr(values[place]))


def test_a_told_value_has_as_few_digits_as_its_neighbours_allow() -> None:
    narrow = _number(0.9, 0.999)
    assert told_value(narrow, (0.994, 0.99571, 0.9974), 1) == 0.996
    assert told_value(_number(0.0, 8.0), (1.0, 1.12891, 1.25), 1) == 1.1
    assert told_value(_number(0.0, 8.0), (1.12891,), 0) == 1.1


@pytest.mark.parametrize("y", [[0.0] * 31 + [0.4] * 9, [0.1] * 9 + [0.9] * 31, [0.4] * 9 + [0.5] * 22 + [0.6] * 9])
def test_where_the_quartiles_tie_every_value_stays(y: list[float]) -> None:
    drawn, near = drawn_in(np.array(y))
    assert drawn.tolist() == y
    assert near.all()
