"""`--tuned-baselines`, judged: which rivals can be tuned at the budget of the studied method, and over which space.

A method tuned over many trials against rivals at their defaults may win by the search alone.
"""

from dataclasses import replace

from search_spaces.baselines import SPACES
from search_spaces.space import SearchSpace
from study.planning.plan import StudyPlan
from study.planning.spaces import corner_points
from study.strategy.samplers import grid_size
from study.terminal.faults import Faults
from trainables.cckd.config import TrialConfig, training_settings

_SPACES = {space.name: space for space in SPACES}


def baseline_space(name: str, space: SearchSpace, plan: StudyPlan) -> SearchSpace:
    """Return what is searched for a baseline: its own knobs, and the training settings that `space` searches always.

    A training setting that is fixed for the whole study, by `--set` or by `space`, is not searched.
    """
    own = _SPACES[name]
    apart = {knob.name for knob in own.tunable} | {rule.knob for rule in space.conditions}
    shared = [knob for knob in space.tunable if knob.name in training_settings() and knob.name not in apart]
    return replace(own, tunable=tuple(knob for knob in (*own.tunable, *shared) if knob.name not in plan.training))


def check_baselines(plan: StudyPlan, space: SearchSpace, faults: Faults) -> None:
    """Can the plan's baselines be tuned, at a budget equal to that of `space`?"""
    if plan.tuned_baselines and plan.warm_start:
        faults.add("--tuned-baselines promises an equal budget, which --warm-start does not leave; drop one of them")
    for name in plan.tuned_baselines:
        if name not in _SPACES:
            faults.add(f"--tuned-baselines takes a list of {', '.join(_SPACES)}, or nothing; got {name!r}")
        elif name == space.method:
            faults.add(f"--tuned-baselines {name} is what space {space.name} tunes already; name other methods")
        elif all(knob.name in plan.training for knob in _SPACES[name].tunable):
            fixed = ", ".join(knob.name for knob in _SPACES[name].tunable)
            faults.add(f"--tuned-baselines {name} has nothing to tune: {fixed} are fixed; leave {name} out")
        else:
            _check_space(baseline_space(name, space, plan), plan, faults)


def _check_space(space: SearchSpace, plan: StudyPlan, faults: Faults) -> None:
    with faults.gather():
        for point in corner_points(space):
            TrialConfig.build(space.config(point) | plan.training)
    if plan.sampler == "grid" and plan.trials > grid_size(space):
        faults.add(
            f"--tuned-baselines {space.name} has {grid_size(space)} points on its grid, too few for the {plan.trials} "
            "trials of an equal budget; lower --trials"
        )
