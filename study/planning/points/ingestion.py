"""What trials of another tool are worth as evidence: each becomes a point of a space with a value, or is left out."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from optuna.trial import TrialState

from search_spaces import SearchSpace
from search_spaces.knob import KnobValue
from study.planning.points.foreign_trials import ForeignStudy, ForeignTrial
from study.planning.points.knob_values import near_knob, own_value, point_of, range_text, where_absent
from study.strategy.evidence import Evidence
from trainables.cckd.errors import UsageError

#: What a value is -> the direction in which it is better, and how it becomes a balanced accuracy (fraction): the
#: number from which it is taken, its sign, and its scale.
VALUE_KINDS: Mapping[str, tuple[str, float, float, float]] = {
    "accuracy": ("maximize", 0.0, 1.0, 1.0),
    "accuracy_percent": ("maximize", 0.0, 1.0, 100.0),
    "error": ("minimize", 1.0, -1.0, 1.0),
    "error_percent": ("minimize", 1.0, -1.0, 100.0),
}


@dataclass(frozen=True)
class Ingested:
    """What becomes of a source.

    Attributes:
        evidence: the trials that are points of the space with a value.
        left_out: (number of the trial, why) of all others, the first reason of each.
        ignored: what was not read -> trials that have it: columns that are no knobs, knobs that mean nothing there.
    """

    evidence: tuple[Evidence, ...]
    left_out: tuple[tuple[int, str], ...]
    ignored: Mapping[str, int]

    @property
    def reasons(self) -> dict[str, list[int]]:
        """Why trials are left out, without their own values -> the numbers of these trials; most frequent first."""
        found: dict[str, list[int]] = {}
        for number, reason in self.left_out:
            found.setdefault(reason.partition("; got ")[0], []).append(number)
        return dict(sorted(found.items(), key=lambda item: -len(item[1])))


def ingest(source: ForeignStudy, space: SearchSpace, fixed: Mapping[str, str], value_is: str) -> Ingested:
    """Judge every trial of a source.

    Args:
        source: with the names of the space's knobs.
        space: the space of the study to come.
        fixed: knobs that the source does not have -> the value that they had in all its trials, as a text.
        value_is: one of VALUE_KINDS.

    Raises:
        UsageError: a fixed knob is none of the space, is in the source, or has no such value; the source's direction
            is the other one.
    """
    faults = [
        f"--set {name}: {fault}" for name, text in fixed.items() for fault in _set_faults(name, text, source, space)
    ]
    better = VALUE_KINDS[value_is][0]
    if source.direction not in (None, better):
        fitting = ", ".join(kind for kind, (direction, *_) in VALUE_KINDS.items() if direction == source.direction)
        faults.append(f"--value-is must be one of {fitting}, for {source} is to {source.direction}; got {value_is!r}")
    if faults:
        raise UsageError(faults)
    evidence, left_out, ignored = [], [], Counter[str]()
    for trial in source.trials:
        known = {name: raw for name, raw in trial.fields.items() if name in space.distributions}
        ignored.update(_strange(name, space) for name in trial.fields if name not in known)
        known, absent = _present(space, {**known, **fixed})
        ignored.update(reason for name, reason in absent.items() if name in trial.fields)
        value, reason = _value(trial, value_is)
        point, wrong = point_of(space, known)
        if value is not None and not wrong:
            evidence.append(Evidence(trial.number, point, None, value))
        else:
            left_out.append((trial.number, reason or wrong[0]))
    return Ingested(tuple(evidence), tuple(left_out), dict(ignored.most_common()))


def _strange(name: str, space: SearchSpace) -> str:
    near = near_knob(space, name)
    return f"{name}, which is no knob of the space" + (f"; --rename {name}={near} if it is {near}" if near else "")


def _set_faults(name: str, text: str, source: ForeignStudy, space: SearchSpace) -> list[str]:
    if name not in space.distributions:
        return [f"space {space.name} searches {', '.join(space.distributions)}; got {name!r}"]
    if name in source.columns:
        return [f"{source} has {name} itself; drop --set"]
    if own_value(space.distributions[name], text) is None:
        return [f"it must be {range_text(space.distributions[name])}; got {text!r}"]
    return []


def _present(space: SearchSpace, raw: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return what exists of a trial's knobs, and why the others do not: other tools name knobs that are off too."""
    point: dict[str, KnobValue] = {}
    absent: dict[str, str] = {}
    for knob in space.tunable:
        if knob.name not in raw:
            continue
        parents = [rule.parent for rule in space.conditions if rule.knob == knob.name]
        if space.is_active(knob.name, point):
            value = own_value(knob.distribution, raw[knob.name])
            point |= {} if value is None else {knob.name: value}
        elif all(parent in point or parent in absent for parent in parents):
            absent[knob.name] = f"{knob.name} {where_absent(space, knob.name, point)}"
    return {name: value for name, value in raw.items() if name not in absent}, absent


def _value(trial: ForeignTrial, value_is: str) -> tuple[float | None, str]:
    """Return the balanced accuracy of a trial as a fraction; None, and the reason, where it has none."""
    if trial.state != TrialState.COMPLETE.name:
        return None, f"its state is {trial.state}, and only a complete trial is evidence"
    _, origin, sign, scale = VALUE_KINDS[value_is]
    try:
        number = float(str(trial.value))
    except ValueError:
        number = float("nan")
    if trial.value is None or not isfinite(number):
        return None, f"its value must be a number; got {trial.value!r}"
    value = origin + sign * number / scale
    if not 0.0 <= value <= 1.0:
        return None, f"its value must be from 0 to {scale:g} (--value-is {value_is}); got {trial.value!r}"
    return value, ""
