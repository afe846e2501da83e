"""The registry of pruners: when a trial is stopped early.

Optuna's pruners are set so that nothing is judged before the first rung. Their decisions read the storage alone, so
they survive any crash. The factor of halving is 2. At Optuna's default of 4, only 3 of 30 simulated 20-epoch trials ran
to the end, too few for any sensitivity.

Optuna is imported inside the functions: `--help` lists the names without it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from study.strategy.samplers import OPENINGS

if TYPE_CHECKING:
    from optuna.pruners import BasePruner

#: Kinds of trial that always run to the end, so that sensitivities rest on covered space.
PROTECTED = frozenset(OPENINGS)

#: Complete trials before the median means something.
_N_STARTUP = 5
_FACTOR = 2


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


#: Name on the command line -> function of the rungs (evaluated epochs, ascending) that makes the pruner.
PRUNERS: dict[str, Callable[[Sequence[int]], BasePruner]] = {
    "none": _none,
    "median": _median,
    "asha": _asha,
    "hyperband": _hyperband,
}
