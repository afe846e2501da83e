"""What a file holds means a knob's value, or is refused by rule, value and choices."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from search_spaces import SearchSpace, list_spaces
from search_spaces.acckd import ACCKD_FULL
from search_spaces.faults import contains
from study.planning.points.knob_values import own_value, point_of, rounded
from study.strategy.space_filling import at_fraction

KNOBS = {knob.name: knob for space in list_spaces() for knob in space.tunable}


@given(name=st.sampled_from(sorted(KNOBS)), fraction=st.floats(0, 1))
def test_a_value_of_a_knob_is_read_back_from_itself_and_from_its_text(name: str, fraction: float) -> None:
    distribution = KNOBS[name].distribution
    value = at_fraction(distribution, fraction)
    for raw in (value, str(value), f" {value} "):
        found = own_value(distribution, raw)
        assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize("name", sorted(KNOBS))
@pytest.mark.parametrize("raw", [None, "", "nan", "inf", math.nan, -math.inf, [1], {"a": 1}, "1e999", 10**400])
def test_what_is_no_value_of_any_knob_is_none(name: str, raw: object) -> None:
    assert own_value(KNOBS[name].distribution, raw) is None


@pytest.mark.parametrize(
    ("distribution", "raw", "value"),
    [
        (FloatDistribution(0.5, 1.5), 1, 1.0),
        (FloatDistribution(0.5, 1.5), math.nextafter(1.5, 2), None),
        (FloatDistribution(0.5, 1.5), True, None),
        (FloatDistribution(0.0, 1.0, step=0.1), "0.3", 3 * 0.1),
        (FloatDistribution(0.0, 1.0, step=0.1), 0.35, None),
        (IntDistribution(1, 4), "3", 3),
        (IntDistribution(1, 4), 3.0, 3),
        (IntDistribution(1, 4), 2.5, None),
        (IntDistribution(1, 4), 5, None),
        (IntDistribution(0, 8, step=4), 2, None),
        (CategoricalDistribution((False, True)), "TRUE", True),
        (CategoricalDistribution((False, True)), 1, None),
        (CategoricalDistribution((32, 64)), 64.0, 64),
        (CategoricalDistribution((0.9, 0.99)), "0.99", 0.99),
        (CategoricalDistribution((0.9, 0.99)), 0.991, None),
        (CategoricalDistribution(("no", "yes")), False, None),
        (CategoricalDistribution(("1", 1)), 1, 1),
        (CategoricalDistribution(("1", 1)), "1", "1"),
    ],
    ids=repr,
)
def test_a_value_has_the_knobs_own_type(distribution, raw: object, value: object) -> None:
    found = own_value(distribution, raw)
    assert (found, type(found)) == (value, type(value))
    assert found is None or contains(distribution, found)


def test_a_whole_point_has_no_fault_whatever_its_order(space: SearchSpace) -> None:
    raw = {"inner": "2", "switch": "true", "depth": 3, "lr": 0.1, "tau": "1"}
    assert point_of(space, raw) == ({"tau": 1.0, "lr": 0.1, "depth": 3, "switch": True, "inner": 2.0}, [])


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"tau": 2}, "tau must be a number in [0.5, 1.5]; got 2"),
        ({"tau": None}, "tau is missing; it must be a number in [0.5, 1.5]"),
        ({"switch": "maybe"}, "switch must be one of False, True; got 'maybe'"),
        ({"inner": 2}, "inner means nothing where switch is False; leave it out"),
        ({"switch": True}, "inner is missing; it must be a number in [0.1, 10.0], log scale"),
        (
            {"dpth": 2},
            "space toy does not search 'dpth'; it searches tau, lr, depth, switch, inner; did you mean depth?",
        ),
    ],
    ids=lambda value: str(value)[:30],
)
def test_each_fault_of_a_point_is_one_sentence(space: SearchSpace, change: dict, fault: str) -> None:
    raw = {"tau": 1, "lr": 0.1, "depth": 3, "switch": False} | change
    _, faults = point_of(space, {name: value for name, value in raw.items() if value is not None})
    assert faults == [fault]


def test_a_knob_is_not_judged_where_what_decides_on_it_is_at_fault(space: SearchSpace) -> None:
    for inner in ({}, {"inner": 2}):
        _, faults = point_of(space, {"tau": 1, "lr": 0.1, "depth": 3, "switch": 7, **inner})
        assert len(faults) == 1


def test_points_differ_in_six_digits_or_are_one() -> None:
    point = ACCKD_FULL.reference_point()
    name = "temperature"
    assert rounded(point) == rounded({**dict(reversed(point.items())), name: point[name] * (1 + 1e-8)})
    assert rounded(point) != rounded({**point, name: point[name] * (1 + 1e-4)})
