"""Configurations trained again on fresh seeds: the queue of the selection and of the confirmation.

The same seeds train every entry of a phase, so that differences are paired.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from study.execution.failure_budget import Failures
from study.execution.failure_causes import may_retry
from study.execution.retrying_searcher import RetryingSearcher
from study.records.ledger import Ledger
from study.records.run_tables import RunKey
from trainables.cckd.methods import LADDER
from trainables.cckd.random_streams import derive_seed

#: Distance between the training seeds of neighbouring cuts; above all of the study's own, whatever its --seed.
_NEXT_CUT = 10**13


@dataclass(frozen=True)
class Rerun:
    """One training run from scratch.

    Attributes:
        entry: a rung of the ladder at its reference point, best1, best2, ..., a tuned baseline such as la_tuned, or in
            the selection 'candidate'.
        seed: the training seed.
        trial: Optuna trial number of a searched configuration, None for a rung.
        config: flat trial configuration without the seed.
        export: whether this run's student is kept as the entry's model.
        data_seed: the cut of the long tail it trains on; 0 is the study's own.
    """

    entry: str
    seed: int
    trial: int | None
    config: dict[str, Any]
    export: bool
    data_seed: int = 0

    @property
    def name(self) -> str:
        """Names the run's checkpoints; holds the trial, since an extended study may have another best."""
        of_trial = "" if self.trial is None else f"-trial{self.trial}"
        of_cut = f"-cut{self.data_seed}" if self.data_seed else ""
        return f"{self.entry}{of_trial}-seed{self.seed}{of_cut}"

    @property
    def key(self) -> RunKey:
        """As `ConfirmRun.key` once it is filed."""
        return self.data_seed, self.entry, self.seed


def confirm_seeds(study_seed: int, n_seeds: int, data_seed: int = 0) -> tuple[int, ...]:
    """Training seeds of the confirmation on one cut; never a search trial's (those are 63-bit hashes).

    Small numbers on the study's own cut; cut r's begin with r, followed by 13 digits. Cuts share no seed: what a seed
    does to every cut alike would not show in the spread between cuts, and the interval over cuts would miss it.
    """
    return tuple(_NEXT_CUT * data_seed + 1000 * (study_seed + 1) + k for k in range(1, n_seeds + 1))


def selection_seeds(study_seed: int, n_seeds: int) -> tuple[int, ...]:
    """Training seeds of the selection, hashes like those of search trials and never one of theirs."""
    return tuple(derive_seed("selection", study_seed, k) for k in range(1, n_seeds + 1))


def selection_reruns(
    candidates: Sequence[tuple[int, dict[str, Any]]], seeds: Sequence[int], entry: str = "candidate"
) -> list[Rerun]:
    """List every (candidate, seed), seed by seed; `candidates` as `best` of `confirm_reruns`."""
    return [Rerun(entry, seed, number, config, export=False) for seed in seeds for number, config in candidates]


def confirm_reruns(
    best: Sequence[tuple[int, dict[str, Any]]],
    settings: dict[str, Any],
    seeds: Sequence[int],
    data_seed: int = 0,
    tuned: Mapping[str, tuple[int, dict[str, Any]]] = MappingProxyType({}),
) -> list[Rerun]:
    """List every (entry, seed) of one cut, seed by seed so that an early stop leaves whole seeds.

    Args:
        best: (trial number, flat configuration) of the trials to confirm, best first.
        tuned: the same of tuned baselines, by entry.
        settings: training settings the ladder's rungs share with the study.
        seeds: as from `confirm_seeds`. A best entry exports the model of the study's own cut and first seed:
            choosing among them by their test results would be selection on test.
        data_seed: the cut.
    """
    found = [(f"best{rank}", number, config) for rank, (number, config) in enumerate(best, start=1)]
    rivals = [(entry, number, config) for entry, (number, config) in tuned.items()]
    rungs = [(rung, None, {"method": rung, **settings}) for rung in LADDER]
    exported = {entry for entry, _, _ in found}
    return [
        Rerun(entry, seed, trial, config, entry in exported and (data_seed, seed) == (0, seeds[0]), data_seed)
        for seed in seeds
        for entry, trial, config in (*found, *rivals, *rungs)
    ]


class RerunSearcher(RetryingSearcher[Rerun]):
    """Hands Ray the reruns one by one and passes each result on; attempts and failures are kept in the ledger.

    Args:
        reruns: what is left to run.
        ledger: counts attempts, so that a survivor of a lost one can not write into its successor's checkpoints.
        failures: shared with the scheduler.
        checkpoints: root of the shelf for the runs' checkpoints and exported students.
        on_done: called with (rerun, result) when a run has finished.
    """

    def __init__(
        self,
        reruns: Sequence[Rerun],
        *,
        ledger: Ledger,
        failures: Failures,
        checkpoints: str,
        on_done: Callable[[Rerun, dict[str, Any]], None],
    ) -> None:
        super().__init__(failures)
        self._waiting = list(reversed(reruns))
        self._ledger, self._checkpoints, self._on_done = ledger, checkpoints, on_done

    def _next(self) -> Rerun | None:
        return self._waiting.pop() if self._waiting else None

    def _started(self, run: Rerun) -> dict[str, Any]:
        return {
            "number": run.name,
            "attempt": self._ledger.runs.start_rerun(run.name),
            "config": run.config | {"seed": run.seed},
            "checkpoints": self._checkpoints,
            "export": run.entry if run.export else None,
        }

    def _count_failure(self, run: Rerun, told: str) -> int:
        return self._ledger.runs.count_rerun_failure(run.name, told)

    def _give_up(self, run: Rerun, told: str, result: dict[str, Any] | None) -> None:
        self._ledger.runs.fail_rerun(run.name, told)

    def _finish(self, run: Rerun, result: dict[str, Any]) -> None:
        self._on_done(run, result)


def given_up(ledger: Ledger, max_retries: int) -> set[str]:
    """Names of the reruns that are not tried again, unless `max_retries` is raised."""
    return {
        name
        for name, run in ledger.runs.rerun_attempts().items()
        if run.failed and not may_retry(run.cause or "", n_failures=run.failures, max_retries=max_retries)
    }
