"""The ladder of methods: which knobs each rung uses and where its reference point stands.

A knob that a method does not use is refused, never ignored: an ignored knob would look insensitive in a
sensitivity study. Reference values: the method's own page (temperature 2, batch estimator, weights 1).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, isfinite
from types import MappingProxyType

KnobValue = float | int | str | bool


@dataclass(frozen=True)
class Domain:
    """The legal values of one knob (wider than any searched range)."""

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


_WEIGHT = Domain("a finite number >= 0", low=0.0)

KNOBS: Mapping[str, Domain] = MappingProxyType(
    {
        "tau": Domain("a finite number >= 0 (strength of logit adjustment)", low=0.0),
        "temperature": Domain("a finite number > 0", low=0.0, low_open=True),
        "estimator": Domain("'batch' or 'prior'", choices=("batch", "prior")),
        "use_kd": Domain("true or false", choices=(True, False)),
        "kd_weight": _WEIGHT,
        "cckd_weight": _WEIGHT,
        "mix_ratio": Domain("in [0, 1): the share of mixed samples in a step", 0.0, 1.0, high_open=True),
        "mix_weight": _WEIGHT,
        "mix_alpha": Domain("a finite number > 0 (both parameters of the Beta)", low=0.0, low_open=True),
        "mix_op": Domain("'mixup' or 'cutmix'", choices=("mixup", "cutmix")),
        "mix_targets": Domain("'interpolate' or 'forward'", choices=("interpolate", "forward")),
        "cckd_mix_weight": _WEIGHT,
        "feature_weight": _WEIGHT,
    }
)

_LA: dict[str, KnobValue] = {"tau": 1.0}
_KD: dict[str, KnobValue] = _LA | {"temperature": 2.0, "kd_weight": 1.0}
_CCKD: dict[str, KnobValue] = _LA | {"temperature": 2.0, "estimator": "batch", "cckd_weight": 1.0, "use_kd": False}
_NO_FI: dict[str, KnobValue] = _CCKD | {
    "mix_ratio": 0.5,
    "mix_weight": 1.0,
    "mix_alpha": 0.5,
    "mix_op": "mixup",
    "mix_targets": "interpolate",
    "cckd_mix_weight": 1.0,
}

#: method -> {knob: reference value}; the keys are exactly the knobs the method uses, in the order they print.
#: `kd_weight` joins cckd, acckd_no_fi and acckd when `use_kd` is true, and then has to be given.
METHODS: Mapping[str, Mapping[str, KnobValue]] = MappingProxyType(
    {
        "ce": MappingProxyType({}),
        "la": MappingProxyType(_LA),
        "kd": MappingProxyType(_KD),
        "cckd": MappingProxyType(_CCKD),
        "acckd_no_fi": MappingProxyType(_NO_FI),
        "acckd": MappingProxyType(_NO_FI | {"feature_weight": 1.0}),
    }
)

#: The rungs of the ladder, lowest first.
LADDER = tuple(METHODS)


def used_knobs(method: str, use_kd: bool) -> tuple[str, ...]:
    """Return the names of the knobs `method` uses, `kd_weight` included where `use_kd` switches it on."""
    names = tuple(METHODS[method])
    return (*names, "kd_weight") if use_kd and "use_kd" in names else names
