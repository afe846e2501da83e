"""The spaces of a study: the one that `--space` names, and those of the baselines that are tuned too.

`--space` names one of ours, a YAML file, or a SearchSpace object in a module of the user's.
"""

import importlib
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from search_spaces import Knob, SearchSpace, SpaceError, get_space, list_spaces
from search_spaces.corners import corner_points, ends
from search_spaces.faults import contains
from search_spaces.from_file import read_draft
from search_spaces.knob import KnobValue
from search_spaces.registry import baseline_spaces
from study.planning.plan import StudyPlan
from study.strategy.search_settings import most_trials
from study.terminal.faults import Faults
from trainables.cckd.config import TrialConfig, lacks_switch, reference_of, training_settings
from trainables.cckd.errors import ConfigError
from trainables.cckd.losses.inert_knobs import Inert, listing
from trainables.cckd.methods import METHODS

#: What a space can neither search nor fix, and where it is chosen instead.
FLAGS = {"method": "--space", "student": "--student", "epochs": "--epochs", "seed": "--seed"}

_BASELINES = {space.name: space for space in baseline_spaces()}
_SUFFIXES = (".yaml", ".yml")


def read_space(text: str) -> SearchSpace:
    """Return the space that `--space text` names; a module is imported from the current folder first.

    Raises:
        SpaceError: with every fault found.
    """
    if text.endswith(_SUFFIXES):
        path = Path(os.path.expanduser(text))
        draft = read_draft(path)
        _refuse(path, [*draft.faults, *method_faults(draft.method, draft.named, draft.tunable, draft.fixed)])
        return draft.space()
    if ":" in text:
        found = _imported_space(text)
        names = [knob.name for knob in found.tunable]
        _refuse(text, method_faults(found.method, names, found.tunable, found.fixed))
        return found
    try:
        return get_space(text)
    except SpaceError:
        ours = ", ".join(space.name for space in list_spaces())
        raise SpaceError(f"--space must be one of {ours}, a FILE.yaml or module:ATTRIBUTE; got {text!r}") from None


def method_faults(
    method: str | None, named: Iterable[str], tunable: Iterable[Knob], fixed: Mapping[str, KnobValue]
) -> list[str]:
    """Compare what a space searches and fixes with what its method takes, at the ends of every range.

    Args:
        method: None where it is not known; that is a fault elsewhere.
        named: every knob that is named, well-formed or not.
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
    values = [(knob.name, value) for knob in tunable for value in ends(knob)] + list(fixed.items())
    wrong = [fault for key, value in values if key in takes for fault in _value_faults(method, key, value)]
    return list(dict.fromkeys([*elsewhere, *unknown, *wrong]))


def shared_settings(space: SearchSpace | None) -> dict[str, KnobValue]:
    """The training settings that a space fixes. Like the settings of `--set`, they hold for the ladder's rungs too."""
    return {key: value for key, value in (space.fixed if space else {}).items() if key in training_settings()}


def corner_configs(space: SearchSpace, shared: Mapping[str, KnobValue], source: str | None = None) -> list[TrialConfig]:
    """Return the configurations of the space's corners, beside values that all trials share.

    Args:
        space: the space.
        shared: the values.
        source: the text of `--space`, for messages; a file or a module is told by it.

    Raises:
        SpaceError: a corner makes knobs of the space have no effect; one fault per knob says why and what to do.
        ConfigError: a corner is no configuration.
    """
    label = source if source is not None and source != space.name else f"search space {space.name!r}"
    configs = []
    inert: dict[str, Inert] = {}
    for point in corner_points(space):
        flat = {**space.config(point), **shared}
        if lacks_switch(space.method, flat):
            raise SpaceError(f"{label}: {_switch_fault(space)}")
        found = TrialConfig.inert_in(flat)
        # Where a knob has no effect for several reasons, the shortest is told.
        inert |= {
            name: reason
            for name, reason in found.items()
            if name not in inert or len(reason.causes) < len(inert[name].causes)
        }
        configs.append(TrialConfig.build({key: value for key, value in flat.items() if key not in found}))
    if inert:
        raise SpaceError([f"{label}: {_inert_fault(space, name, reason)}" for name, reason in inert.items()])
    return configs


def baseline_space(name: str, space: SearchSpace, plan: StudyPlan) -> SearchSpace:
    """Return the space of a tuned baseline: its own knobs, and the training settings that `space` always searches.

    A training setting that `--set` or `space` fixes for the whole study is not searched. The reference values of the
    others are the recipe's.
    """
    own = _BASELINES[name]
    apart = {knob.name for knob in own.tunable} | {rule.knob for rule in space.conditions}
    shared = [knob for knob in space.tunable if knob.name in training_settings() and knob.name not in apart]
    tunable = tuple(knob for knob in (*own.tunable, *shared) if knob.name not in plan.overrides)
    return with_references(replace(own, tunable=tunable), plan.recipe_settings)


def with_references(space: SearchSpace, settings: Mapping[str, Any]) -> SearchSpace:
    """Return the space with the recipe's values as the references of the training settings that it searches.

    A reference that is not the general default is the space's own and stays, and so does one whose range does not
    reach the recipe's value.
    """

    def referred(knob: Knob) -> Knob:
        value = settings.get(knob.name, knob.reference)
        follows = knob.reference == reference_of(knob.name) and contains(knob.distribution, value)
        return replace(knob, reference=value) if follows else knob

    return replace(space, tunable=tuple(map(referred, space.tunable)))


