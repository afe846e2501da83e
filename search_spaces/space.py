"""A search space: which knobs vary over which ranges and why, what stays fixed, and the reference point."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from json import dumps, loads
from typing import Any, Self

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution

from search_spaces.faults import space_faults
from search_spaces.knob import Condition, Knob, KnobValue, SpaceError


@dataclass(frozen=True)
class SearchSpace:
    """A named, self-validating search space.

    Attributes:
        name: its name on the command line.
        purpose: the question a study of this space answers, one sentence.
        method: method every trial trains.
        tunable: searched knobs; a parent stands before the knobs that depend on it, so there are no cycles.
        fixed: configuration values that all trials share.
        conditions: a knob with several conditions exists only where all of them hold.
        default_trials: number of trials where the user gives none.

    Raises:
        SpaceError: the parts contradict each other; `faults` lists every contradiction.
    """

    name: str
    purpose: str
    method: str
    tunable: tuple[Knob, ...]
    default_trials: int
    fixed: Mapping[str, KnobValue] = field(default_factory=dict)
    conditions: tuple[Condition, ...] = ()

    def __post_init__(self) -> None:
        faults = space_faults(self.name, self.tunable, self.default_trials, self.fixed, self.conditions)
        if faults:
            raise SpaceError([f"search space {self.name!r}: {fault}" for fault in faults])
        object.__setattr__(self, "fixed", dict(self.fixed))  # a copy, because the caller may change the mapping

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """Knob name -> distribution, in the order of `tunable`."""
        return {knob.name: knob.distribution for knob in self.tunable}

    def is_active(self, name: str, params: Mapping[str, KnobValue]) -> bool:
        """Return whether knob `name` exists beside `params`, which hold the knobs that stand before it."""
        mine = [condition for condition in self.conditions if condition.knob == name]
        return all(rule.parent in params and params[rule.parent] in rule.values for rule in mine)

    def reference_point(self) -> dict[str, KnobValue]:
        """Return the reference values of the searched knobs; a knob that is inactive there is absent."""
        return self.active({knob.name: knob.reference for knob in self.tunable})

    def active(self, values: Mapping[str, KnobValue]) -> dict[str, KnobValue]:
        """Return the values, one per searched knob, without those of knobs that are inactive beside the others."""
        point: dict[str, KnobValue] = {}
        for knob in self.tunable:
            if self.is_active(knob.name, point):
                point[knob.name] = values[knob.name]
        return point

    def suggest(self, trial: optuna.Trial) -> dict[str, KnobValue]:
        """Ask `trial` for every active knob, define-by-run; an inactive knob is absent."""
        params: dict[str, KnobValue] = {}
        for knob in self.tunable:
            if self.is_active(knob.name, params):
                params[knob.name] = _ask(trial, knob)
        return params

    def config(self, params: Mapping[str, KnobValue]) -> dict[str, KnobValue]:
        """Return the flat trial configuration of `params`: method, fixed values, then the knobs."""
        return {"method": self.method, **self.fixed, **params}

    def to_json(self) -> dict[str, Any]:
        """Plain types only, for the manifest."""
        plain = asdict(self)
        for knob, entry in zip(self.tunable, plain["tunable"], strict=True):
            entry["distribution"] = loads(optuna.distributions.distribution_to_json(knob.distribution))
        return plain

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Self:
        """Inverse of `to_json`, also after a JSON round trip (lists for tuples)."""
        tunable = tuple(Knob(**{**entry, "distribution": _from_json(entry)}) for entry in plain["tunable"])
        conditions = tuple(Condition(**{**entry, "values": tuple(entry["values"])}) for entry in plain["conditions"])
        return cls(**{**plain, "tunable": tunable, "conditions": conditions})


def _ask(trial: optuna.Trial, knob: Knob) -> KnobValue:
    match knob.distribution:
        case optuna.distributions.FloatDistribution(low=low, high=high, log=log, step=step):
            return trial.suggest_float(knob.name, low, high, log=log, step=step)
        case optuna.distributions.IntDistribution(low=low, high=high, log=log, step=step):
            return trial.suggest_int(knob.name, low, high, log=log, step=step)
        case CategoricalDistribution(choices=choices):
            # Optuna also allows None as a choice; the space's own validation refuses it.
            return trial.suggest_categorical(knob.name, choices)  # type: ignore[return-value]
    raise AssertionError(knob.distribution)


def _from_json(entry: Mapping[str, Any]) -> BaseDistribution:
    return optuna.distributions.json_to_distribution(dumps(entry["distribution"]))
