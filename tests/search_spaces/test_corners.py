import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from search_spaces.corners import corner_points, ends
from search_spaces.knob import Condition, Knob
from search_spaces.registry import list_spaces
from search_spaces.space import SearchSpace

A = Knob("a", FloatDistribution(0.0, 2.0), "1", "because", 1.0)
B = Knob("b", FloatDistribution(0.0, 1.0), "1", "because", 0.5)
SWITCH = Knob("switch", CategoricalDistribution((False, True)), "choice", "because", False)
LAST = Knob("last", FloatDistribution(3.0, 4.0), "1", "because", 3.5)


def test_every_end_is_visited_alone_and_all_zeros_together() -> None:
    space = SearchSpace("s", "?", "la", (A, B), 5)
    assert corner_points(space) == [
        {"a": 1.0, "b": 0.5},
        {"a": 0.0, "b": 0.5},
        {"a": 2.0, "b": 0.5},
        {"a": 1.0, "b": 0.0},
        {"a": 1.0, "b": 1.0},
        {"a": 0.0, "b": 0.0},
    ]


def test_the_ends_of_a_conditional_knob_come_with_what_it_needs() -> None:
    space = SearchSpace("s", "?", "la", (SWITCH, LAST), 5, conditions=(Condition("last", "switch", (True,)),))
    assert corner_points(space) == [
        {"switch": False},
        {"switch": False},
        {"switch": True, "last": 3.5},
        {"switch": True, "last": 3.0},
        {"switch": True, "last": 4.0},
    ]


@pytest.mark.parametrize("space", list_spaces(), ids=lambda space: space.name)
def test_both_ends_of_every_knob_are_visited(space: SearchSpace) -> None:
    points = corner_points(space)
    assert points[0] == space.reference_point()
    for knob in space.tunable:
        assert set(ends(knob)) <= {point[knob.name] for point in points if knob.name in point}
