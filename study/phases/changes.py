"""The changes of best1 that the ablation trains: a knob put back to its reference value, or a part taken out.

A change may leave knobs without effect, such as mix_alpha without D_mix. A trial refuses such knobs, so they go too.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from search_spaces.knob import KnobValue
from search_spaces.space import SearchSpace
from trainables.cckd.config import TrialConfig
from trainables.cckd.errors import ConfigError
from trainables.cckd.methods import parts_of


@dataclass(frozen=True)
class Change:
    """One change of best1.

    Attributes:
        kind: whether a knob is put back or a part is taken out.
        name: of the knob or the part.
        value, reference: of the knob in best1 and after the change; None for a part.
        config: the flat configuration that is trained, without its seed.
    """

    kind: Literal["knob", "part"]
    name: str
    value: KnobValue | None
    reference: KnobValue | None
    config: dict[str, Any]


def changed_knobs(space: SearchSpace, params: Mapping[str, KnobValue]) -> tuple[str, ...]:
    """Return the searched knobs whose values in `params` differ from their references, in the space's order."""
    return tuple(knob.name for knob in space.tunable if params.get(knob.name, knob.reference) != knob.reference)


def put_back(space: SearchSpace, params: Mapping[str, KnobValue], fixed: Mapping[str, Any], name: str) -> Change:
    """Return the change that puts the knob `name` back, one of `changed_knobs`.

    Args:
        space: of the search.
        params: the knobs of best1. A knob that exists only after the change has its reference value.
        fixed: values that all trials share.
        name: of the knob.
    """
    references = {knob.name: knob.reference for knob in space.tunable}
    point = space.active({**references, **params, name: references[name]})
    return Change("knob", name, params[name], references[name], _read({**space.config(point), **fixed}))


def without_parts(config: Mapping[str, Any]) -> list[Change]:
    """Return one change per part that a flat configuration of a built-in method has, and can be trained without."""
    known = TrialConfig.build(config).knobs
    changes = []
    for part in parts_of(config["method"]):
        off = {name: value for name, value in part.off.items() if name in known}
        if any(known[name] != value for name, value in off.items()) and (rest := _without(config, off)):
            changes.append(Change("part", part.name, None, None, rest))
    return changes


def _without(config: Mapping[str, Any], off: Mapping[str, KnobValue]) -> dict[str, Any] | None:
    """Return the configuration with some knobs off; None where no weight above 0 is left."""
    try:
        return _read({**config, **off})
    except ConfigError:
        return None


def _read(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a flat configuration without the knobs that no term reads."""
    inert = TrialConfig.inert_in(config)
    return {name: value for name, value in config.items() if name not in inert}
