"""The corners of a space: the points at which a fault of one of its values shows."""

from collections.abc import Mapping

from optuna.distributions import CategoricalDistribution

from search_spaces.knob import Knob, KnobValue
from search_spaces.space import SearchSpace


def ends(knob: Knob) -> tuple[KnobValue, ...]:
    """Return both ends of the knob's range, or all of its choices."""
    distribution = knob.distribution
    if isinstance(distribution, CategoricalDistribution):
        return tuple(choice for choice in distribution.choices if choice is not None)
    return distribution.low, distribution.high  # type: ignore[attr-defined]


def corner_points(space: SearchSpace) -> list[dict[str, KnobValue]]:
    """Return the reference point, then points with one knob at an end, then the point with all knobs that reach 0 at 0.

    The other knobs stand at their reference values. For the ends of a conditional knob, its parents have the first
    values that it needs.
    """
    single = [{knob.name: end} | _needed(space, knob.name) for knob in space.tunable for end in ends(knob)]
    zeros: dict[str, KnobValue] = {
        knob.name: end for knob in space.tunable for end in ends(knob) if end == 0 and type(end) is not bool
    }
    together = [zeros] if len(zeros) > 1 else []
    return [_point(space, chosen) for chosen in (dict[str, KnobValue](), *single, *together)]


def _point(space: SearchSpace, chosen: Mapping[str, KnobValue]) -> dict[str, KnobValue]:
    """The point with the values `chosen` and the reference values of the other knobs that exist beside them."""
    point: dict[str, KnobValue] = {}
    for knob in space.tunable:
        if space.is_active(knob.name, point):
            point[knob.name] = chosen.get(knob.name, knob.reference)
    return point


def _needed(space: SearchSpace, name: str) -> dict[str, KnobValue]:
    """Values of the parents of knob `name`, and of their parents, with which the knob is active."""
    found: dict[str, KnobValue] = {}
    for rule in space.conditions:
        if rule.knob == name:
            found |= {rule.parent: rule.values[0]} | _needed(space, rule.parent)
    return found
