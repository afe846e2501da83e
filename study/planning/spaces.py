"""The space that `--space` names: one of ours, a YAML file, or a SearchSpace object in a module of the user's."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from optuna.distributions import CategoricalDistribution

from search_spaces.from_file import read_draft
from search_spaces.knob import Knob, KnobValue, SpaceError
from search_spaces.registry import get_space, list_spaces
from search_spaces.space import SearchSpace
from study.planning.own_module import imported_space
from trainables.cckd.config import TrialConfig, training_settings
from trainables.cckd.errors import ConfigError
from trainables.cckd.methods import METHODS

#: What a space can neither search nor fix, and where it is chosen instead.
FLAGS = {"method": "--space", "student": "--student", "epochs": "--epochs", "seed": "--seed"}

_SUFFIXES = (".yaml", ".yml")


def read_space(text: str) -> SearchSpace:
    """Return the space that `--space text` names; a module is imported, from the current folder first.

    Raises:
        SpaceError: with every fault found.
    """
    if text.endswith(_SUFFIXES):
        return _from_file(Path(text).expanduser())
    if ":" in text:
        return _from_module(text)
    try:
        return get_space(text)
    except SpaceError:
        names = ", ".join(space.name for space in list_spaces())
        raise SpaceError(f"--space must be one of {names}, a FILE.yaml or module:ATTRIBUTE; got {text!r}") from None


def method_faults(
    method: str | None, named: Iterable[str], tunable: Iterable[Knob], fixed: Mapping[str, KnobValue]
) -> list[str]:
    """Hold what a space searches and fixes against what its method takes, at the ends of every range.

    Args:
        method: None where it is not known, which is a fault of its own.
        named: every knob that is named, those included that are not well-formed.
        tunable: the well-formed knobs.
        fixed: the fixed values.
    """
    if method is None:
        return []
    if method not in METHODS:
        return [f"method must be one of {', '.join(METHODS)}; got {method!r}"]
    elsewhere = [
        f"{key!r} is not for a space; it is chosen with {FLAGS[key]}" for key in (*named, *fixed) if key in FLAGS
    ]
    takes = _takes(method)
    unknown = [
        f"method {method} has no knob or setting {key!r}; it takes {', '.join(takes)}"
        for key in (*named, *fixed)
        if key not in takes and key not in FLAGS
    ]
    values = [(knob.name, value) for knob in tunable for value in _ends(knob)] + list(fixed.items())
    wrong = [fault for key, value in values if key in takes for fault in _value_faults(method, key, value)]
    return list(dict.fromkeys([*elsewhere, *unknown, *wrong]))


def shared_settings(space: SearchSpace | None) -> dict[str, KnobValue]:
    """The training settings that a space fixes: they hold for the ladder's rungs too, as those of `--set` do."""
    return {key: value for key, value in (space.fixed if space else {}).items() if key in training_settings()}


def corner_points(space: SearchSpace) -> list[dict[str, KnobValue]]:
    """Return the reference point, and for each knob the points with it at either end, the rest at the reference.

    A conditional knob's ends are visited with its parents at the first values that it needs.
    """
    points = [space.reference_point()]
    for knob in space.tunable:
        needed = _needed(space, knob.name)
        for end in _ends(knob):
            point: dict[str, KnobValue] = {}
            for other in space.tunable:
                if space.is_active(other.name, point):
                    point[other.name] = ({knob.name: end} | needed).get(other.name, other.reference)
            points.append(point)
    return points


def _from_file(path: Path) -> SearchSpace:
    draft = read_draft(path)
    faults = [*draft.faults, *method_faults(draft.method, draft.named, draft.tunable, draft.fixed)]
    if faults:
        raise SpaceError([f"{path}: {fault}" for fault in faults])
    return draft.space()


def _from_module(text: str) -> SearchSpace:
    found = imported_space(text)
    names = [knob.name for knob in found.tunable]
    faults = method_faults(found.method, names, found.tunable, found.fixed)
    if faults:
        raise SpaceError([f"{text}: {fault}" for fault in faults])
    return found


def _takes(method: str) -> list[str]:
    """The knobs and settings that a space of `method` can name, in the order they print."""
    optional = ["kd_weight"] if "use_kd" in METHODS[method] else []
    return [*METHODS[method], *optional, *(name for name in training_settings() if name not in FLAGS)]


def _ends(knob: Knob) -> tuple[KnobValue, ...]:
    distribution = knob.distribution
    if isinstance(distribution, CategoricalDistribution):
        return tuple(choice for choice in distribution.choices if choice is not None)
    return distribution.low, distribution.high  # type: ignore[attr-defined]


def _value_faults(method: str, key: str, value: KnobValue) -> list[str]:
    beside: dict[str, KnobValue] = {}
    if key == "kd_weight" and "use_kd" in METHODS[method]:
        beside = {"use_kd": True}
    elif key == "use_kd" and value is True:
        beside = {"kd_weight": 1.0}
    try:
        TrialConfig.build({"method": method, **beside, key: value})
    except ConfigError as error:
        return list(error.faults)
    return []


def _needed(space: SearchSpace, name: str) -> dict[str, KnobValue]:
    """Values of the parents, and theirs, with which knob `name` is there."""
    found: dict[str, KnobValue] = {}
    for rule in space.conditions:
        if rule.knob == name:
            found |= {rule.parent: rule.values[0]} | _needed(space, rule.parent)
    return found
