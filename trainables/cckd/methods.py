"""The knobs of the objective, one row per knob, and the ladder of methods: which knobs each rung uses.

A method refuses a knob that it does not use. Ignored, such a knob would look insensitive in a sensitivity study.
This imports no torch: the search spaces and the driver read it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, isfinite
from types import MappingProxyType
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo

KnobValue = float | int | str | bool


@dataclass(frozen=True)
class Domain:
    """The legal values of one knob (wider than any searched range), and its reference value.

    Attributes:
        reference: the value of the method's own page.
        rule: the legal values in words, for messages.
        low, high: the ends of a number's range, which belong to it unless `low_open` or `high_open`.
        choices: the legal values of a knob that is no number.
    """

    reference: KnobValue
    rule: str
    low: float = -inf
    high: float = inf
    low_open: bool = False
    high_open: bool = False
    choices: tuple[KnobValue, ...] = ()

    def fault(self, name: str, value: object) -> str | None:
        """Return one sentence naming the rule and the value, or None where `value` is legal."""
        if self.choices:
            legal = any(value == choice and type(value) is type(choice) for choice in self.choices)
            return None if legal else f"{name} must be {self.rule}; got {value!r}"
        if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
            return f"{name} must be {self.rule}; got {value!r}"
        above = value > self.low if self.low_open else value >= self.low
        below = value < self.high if self.high_open else value <= self.high
        return None if above and below else f"{name} must be {self.rule}; got {value!r}"


def _number(
    reference: float,
    rule: str,
    low: float,
    high: float = inf,
    *,
    inert: float | None = None,
    low_open: bool = False,
    high_open: bool = False,
) -> Any:
    """The row of a number: `inert` is the value in a method that does not use the knob, None for the reference."""
    domain = Domain(reference, rule, low, high, low_open, high_open)
    return Field(reference if inert is None else inert, json_schema_extra={"domain": domain})  # type: ignore[dict-item]


def _weight() -> Any:
    return _number(1.0, "a finite number >= 0", 0.0, inert=0.0)


class Knobs(BaseModel):
    """The knobs of the objective (symbols as in docs/method.md), each with its type and its row."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    tau: float = _number(1.0, "a finite number >= 0 (strength of logit adjustment)", 0.0, inert=0.0)
    temperature: float = _number(2.0, "a finite number > 0", 0.0, low_open=True)
    estimator: Literal["batch", "prior"] = "batch"
    use_kd: bool = False
    kd_weight: float = _weight()
    cckd_weight: float = _weight()
    mix_ratio: float = _number(
        0.5, "in [0, 1): the share of mixed samples in a step", 0.0, 1.0, inert=0.0, high_open=True
    )
    mix_weight: float = _weight()
    mix_alpha: float = _number(0.5, "a finite number > 0 (both parameters of the Beta)", 0.0, low_open=True)
    mix_op: Literal["mixup", "cutmix"] = "mixup"
    mix_targets: Literal["interpolate", "forward"] = "interpolate"
    cckd_mix_weight: float = _weight()
    feature_weight: float = _weight()


def _domain(field: FieldInfo) -> Domain:
    if isinstance(field.json_schema_extra, dict):
        domain: Any = field.json_schema_extra["domain"]
        return domain
    choices = (True, False) if field.annotation is bool else get_args(field.annotation)
    rule = "true or false" if field.annotation is bool else " or ".join(map(repr, choices))
    return Domain(field.default, rule, choices=choices)


#: Knob -> its legal values and its reference.
KNOBS: Mapping[str, Domain] = MappingProxyType({name: _domain(field) for name, field in Knobs.model_fields.items()})

_LA = ("tau",)
_KD = (*_LA, "temperature", "kd_weight")
_CCKD = (*_LA, "temperature", "estimator", "cckd_weight", "use_kd")
_NO_FI = (*_CCKD, "mix_ratio", "mix_weight", "mix_alpha", "mix_op", "mix_targets", "cckd_mix_weight")

#: The ladder, lowest rung first: method -> {knob: reference value}. The keys are exactly the knobs that the method
#: uses, in the order they print. `kd_weight` joins the methods that have `use_kd` when that is true, and then has to
#: be given.
METHODS: Mapping[str, Mapping[str, KnobValue]] = MappingProxyType(
    {
        method: MappingProxyType({knob: KNOBS[knob].reference for knob in knobs})
        for method, knobs in {
            "ce": (),
            "la": _LA,
            "kd": _KD,
            "cckd": _CCKD,
            "acckd_no_fi": _NO_FI,
            "acckd": (*_NO_FI, "feature_weight"),
        }.items()
    }
)

#: The rungs of the ladder, lowest first.
LADDER = tuple(METHODS)


def used_knobs(method: str, use_kd: bool) -> tuple[str, ...]:
    """Return the names of the knobs `method` uses, `kd_weight` included where `use_kd` switches it on."""
    names = tuple(METHODS[method])
    return (*names, "kd_weight") if use_kd and "use_kd" in names else names
