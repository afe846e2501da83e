"""The registry of pruners: when a trial is stopped early, and below which value.

Optuna's pruners are set so that nothing is judged before the first rung. Their decisions read the storage alone, so
they survive any crash. The factor of halving is 2. At Optuna's default of 4, only 3 of 30 simulated 20-epoch trials ran
to the end, too few for any sensitivity.

Optuna is imported inside the functions: `--help` lists the names without it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from study.strategy.samplers import OPENINGS, POINTS

if TYPE_CHECKING:
    from optuna.pruners import BasePruner
    from optuna.study import Study
    from optuna.trial import FrozenTrial

#: Kinds of trial that always run to the end: sensitivities rest on covered space, and who names a point asks for its
#: value.
PROTECTED = frozenset(OPENINGS) | {POINTS}

#: Complete trials before the median means something.
_N_STARTUP = 5
_FACTOR = 2


@dataclass(frozen=True)
class Verdict:
    """Why a pruner stopped a trial: `value` lay below `threshold`.

    Attributes:
        pruner: its name.
        epoch: the evaluated epoch after which it judged.
        value: of the trial: its best so far for `median`, else its value at the rung.
        threshold: the smallest value that would have gone on.
        among: trials that the threshold comes from.
    """

    pruner: str
    epoch: int
    value: float
    threshold: float
    among: int

    def __str__(self) -> str:
        compared = f"{self.value:.4f} below {self.threshold:.4f}, from {self.among} trials"
        return f"pruned at epoch {self.epoch} by {self.pruner}: {compared}"


#: (value, threshold, number of trials behind the threshold), asked right after a pruner has stopped a trial.
Bar = tuple[float, float, int]


@dataclass(frozen=True)
class PrunerKind:
    """One row of the registry.

    Attributes:
        make: returns the pruner, from the rungs (evaluated epochs, ascending).
        bar: returns what a trial was compared with that the pruner has just stopped; None where it stops none.
    """

    make: Callable[[Sequence[int]], BasePruner]
    bar: Callable[[BasePruner, Study, FrozenTrial], Bar] | None


def _none(rungs: Sequence[int]) -> BasePruner:
    from optuna.pruners import NopPruner

    return NopPruner()


def _median(rungs: Sequence[int]) -> BasePruner:
    from optuna.pruners import MedianPruner

    return MedianPruner(n_startup_trials=_N_STARTUP, n_warmup_steps=rungs[0])


def _asha(rungs: Sequence[int]) -> BasePruner:
    from optuna.pruners import SuccessiveHalvingPruner

    return SuccessiveHalvingPruner(min_resource=rungs[0], reduction_factor=_FACTOR)


def _hyperband(rungs: Sequence[int]) -> BasePruner:
    from optuna.pruners import HyperbandPruner

    return HyperbandPruner(min_resource=rungs[0], max_resource=rungs[-1], reduction_factor=_FACTOR)


def _median_bar(pruner: BasePruner, study: Study, trial: FrozenTrial) -> Bar:
    """Compare the trial's best so far with the median of the complete trials at the same epoch."""
    import numpy as np
    from optuna.trial import TrialState

    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    values = [
        known.intermediate_values[trial.last_step] for known in complete if trial.last_step in known.intermediate_values
    ]
    return max(trial.intermediate_values.values()), float(np.nanpercentile(values, 50)), len(values)


def _halving_bar(pruner: BasePruner, study: Study, trial: FrozenTrial) -> Bar:
    """Compare the trial with all that have reached its rung, of which the best half goes on."""
    from study.strategy.optuna_private import value_at_rung

    rung = 0
    while value_at_rung(trial, rung + 1) is not None:
        rung += 1
    found = [value_at_rung(known, rung) for known in study.get_trials(deepcopy=False)]
    ranked = sorted((value for value in found if value is not None), reverse=True)
    own = value_at_rung(trial, rung)
    assert own is not None, "a pruner that halves records what it judges"
    return own, ranked[max(len(ranked) // _FACTOR - 1, 0)], len(ranked)


def _bracket_bar(pruner: BasePruner, study: Study, trial: FrozenTrial) -> Bar:
    """As `_halving_bar`, within the trial's bracket."""
    from study.strategy.optuna_private import bracket_study

    return _halving_bar(pruner, bracket_study(pruner, study, trial), trial)


#: Name on the command line -> pruner.
PRUNERS = {
    "none": PrunerKind(_none, None),
    "median": PrunerKind(_median, _median_bar),
    "asha": PrunerKind(_asha, _halving_bar),
    "hyperband": PrunerKind(_hyperband, _bracket_bar),
}


def verdict_on(name: str, pruner: BasePruner, study: Study, trial: FrozenTrial) -> Verdict:
    """Return why the pruner of this name has just stopped `trial`, as the study stands now."""
    bar = PRUNERS[name].bar
    assert bar is not None, "a pruner that stops trials has a bar"
    assert trial.last_step is not None, "a trial that was judged has been evaluated"
    return Verdict(name, trial.last_step, *bar(pruner, study, trial))
