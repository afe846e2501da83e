"""A knob's value from what a file holds, and what is wrong with a point of a space, one sentence per fault.

A file holds numbers, words and truth values as YAML has them, or texts as CSV has them. Both mean the same values.
"""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from math import isfinite
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from search_spaces import SearchSpace
from search_spaces.faults import contains, describe
from search_spaces.knob import KnobValue

#: Points that agree in so many significant digits are one point.
DIGITS = 6

#: How far from a step of its grid a number may lie, in steps: rounding of decimal texts, not another value.
_OFF_GRID = 1e-6


def own_value(distribution: BaseDistribution, raw: object) -> KnobValue | None:
    """Return the value of the knob's own type that `raw` means; None where the knob has no such value."""
    match distribution:
        case CategoricalDistribution(choices=choices):
            # A word that is a choice means that choice, and not the number or the truth value that it could be read as.
            for same in (_is_choice, _reads_as):
                for choice in choices:
                    if choice is not None and same(choice, raw):
                        return choice
            return None
        case IntDistribution():
            number = _number(raw)
            whole = None if number is None or number != round(number) else round(number)
            return whole if contains(distribution, whole) else None
        case FloatDistribution(low=low, step=step):
            number = _number(raw)
            if number is not None and step is not None:
                place = round((number - low) / step)
                number = low + place * step if abs((number - low) / step - place) < _OFF_GRID else None
            return number if contains(distribution, number) else None
    raise AssertionError(distribution)


def point_of(space: SearchSpace, raw: Mapping[str, Any]) -> tuple[dict[str, KnobValue], list[str]]:
    """Return the point that `raw` means, and its faults; the point is whole where there are none.

    A point has every knob that exists at it, and no other. Whether a knob exists is not judged where the knob that
    decides it is at fault itself.
    """
    faults = unknown_knobs(space, raw)
    point: dict[str, KnobValue] = {}
    undecided: set[str] = set()
    for knob in space.tunable:
        rules = [rule for rule in space.conditions if rule.knob == knob.name]
        if undecided & {rule.parent for rule in rules}:
            undecided.add(knob.name)
        elif not space.is_active(knob.name, point):
            if knob.name in raw:
                faults.append(f"{knob.name} means nothing {where_absent(space, knob.name, point)}; leave it out")
        elif knob.name not in raw:
            faults.append(f"{knob.name} is missing; it must be {range_text(knob.distribution)}")
            undecided.add(knob.name)
        elif (value := own_value(knob.distribution, raw[knob.name])) is None:
            faults.append(f"{knob.name} must be {range_text(knob.distribution)}; got {raw[knob.name]!r}")
            undecided.add(knob.name)
        else:
            point[knob.name] = value
    return point, faults


def unknown_knobs(space: SearchSpace, names: Iterable[str]) -> list[str]:
    """Return one fault per name that the space does not search."""
    known = list(space.distributions)
    faults = []
    for name in names:
        if name in known:
            continue
        near = near_knob(space, name)
        meant = f"; did you mean {near}?" if near else ""
        faults.append(f"space {space.name} does not search {name!r}; it searches {', '.join(known)}{meant}")
    return faults


def near_knob(space: SearchSpace, name: str) -> str | None:
    """Return the knob of the space that `name` may be a misspelling of."""
    return next(iter(get_close_matches(str(name), list(space.distributions), n=1, cutoff=0.75)), None)


def where_absent(space: SearchSpace, name: str, point: Mapping[str, KnobValue]) -> str:
    """Say where in the space knob `name` does not exist: 'where use_kd is False', or 'without use_kd'."""
    unmet = [
        f"where {rule.parent} is {point[rule.parent]!r}" if rule.parent in point else f"without {rule.parent}"
        for rule in space.conditions
        if rule.knob == name and (rule.parent not in point or point[rule.parent] not in rule.values)
    ]
    return " and ".join(unmet)


def rounded(point: Mapping[str, KnobValue]) -> tuple[tuple[str, KnobValue], ...]:
    """Return what tells a point from others: its knobs by name, numbers to DIGITS significant digits."""
    return tuple(
        (name, float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value)
        for name, value in sorted(point.items())
    )


def range_text(distribution: BaseDistribution) -> str:
    """Return what a value of the knob must be, in words: 'a number in [1.0, 8.0], log scale'."""
    words = describe(distribution)
    return words if isinstance(distribution, CategoricalDistribution) else f"a number in {words}"


def _is_choice(choice: object, raw: object) -> bool:
    return type(choice) is type(raw) and choice == raw


def _reads_as(choice: object, raw: object) -> bool:
    if isinstance(choice, bool):
        return isinstance(raw, str) and raw.strip().lower() == str(choice).lower()
    if isinstance(choice, int | float):
        return _number(raw) == choice
    return isinstance(raw, str) and raw.strip() == choice


def _number(raw: object) -> float | None:
    """Return the finite number that `raw` is or spells; None for anything else, truth values included."""
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        return None
    try:
        number = float(raw)
    except (ValueError, OverflowError):
        return None
    return number if isfinite(number) else None
