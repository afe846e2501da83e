"""The faults of a search space, one sentence each."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from search_spaces.knob import Condition, Knob, KnobValue

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


def space_faults(
    name: str,
    tunable: Sequence[Knob],
    default_trials: int,
    fixed: Mapping[str, KnobValue],
    conditions: Sequence[Condition],
) -> list[str]:
    """Return every contradiction between these parts of a space; empty where it is sound."""
    return [
        *_head_faults(name, tunable, default_trials, fixed),
        *_knob_faults(tunable, fixed),
        *_condition_faults(tunable, conditions),
    ]


def contains(distribution: BaseDistribution, value: object) -> bool:
    """Return whether `distribution` can return `value`: the right type, in the range, on the grid."""
    match distribution:
        case CategoricalDistribution(choices=choices):
            return any(value == choice and type(value) is type(choice) for choice in choices)
        case IntDistribution(low=low, high=high, step=step):
            return type(value) is int and low <= value <= high and (value - low) % step == 0
        case FloatDistribution(low=low, high=high, step=step):
            if type(value) is not float or not low <= value <= high:
                return False
            return step is None or abs((value - low) / step - round((value - low) / step)) < 1e-8
    return False


def describe(distribution: BaseDistribution) -> str:
    """Return the range in words, for messages and tables: '[1.0, 8.0], log scale'."""
    match distribution:
        case CategoricalDistribution(choices=choices):
            return "one of " + ", ".join(map(repr, choices))
        case IntDistribution(low=low, high=high, step=step) | FloatDistribution(low=low, high=high, step=step):
            scale = ", log scale" if distribution.log else ""
            grid = f", step {step}" if step not in (None, 1) else ""
            return f"[{low}, {high}]{scale}{grid}"
    return repr(distribution)


def _head_faults(
    name: str, tunable: Sequence[Knob], default_trials: int, fixed: Mapping[str, KnobValue]
) -> Iterator[str]:
    if not _NAME.fullmatch(name):
        yield f"a name is 1 to 64 of A-Z a-z 0-9 . _ -; got {name!r}"
    if not tunable:
        yield "at least one knob must be searched"
    if default_trials < 1:
        yield f"default_trials must be at least 1; got {default_trials}"
    if "method" in fixed:
        yield "the method is named by `method`, not among the fixed values"


def _knob_faults(tunable: Sequence[Knob], fixed: Mapping[str, KnobValue]) -> Iterator[str]:
    for knob_name, count in Counter(knob.name for knob in tunable).items():
        if count > 1:
            yield f"knob {knob_name!r} is searched {count} times"
        if knob_name in fixed:
            yield f"knob {knob_name!r} is both searched and fixed (at {fixed[knob_name]!r})"
    for knob in tunable:
        known = isinstance(knob.distribution, FloatDistribution | IntDistribution | CategoricalDistribution)
        choices = getattr(knob.distribution, "choices", ())
        if not known:
            yield f"knob {knob.name!r} has no range Optuna knows; got {knob.distribution!r}"
        elif not all(isinstance(choice, bool | int | float | str) for choice in choices):
            yield f"the choices of knob {knob.name!r} must be numbers, strings or booleans; got {choices!r}"
        elif len(set(choices)) < len(choices):  # 1, 1.0 and True are one value, which a grid would try three times
            yield f"the choices of knob {knob.name!r} must differ in value; got {choices!r}"
        elif not contains(knob.distribution, knob.reference):
            yield (
                f"the reference value of knob {knob.name!r} must lie in its range "
                f"({describe(knob.distribution)}) and be of its type; got {knob.reference!r}"
            )
        if not knob.reason or not knob.unit:
            yield f"knob {knob.name!r} needs a unit and a reason"


def _condition_faults(tunable: Sequence[Knob], conditions: Sequence[Condition]) -> Iterator[str]:
    order = {knob.name: place for place, knob in enumerate(tunable)}
    for rule in conditions:
        missing = [name for name in (rule.knob, rule.parent) if name not in order]
        if missing:
            for name in missing:
                yield f"a condition names {name!r}, which is not searched; searched: {', '.join(order)}"
        elif order[rule.parent] >= order[rule.knob]:
            yield f"{rule.parent!r} must stand before {rule.knob!r}, which depends on it"
        else:
            parent = tunable[order[rule.parent]].distribution
            for value in rule.values:
                if not contains(parent, value):
                    yield (
                        f"{rule.knob!r} depends on {rule.parent!r} being {value!r}, which it never is "
                        f"({describe(parent)})"
                    )
        if not rule.values:
            yield f"the condition of {rule.knob!r} on {rule.parent!r} lists no value, so it could never hold"
