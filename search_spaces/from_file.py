"""A user's own space from a YAML file; `example.yaml` beside this file shows every key.

The file is checked in two steps: each entry against the schema below, then the valid entries against the rules of every
space (`faults.py`). The faults of both steps are reported together. The knobs of a method are not known here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, Literal

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from search_spaces.faults import space_faults
from search_spaces.knob import Condition, Knob, KnobValue, SpaceError
from search_spaces.space import SearchSpace
from search_spaces.yaml_text import read_yaml

EXAMPLE = Path(__file__).with_name("example.yaml")

_Scalar = bool | int | float | str


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _File(_Strict):
    """The keys of the file; its knobs are checked one by one."""

    name: str
    purpose: str = Field(min_length=1)
    method: str
    trials: int = Field(ge=1)
    knobs: dict[str, Any] = Field(min_length=1)
    fixed: dict[str, _Scalar] = {}


class _Entry(_Strict):
    """One knob: a range of numbers or choices."""

    range: list[int | float] | None = Field(None, min_length=2, max_length=2)
    type: Literal["float", "int"] | None = None
    scale: Literal["linear", "log"] | None = None
    step: int | float | None = None
    choices: list[_Scalar] | None = Field(None, min_length=1)
    unit: str = Field(min_length=1)
    reason: str = Field(min_length=1)
    reference: _Scalar
    only_where: dict[str, _Scalar | list[_Scalar]] = {}

    def faults(self) -> Iterator[str]:
        """Yield the contradictions in an entry whose keys are valid."""
        if (self.range is None) == (self.choices is None):
            yield "must have either range or choices"
        if self.range is None:
            given = [key for key in ("type", "scale", "step") if getattr(self, key) is not None]
            if given:
                yield f"{', '.join(given)} goes with range"
        else:
            yield from self._range_faults(*self.range)
        if self.choices is not None and len(set(self.choices)) < len(self.choices):
            yield f"choices must differ in value; got {self.choices}"

    def _range_faults(self, low: float, high: float) -> Iterator[str]:
        step = self.step
        if not all(isfinite(end) for end in (low, high)) or not low < high:
            yield f"range must rise from one finite number to another; got [{low}, {high}]"
            return
        if self.type == "int" and any(isinstance(part, float) for part in (low, high, step)):
            yield f"range and step must be whole numbers where type is int; got [{low}, {high}], step {step}"
        if self.scale == "log" and low <= 0:
            yield f"range must begin above 0 where scale is log; got [{low}, {high}]"
        if self.scale == "log" and step is not None:
            yield "step and scale log exclude each other"
        if step is None:
            return
        if not 0 < step <= high - low:
            yield f"step must be above 0 and within the range; got {step}"
        elif abs((high - low) / step - round((high - low) / step)) > 1e-8:
            yield f"steps of {step} must lead from {low} to {high} exactly"

    def knob(self, name: str) -> Knob:
        """Return the knob of an entry without faults."""
        reference: KnobValue = self.reference
        if self.range is not None and self.type != "int" and type(reference) is int:
            reference = float(reference)
        return Knob(name, self._distribution(), self.unit, self.reason, reference)

    def conditions(self, name: str) -> list[Condition]:
        """Return the conditions of the knob."""
        return [
            Condition(name, parent, tuple(values) if isinstance(values, list) else (values,))
            for parent, values in self.only_where.items()
        ]

    def _distribution(self) -> BaseDistribution:
        if self.choices is not None:
            return CategoricalDistribution(tuple(self.choices))
        assert self.range is not None, "an entry without faults has a range or choices"
        low, high, log = *self.range, self.scale == "log"
        if self.type == "int":
            return IntDistribution(int(low), int(high), log=log, step=1 if self.step is None else int(self.step))
        return FloatDistribution(low, high, log=log, step=self.step)


@dataclass(frozen=True)
class SpaceDraft:
    """The content of a space file with its faults; the attributes of a SearchSpace hold the valid parts.

    Attributes:
        faults: one sentence each, without the name of the file; empty where the space is valid.
        named: every knob in the file, valid or not.
    """

    name: str
    purpose: str
    method: str | None
    tunable: tuple[Knob, ...]
    default_trials: int
    fixed: Mapping[str, KnobValue]
    conditions: tuple[Condition, ...]
    named: tuple[str, ...]
    faults: tuple[str, ...]

    def space(self) -> SearchSpace:
        """Return the space of a draft without faults."""
        assert self.method is not None, "a draft without a method has that fault"
        return SearchSpace(
            self.name, self.purpose, self.method, self.tunable, self.default_trials, self.fixed, self.conditions
        )


def read_draft(path: Path) -> SpaceDraft:
    """Read a space file and check it by itself.

    Raises:
        SpaceError: the file cannot be read or is not YAML.
    """
    plain = read_yaml(path)
    if isinstance(plain, dict) and isinstance(plain.get("space"), dict):
        plain = plain["space"]  # the file is a whole study's
    if not isinstance(plain, dict):
        raise SpaceError(f"{path}: a space file holds keys and values (name, method, knobs, ...)")
    faults = _schema_faults(_File, plain, "")
    entries = plain["knobs"] if isinstance(plain.get("knobs"), dict) else {}
    tunable: list[Knob] = []
    conditions: list[Condition] = []
    for name, entry in entries.items():
        label = f"knobs.{name}"
        found = _schema_faults(_Entry, entry, f"{label}.")
        if not found:
            checked = _Entry.model_validate(entry)
            found = [f"{label}: {fault}" for fault in checked.faults()]
            if not found:
                tunable.append(checked.knob(str(name)))
                conditions += checked.conditions(str(name))
        faults += found
    named = tuple(str(name) for name in entries)
    lost = set(named) - {knob.name for knob in tunable}
    draft = SpaceDraft(
        name=_text(plain, "name", "unnamed"),
        purpose=_text(plain, "purpose", "?"),
        method=_text(plain, "method", None),
        tunable=tuple(tunable),
        default_trials=plain["trials"] if type(plain.get("trials")) is int else 1,
        fixed=_fixed(plain),
        conditions=tuple(rule for rule in conditions if rule.parent not in lost),
        named=named,
        faults=(),
    )
    if draft.tunable:
        known = " ".join(faults)  # the schema reports a missing or wrong `trials` more clearly
        faults += [
            fault
            for fault in space_faults(draft.name, draft.tunable, draft.default_trials, draft.fixed, draft.conditions)
            if "default_trials" not in fault or "trials" not in known
        ]
    return SpaceDraft(**{**vars(draft), "faults": tuple(faults)})


def file_content(space: SearchSpace) -> dict[str, Any]:
    """Return what a file of this space holds, plain types only; `read_draft` of it gives the same space."""
    knobs = {}
    for knob in space.tunable:
        entry: dict[str, Any] = {}
        match knob.distribution:
            case CategoricalDistribution(choices=choices):
                entry["choices"] = list(choices)
            case FloatDistribution(low=low, high=high, log=log, step=step):
                entry |= {"range": [low, high]} | ({"scale": "log"} if log else {}) | ({"step": step} if step else {})
            case IntDistribution(low=low, high=high, log=log, step=step):
                entry |= {"range": [low, high], "type": "int"}
                entry |= {"scale": "log"} if log else {"step": step}
        only_where = {rule.parent: list(rule.values) for rule in space.conditions if rule.knob == knob.name}
        entry |= {"unit": knob.unit, "reason": knob.reason, "reference": knob.reference}
        knobs[knob.name] = entry | ({"only_where": only_where} if only_where else {})
    return {
        "name": space.name,
        "purpose": space.purpose,
        "method": space.method,
        "trials": space.default_trials,
        "knobs": knobs,
        "fixed": dict(space.fixed),
    }


def _schema_faults(model: type[_Strict], plain: Any, prefix: str) -> list[str]:
    try:
        model.model_validate(plain)
    except ValidationError as error:
        return list(dict.fromkeys(_fault(model, dict(fault), prefix) for fault in error.errors()))
    return []


def _fault(model: type[_Strict], fault: dict[str, Any], prefix: str) -> str:
    where = prefix + ".".join(str(part) for part in fault["loc"][:1])
    match fault["type"]:
        case "missing":
            return f"{where} is missing"
        case "extra_forbidden":
            return f"{where} is no key; keys are {', '.join(model.model_fields)}"
        case "model_type":
            return f"{prefix.rstrip('.')} must hold {', '.join(model.model_fields)}; got {fault['input']!r}"
    return f"{where}: {fault['msg'][0].lower()}{fault['msg'][1:]}; got {str(fault['input'])[:80]!r}"


def _text(plain: Mapping[str, Any], key: str, default: Any) -> Any:
    return plain[key] if isinstance(plain.get(key), str) else default


def _fixed(plain: Mapping[str, Any]) -> dict[str, KnobValue]:
    fixed = plain.get("fixed")
    if not isinstance(fixed, dict):
        return {}
    return {str(key): value for key, value in fixed.items() if isinstance(value, bool | int | float | str)}