def name_faults(ladder: Iterable[str], tuned_baselines: Iterable[str]) -> list[str]:
    """Return what is wrong with the names of rungs and of tuned baselines by themselves."""
    rungs = [name for name in ladder if name not in METHODS]
    baselines = [name for name in tuned_baselines if name not in _BASELINES]
    return [
        *(f"--ladder takes a list of {', '.join(METHODS)}; got {name!r}" for name in rungs),
        *(f"--tuned-baselines takes a list of {', '.join(_BASELINES)}, or nothing; got {name!r}" for name in baselines),
    ]


def check_baselines(plan: StudyPlan, space: SearchSpace, faults: Faults) -> None:
    """Judge whether the plan's baselines can be tuned at the budget of the searched method.

    A method that is tuned over many trials may beat baselines at their defaults by the search alone.
    """
    if plan.tuned_baselines and plan.warm_start:
        faults.add("--tuned-baselines promises an equal budget, which --warm-start does not leave; drop one of them")
    if plan.tuned_baselines and plan.points:
        faults.add(
            "--tuned-baselines promises an equal search, and --points are chosen for one method; drop one of them"
        )
    faults.found += name_faults((), plan.tuned_baselines)
    for name in (name for name in plan.tuned_baselines if name in _BASELINES):
        if name == space.method:
            faults.add(f"--tuned-baselines {name} is what space {space.name} tunes already; name other methods")
        elif all(knob.name in plan.overrides for knob in _BASELINES[name].tunable):
            fixed = ", ".join(knob.name for knob in _BASELINES[name].tunable)
            faults.add(f"--tuned-baselines {name} has nothing to tune: {fixed} are fixed; leave {name} out")
        else:
            _check_baseline(baseline_space(name, space, plan), plan, faults)


def check_ladder(plan: StudyPlan, faults: Faults) -> None:
    """Judge whether every rung of the plan's ladder is a method that builds with the settings that all runs share."""
    faults.found += name_faults(plan.ladder, ())
    for rung in (rung for rung in plan.ladder if rung in METHODS):
        with faults.gather():
            TrialConfig.build({"method": rung, **plan.training})


def _refuse(where: object, faults: Sequence[str]) -> None:
    if faults:
        raise SpaceError([f"{where}: {fault}" for fault in faults])


def _takes(method: str) -> list[str]:
    """The knobs and settings that a space of `method` can name, in the order they print."""
    optional = ["kd_weight"] if "use_kd" in METHODS[method] else []
    return [*METHODS[method], *optional, *(name for name in training_settings() if name not in FLAGS)]


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


def _inert_fault(space: SearchSpace, name: str, reason: Inert) -> str:
    """Say why a knob has no effect somewhere in the space, and what to do."""
    if all(cause in space.distributions for cause in reason.causes):
        needed = listing(reason.causes, "and")
        remedy = f"Give {name} a condition on {needed} (only_where in a file), or do not search that value"
    else:
        drop = f"Do not search {name}" if name in space.distributions else f"Leave {name} out"
        remedy = f"{drop}, or change {listing(reason.causes, 'or')}"
    return f"{name} has no effect where {reason.because}. {remedy}"


def _switch_fault(space: SearchSpace) -> str:
    """Say what a space needs beside its kd_weight."""
    condition = "give kd_weight only_where: {use_kd: true}"
    way = condition if "use_kd" in space.distributions else f"fix use_kd: true, or search use_kd and {condition}"
    return f"kd_weight acts only where use_kd is true; {way}"


def _imported_space(text: str) -> SearchSpace:
    """Import the space that `module:ATTRIBUTE` names, from the current folder first.

    Only the command line may ask for this. Nothing that was read from a folder may come here: a study is resumed from
    the space in its study.json. An own method (trainables/own_method.py) is imported again, if its hash is the same.

    Raises:
        SpaceError: no such module or attribute, a module that fails, or an object that is no space.
    """
    module, _, attribute = text.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), attribute)):
        raise SpaceError(f"--space module:ATTRIBUTE must name a Python module and an attribute of it; got {text!r}")
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        imported = importlib.import_module(module)
        is_there = hasattr(imported, attribute)
    except SpaceError as error:
        raise SpaceError([f"{module}: {fault}" for fault in error.faults]) from error
    except Exception as error:  # the module is the user's own and may fail in any way
        raise SpaceError(f"{module} cannot be imported: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(here)
    if not is_there:
        spaces = [name for name, value in vars(imported).items() if isinstance(value, SearchSpace)]
        raise SpaceError(f"{module} has no attribute {attribute}; its spaces are {', '.join(spaces) or 'none'}")
    found = getattr(imported, attribute)
    if not isinstance(found, SearchSpace):
        raise SpaceError(f"{text} must be a SearchSpace; got {type(found).__name__}")
    return found


def _check_baseline(space: SearchSpace, plan: StudyPlan, faults: Faults) -> None:
    with faults.gather():
        corner_configs(space, plan.training_in(space))
    most = most_trials(plan.sampler, space)
    if plan.trials > most:
        faults.add(
            f"--tuned-baselines {space.name} has {most:.0f} points on its {plan.sampler}, too few for the "
            f"{plan.trials} trials of an equal budget; lower --trials"
        )
