"""The knobs of the objective, one row per knob, and the methods: which knobs each uses, and at which reference values.

A method refuses a knob that it does not use. Ignored, such a knob would look insensitive in a sensitivity study.
This imports no torch: the search spaces and the driver read it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from trainables.cckd.errors import UsageError
from trainables.own_method import OwnMethod, OwnMethodError, OwnSource

KnobValue = float | int | str | bool
_Model = TypeVar("_Model", bound=BaseModel)


def _own_method() -> tuple[OwnMethod, ...]:
    try:
        return () if OWN_SOURCE is None else (OWN_SOURCE.load(),)
    except OwnMethodError as error:
        raise UsageError(str(error).splitlines()) from error


#: The user's own method, none or one, and where it comes from. Every table below and above holds it too.
OWN_SOURCE = OwnSource.entered()
OWN = _own_method()

#: Names that config.TrialConfig has beside knobs and settings; no knob can have one.
RESERVED = ("build", "flat", "inert_in", "knobs", "mixing_epochs", "n_mixed", "without_mixing")


def _number(reference: float, rule: str, *, inert: float | None = None, **limits: float) -> Any:
    """The row of a number.

    Args:
        reference: the value of the method's own page.
        rule: the legal values in words, for messages.
        inert: the value in a method that does not use the knob, None for the reference.
        limits: the ends of the legal values (wider than any searched range), as pydantic names them.
    """
    default = reference if inert is None else inert
    return Field(default, description=rule, examples=[reference], **limits)  # type: ignore[call-overload]


def _weight(reference: float = 1.0, *, inert: float = 0.0) -> Any:
    return _number(reference, "a finite number >= 0", ge=0.0, inert=inert)


def _with_own_knobs(built_in: type[_Model]) -> type[_Model]:
    """Add the knobs of the user's own method to the model."""
    rows = {knob.name: _between(knob.reference, knob.low, knob.high) for own in OWN for knob in own.knobs}
    rows |= {own.weight_knob: _weight(own.weight) for own in OWN}
    taken = [name for name in rows if name in (*built_in.model_fields, *RESERVED) or hasattr(built_in, name)]
    weights = {own.weight_knob: own.name for own in OWN}
    if taken:
        raise UsageError(
            [
                _own_fault(
                    f"the name {weights[name]} is taken, for {name} is a built-in knob; choose another"
                    if name in weights
                    else f"the name of knob {name} is taken; choose another"
                )
                for name in taken
            ]
        )
    fields: dict[str, Any] = {name: (float, row) for name, row in rows.items()}
    return create_model("Knobs", __base__=built_in, __module__=__name__, **fields) if rows else built_in


def _between(reference: float, low: float, high: float) -> Any:
    return _number(reference, f"a number from {low:g} to {high:g}", ge=low, le=high)


def _own_fault(fault: str) -> str:
    """The words of a fault in the user's own method."""
    return f"own method {'' if OWN_SOURCE is None else OWN_SOURCE.method}: {fault}"


