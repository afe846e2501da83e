"""One trial's validated configuration: a flat mapping in, a frozen TrialConfig out, all faults at once."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, Literal, Self

from pydantic import Field, ValidationError

from trainables.cckd.errors import ConfigError, UsageError
from trainables.cckd.losses.inert_knobs import Inert, inert_knobs, listing
from trainables.cckd.losses.terms import TERMS, terms_on
from trainables.cckd.methods import KNOBS, METHODS, OWN, Knobs, KnobValue, knob_fault, used_knobs
from trainables.cckd.precision import StepShape
from trainables.cckd.recipe import Augment, Schedule

#: The prior of the posterior that the student answers by: p^s, which tau leaves in the logits, or the uniform prior.
PredictionPrior = Literal["trained", "uniform"]


class TrialConfig(Knobs):
    """Everything that decides a trial's numbers, beside the data: method, knobs, and how the student is trained.

    Knobs that the method does not use keep inert defaults (weights 0). They are absent from `flat()`, and so are knobs
    that no term reads at these values, such as mix_alpha where mix_ratio is 0.
    Build it with `TrialConfig.build`, which names every fault in one ConfigError.
    """

    method: str
    student: str = Field("resnet8_cifar", min_length=1)
    epochs: int = Field(20, ge=1)
    batch_size: int = Field(64, ge=2)
    lr: float = Field(0.2, gt=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    nesterov: bool = True
    weight_decay: float = Field(5e-4, ge=0)
    schedule: Schedule = "one_cycle"
    prediction_prior: PredictionPrior = "trained"
    augment: Augment = "none"
    seed: int = Field(0, ge=0)

    @classmethod
    def build(cls, flat: Mapping[str, Any]) -> Self:
        """Validate `flat` (method, its knobs, training settings), filling gaps with the reference values.

        Raises:
            ConfigError: an unknown method or key, a value outside its domain, a knob that the method does not use or
                that no term reads at these values, no weight above 0; `faults` lists all of them.
        """
        config = cls._filled(flat)
        inert = config._inert(flat)
        if inert:
            raise ConfigError(
                [
                    f"{name} has no effect, because {reason.because}. "
                    f"Leave {name} out, or change {listing(reason.causes, 'or')}"
                    for name, reason in inert.items()
                ]
            )
        return config

    @classmethod
    def inert_in(cls, flat: Mapping[str, Any]) -> dict[str, Inert]:
        """Return the knobs of `flat` that no term reads at these values, with the reasons; `build` refuses them.

        Raises:
            ConfigError: `flat` has other faults.
        """
        return cls._filled(flat)._inert(flat)

    @classmethod
    def _filled(cls, flat: Mapping[str, Any]) -> Self:
        method = flat.get("method")
        if not isinstance(method, str) or method not in METHODS:
            raise ConfigError(f"method must be one of {', '.join(METHODS)}; got {method!r}")
        used = used_knobs(method, use_kd=flat.get("use_kd") is True)
        faults = [_key_fault(key, value, method, used) for key, value in flat.items() if key != "method"]
        if "kd_weight" in used and "kd_weight" not in {**METHODS[method], **flat}:
            faults.append("kd_weight must be given when use_kd is true")
        try:
            config = cls(**{**METHODS[method], **flat})
        except ValidationError as error:
            # The faults of knobs are listed above, in the words of their rows; the rest are training settings.
            faults += _setting_faults(error)
        named = [fault for fault in faults if fault]
        if not named and config.mix_ratio > 0 and not config.n_mixed:
            least = math.ceil(1e4 * 0.5 / (config.batch_size + 0.5)) / 1e4
            named = [
                f"mix_ratio must be 0 or give a batch of {config.batch_size} at least one mixed sample "
                f"({least:.4f} or more); got {config.mix_ratio!r}"
            ]
        if not named and not terms_on(config):
            weights = " and ".join(name for name in used if any(name in term.weighed_by for term in TERMS))
            named = [f"method {method} must have a weight above 0; got 0 for {weights}"]
        if named:
            raise ConfigError(named)
        return config

    def _inert(self, names: Iterable[str]) -> dict[str, Inert]:
        used = used_knobs(self.method, self.use_kd)
        return inert_knobs(self, [name for name in names if name in used], used)

    @property
    def knobs(self) -> dict[str, KnobValue]:
        """The objective knobs that a term of this configuration reads, and those that switch terms off."""
        names = used_knobs(self.method, self.use_kd)
        inert = self._inert(names)
        return {name: getattr(self, name) for name in names if name not in inert}

    @property
    def n_mixed(self) -> int:
        """M, the mixed samples beside the B plain ones of a step."""
        return mixed_per_step(self.batch_size, self.mix_ratio)

    @property
    def mixing_epochs(self) -> int:
        """Epochs, counted from the first, that have a D_mix where the method has one: at least 1."""
        return max(1, round(self.mix_until * self.epochs))

    @property
    def without_mixing(self) -> Self:
        """What the epochs after `mixing_epochs` minimise: this without D_mix."""
        return self.model_copy(update={"mix_ratio": 0.0})

    def flat(self) -> dict[str, KnobValue]:
        """The configuration as a flat mapping that `build` accepts again."""
        settings = {name: getattr(self, name) for name in training_settings()}
        return {"method": self.method, **self.knobs, **settings}


if _taken := [knob.name for own in OWN for knob in own.knobs if knob.name in vars(TrialConfig)["__annotations__"]]:
    raise UsageError(f"own method: no knob may have the name of a training setting; got {', '.join(_taken)}")


def mixed_per_step(batch_size: int, mix_ratio: float) -> int:
    """Return M = B r / (1 - r), rounded: M mixed samples beside B plain ones are a share r of the step."""
    return round(batch_size * mix_ratio / (1.0 - mix_ratio))


def step_shape(config: TrialConfig, n_classes: int, image_shape: tuple[int, int, int]) -> StepShape:
    """Return what decides how long a step takes that has a D_mix, where the configuration has one.

    Args:
        config: of the trial.
        n_classes: C.
        image_shape: (Ch, H, W).
    """
    channels, size, _ = image_shape
    n_mixed, statistics = config.n_mixed, config.mix_statistics
    return StepShape(config.student, n_classes, channels, size, config.batch_size, n_mixed, statistics)


def training_settings() -> tuple[str, ...]:
    """Names of the settings that are not objective knobs: student, epochs, batch_size, lr, ..."""
    return tuple(name for name in TrialConfig.model_fields if name not in KNOBS and name != "method")


def reference_of(name: str) -> KnobValue:
    """Return the reference value of a knob, or the default of a training setting."""
    value: KnobValue = KNOBS[name] if name in KNOBS else TrialConfig.model_fields[name].default
    return value


def legal_ends(name: str) -> tuple[float, float]:
    """Return the least and the greatest legal value of a number; infinite where none is, or nothing is known of it.

    The ends of an own method's knob are those that its module searches, so it can be widened.
    """
    own = {knob.name for method in OWN for knob in method.knobs}
    limits = TrialConfig.model_fields[name].metadata if name in TrialConfig.model_fields and name not in own else []
    least = [limit.ge for limit in limits if hasattr(limit, "ge")]
    greatest = [limit.le for limit in limits if hasattr(limit, "le")]
    return max(least, default=-math.inf), min(greatest, default=math.inf)


def value_fault(method: str | None, key: str, value: object) -> str | None:
    """Return what is wrong with one value by itself; None where some configuration of the method has it.

    A method of None is not known: any method may have the value then.
    """
    if key in training_settings():
        try:
            TrialConfig.model_validate({"method": next(iter(METHODS)), key: value})
        except ValidationError as error:
            return "; ".join(_setting_faults(error))
        return None
    if method is not None:
        return _key_fault(key, value, method, used_knobs(method, use_kd=True))
    if key in KNOBS:
        return knob_fault(key, value)
    return f"unknown key {key!r}; knobs and training settings are {', '.join((*KNOBS, *training_settings()))}"


def lacks_switch(method: str, flat: Mapping[str, Any]) -> bool:
    """Return whether `flat` has a kd_weight that the method would use if use_kd were true, which it is not."""
    return "kd_weight" in flat and "use_kd" in METHODS[method] and flat.get("use_kd") is not True


def _setting_faults(error: ValidationError) -> list[str]:
    """Return the faults of training settings, one sentence each."""
    return [
        f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}; got {fault['input']!r}"
        for fault in error.errors()
        if fault["loc"][0] not in KNOBS and fault["type"] != "extra_forbidden"
    ]


def _key_fault(key: str, value: object, method: str, used: tuple[str, ...]) -> str | None:
    if key in training_settings():
        return None
    if key not in KNOBS:
        known = ", ".join((*used_knobs(method, use_kd=True), *training_settings()))
        return f"unknown key {key!r}; method {method} takes {known}"
    if key not in used and key in used_knobs(method, use_kd=True):
        return f"{key} acts only where use_kd is true; give use_kd=true too"
    if key not in used:
        return f"method {method} does not use {key!r}; its knobs are {', '.join(used) or 'none'}"
    return knob_fault(key, value)