@_with_own_knobs
class Knobs(BaseModel):
    """The knobs of the objective (symbols as in docs/method.md), each with its type and its row."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    tau: float = _number(1.0, "a finite number >= 0 (strength of logit adjustment)", ge=0.0, inert=0.0)
    temperature: float = _number(2.0, "a finite number > 0", gt=0.0)
    estimator: Literal["batch", "batch_mass", "prior", "prior_uniform"] = Field(
        "batch", description="'batch', 'batch_mass', 'prior' or 'prior_uniform'"
    )
    use_kd: bool = Field(False, description="true or false")
    sup_weight: float = _weight(inert=1.0)
    kd_weight: float = _weight()
    cckd_weight: float = _weight()
    mix_ratio: float = _number(0.5, "in [0, 1): the share of mixed samples in a step", ge=0.0, lt=1.0, inert=0.0)
    mix_weight: float = _weight()
    mix_alpha: float = _number(0.5, "a finite number > 0 (both parameters of the Beta)", gt=0.0)
    mix_op: Literal["mixup", "cutmix"] = Field("mixup", description="'mixup' or 'cutmix'")
    mix_balance: float = _number(
        1.0, "in [0, 1]: 0 mixes images as they come, 1 mixes all classes alike", ge=0.0, le=1.0
    )
    mix_until: float = _number(0.75, "in (0, 1]: the share of the epochs that mix", gt=0.0, le=1.0)
    mix_statistics: Literal["joint", "separate"] = Field("separate", description="'joint' or 'separate'")
    mix_targets: Literal["interpolate", "forward"] = Field("interpolate", description="'interpolate' or 'forward'")
    kd_mix_weight: float = _weight()
    cckd_mix_weight: float = _weight()
    feature_weight: float = _weight()
    sampling: Literal["instance", "class_balanced"] = Field("instance", description="'instance' or 'class_balanced'")
    bkd_weight: float = _weight()
    dive_weight: float = _weight(0.5)
    wsl_weight: float = _weight(2.5)
    dkd_between_weight: float = _weight()
    dkd_within_weight: float = _weight(2.0)
    ltkd_between_weight: float = _weight()
    ltkd_within_weight: float = _weight()
    vs_weight: float = _weight()
    ldam_weight: float = _weight()
    beta: float = _number(0.9999, "in [0, 1): class weights go by (1 - beta) / (1 - beta^n)", ge=0.0, lt=1.0)
    power: float = _number(0.5, "a finite number > 0 (of the teacher's probabilities)", gt=0.0)
    gamma: float = _number(0.3, "a finite number >= 0 (logits are scaled by (n / n_max)^gamma)", ge=0.0)
    margin: float = _number(0.5, "a finite number >= 0 (of the rarest class)", ge=0.0)
    cosine_scale: float = _number(
        30.0, "a finite number >= 0 (of a cosine classifier; 0 for a linear one)", ge=0.0, inert=0.0
    )


#: Knob -> its reference value.
KNOBS: Mapping[str, KnobValue] = MappingProxyType(
    {name: field.examples[0] if field.examples else field.default for name, field in Knobs.model_fields.items()}
)


def knob_fault(name: str, value: object) -> str | None:
    """Return one sentence naming the rule and the value, or None where `value` is legal for the knob."""
    try:
        Knobs.model_validate({name: value})
    except ValidationError:
        return f"{name} must be {Knobs.model_fields[name].description}; got {value!r}"
    return None


_LA = ("tau",)
_D_MIX = ("mix_ratio", "mix_weight", "mix_alpha", "mix_op", "mix_balance", "mix_until", "mix_statistics")
_KD = (*_LA, "temperature", "kd_weight")
#: Distillation beside plain cross-entropy, as published; a tau above 0 puts it on logit adjustment.
_ON_CE: dict[str, KnobValue] = {"tau": 0.0, "temperature": 2.0}
_CCKD = (*_LA, "temperature", "estimator", "cckd_weight", "use_kd")
_NO_FI = (*_CCKD, *_D_MIX, "mix_targets", "cckd_mix_weight")


def _method(*knobs: str, **own: KnobValue) -> Mapping[str, KnobValue]:
    """The knobs of a method; `own` holds those whose reference value in this method differs from the general one."""
    return MappingProxyType({knob: KNOBS[knob] for knob in knobs} | own)


_BUILT_IN: Mapping[str, Mapping[str, KnobValue]] = MappingProxyType(
    {
        "ce": _method(),
        "la": _method(*_LA),
        "la_mix": _method(*_LA, *_D_MIX),
        "vs": _method(*_LA, "vs_weight", "gamma", sup_weight=0.0),
        "ldam_drw": _method("ldam_weight", "margin", "cosine_scale", "beta", sup_weight=0.0),
        "kd": _method(*_KD),
        "kd_mix": _method(*_KD, *_D_MIX, "mix_targets", "kd_mix_weight"),
        "bkd": _method("bkd_weight", "beta", **_ON_CE),
        "dive": _method(*_LA, "dive_weight", "power", temperature=3.0, sup_weight=0.5),
        "wsl": _method("wsl_weight", **_ON_CE),
        "dkd": _method("dkd_between_weight", "dkd_within_weight", **_ON_CE),
        "ltkd": _method("ltkd_between_weight", "ltkd_within_weight", **_ON_CE),
        "cbd": _method(sampling="class_balanced", sup_weight=0.6, feature_weight=40.0),
        "cckd_prior": _method(*_CCKD, estimator="prior"),
        "cckd": _method(*_CCKD),
        "acckd_no_fi": _method(*_NO_FI),
        "acckd": _method(*_NO_FI, "feature_weight"),
    }
)


def _own_row(own: OwnMethod) -> Mapping[str, KnobValue]:
    """The row of the user's own method: the built-in knobs that it uses, then its weight and its own knobs."""
    mine = {own.weight_knob: own.weight, **{knob.name: knob.reference for knob in own.knobs}}
    built_in = [name for name in KNOBS if name not in mine]
    faults = [
        knob_fault(name, value)
        if name in built_in
        else f"uses must name built-in knobs ({', '.join(built_in)}); got {name!r}"
        for name, value in own.uses.items()
    ]
    if own.name in _BUILT_IN:
        faults.append(f"name must not be that of a built-in method ({', '.join(_BUILT_IN)}); got {own.name!r}")
    if any(faults):
        raise UsageError([_own_fault(fault) for fault in faults if fault])
    row = Knobs.model_validate({**own.uses, **mine})
    return MappingProxyType({name: getattr(row, name) for name in (*own.uses, *mine)})


#: Every method, in the order of tables: method -> {knob: reference value}. The keys are exactly the knobs that the
#: method uses, in the order they print. `kd_weight` joins the methods that have `use_kd` when that is true, and then
#: has to be given.
METHODS: Mapping[str, Mapping[str, KnobValue]] = MappingProxyType(
    {**_BUILT_IN, **{own.name: _own_row(own) for own in OWN}}
)


@dataclass(frozen=True)
class Part:
    """A part of the methods, which can be taken out on its own.

    Attributes:
        name: short, no knob's name.
        text: what it is, in words.
        off: the knobs that say that it is off, with the values that say so.
    """

    name: str
    text: str
    off: Mapping[str, KnobValue]


#: The part without which only classic distillation learns from the teacher's outputs.
CLASS_CONDITIONAL = "class_conditional"

PARTS = (
    Part("imitation", "feature imitation", MappingProxyType({"feature_weight": 0.0})),
    Part("mixing", "mixed set D_mix", MappingProxyType({"mix_ratio": 0.0})),
    Part(
        CLASS_CONDITIONAL,
        "class-conditional term",
        MappingProxyType({"cckd_weight": 0.0, "cckd_mix_weight": 0.0}),
    ),
)


def parts_of(method: str) -> tuple[Part, ...]:
    """Return the parts of a built-in method, in the order of PARTS; an own method has none."""
    used = _BUILT_IN.get(method, {})
    return tuple(part for part in PARTS if part.off.keys() & used.keys())


#: The rungs that a study confirms by default, lowest first.
LADDER = ("ce", "la", "kd", "cckd", "acckd_no_fi", "acckd", *(own.name for own in OWN))


def used_knobs(method: str, use_kd: bool) -> tuple[str, ...]:
    """Return the names of the knobs `method` uses, `kd_weight` included where `use_kd` switches it on."""
    names = tuple(METHODS[method])
    return (*names, "kd_weight") if use_kd and "use_kd" in names else names
