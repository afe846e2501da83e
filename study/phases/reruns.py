"""Reruns: configurations that are trained again on fresh seeds, for the selection and for the confirmation.

Every entry of a phase is trained on the same seeds, so that differences between entries are paired.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from study.execution.attempts import AttemptLog
from study.execution.failure_causes import may_retry
from study.execution.schedulers import ListeningScheduler
from study.execution.searchers import RetryingSearcher
from study.execution.workers import Workers
from study.phases.phase import Phase
from study.phases.study_state import Study, Ticker
from study.records.ledger import Ledger
from study.teacher.bundle import Prepared
from study.terminal.progress import duration
from trainables.cckd.methods import LADDER
from trainables.cckd.random_streams import derive_seed
from trainables.checkpoint_store import Shelf

#: Distance between the training seeds of neighbouring cuts. It exceeds every seed of the study's own cut, for any
#: --seed.
_NEXT_CUT = 10**13


@dataclass(frozen=True)
class Rerun:
    """One training run from scratch.

    Attributes:
        entry: in the confirmation a rung of the ladder at its reference point, best1, best2, ..., or a tuned baseline
            such as la_tuned; in the selection 'candidate'.
        seed: the training seed.
        trial: Optuna trial number of a searched configuration, None for a rung.
        config: flat trial configuration without the seed.
        export: whether this run's student is kept as the entry's model.
        data_seed: the cut of the long tail on which it trains; 0 is the study's own.
    """

    entry: str
    seed: int
    trial: int | None
    config: dict[str, Any]
    export: bool
    data_seed: int = 0

    @property
    def name(self) -> str:
        """Names the run and its checkpoints."""
        return rerun_name(self.entry, self.seed, self.trial, self.data_seed)


@dataclass(frozen=True)
class RerunQueue:
    """All reruns of one phase, finished or not.

    Attributes:
        phase: names Ray's folder.
        title: names the phase on the progress line.
        runs: of which the missing ones are run.
        n_total: runs that the progress line counts.
        finished: returns the names of all finished runs that the progress line counts.
        record: records the result of a run in study.db.
        shelf: for the checkpoints.
        forwards_teacher, opens_test, is_temporary: as in `Phase`.
        note: text behind the time left.
    """

    phase: str
    title: str
    runs: Sequence[Rerun]
    n_total: int
    finished: Callable[[], set[str]]
    record: Callable[[Rerun, dict[str, Any]], None]
    shelf: Shelf
    forwards_teacher: bool
    opens_test: bool = False
    is_temporary: bool = False
    note: str = ""


def run_reruns(study: Study, ledger: Ledger, queue: RerunQueue, prepared: Prepared, workers: Workers) -> None:
    """Run the missing runs of `queue`; `ledger` is the search from which they come.

    Raises:
        KeyboardInterrupt: after Ctrl-C.
        StudyFailed: failures exceed a limit.
    """

    def note(n_done: int) -> str:
        # A run costs as much as a trial of the search.
        seconds = ledger.mean_duration_s() * (queue.n_total - n_done) / workers.n_workers
        return f"{duration(seconds)} left{queue.note}"

    def record(run: Rerun, result: dict[str, Any]) -> None:
        queue.record(run, result)
        queue.shelf.remove(run.name)

    study.progress.begin(queue.title, queue.n_total)
    attempts, left = study.new_attempts(prepared), missing_runs(study, queue)
    phase = Phase(
        searcher=RerunSearcher(left, ledger, attempts, checkpoints=queue.shelf.root, on_done=record),
        scheduler=ListeningScheduler(attempts),
        folder=study.ray_folder(queue.phase),
        on_step=Ticker(study, n_done=lambda: len(queue.finished()), note=note),
        on_interrupt=study.warn_of_interrupt,
        forwards_teacher=queue.forwards_teacher,
        opens_test=queue.opens_test,
        is_temporary=queue.is_temporary,
    )
    study.run(prepared, workers, phase, is_missing=lambda: bool(missing_runs(study, queue)))


def missing_runs(study: Study, queue: RerunQueue) -> list[Rerun]:
    """Return the runs of `queue` that have neither a result nor failed for good."""
    done = queue.finished() | given_up(study.ledger, study.checked.plan.max_retries)
    return [run for run in queue.runs if run.name not in done]


def rerun_name(entry: str, seed: int | None, trial: int | None, data_seed: int = 0) -> str:
    """Return the name of a rerun. It holds the trial, because an extended study may have another best trial."""
    of_trial = "" if trial is None else f"-trial{trial}"
    of_cut = f"-cut{data_seed}" if data_seed else ""
    return f"{entry}{of_trial}-seed{seed}{of_cut}"


def confirm_seeds(study_seed: int, n_seeds: int, data_seed: int = 0) -> tuple[int, ...]:
    """Return the training seeds of the confirmation on one cut; no search trial has one (those are 63-bit hashes).

    The seeds of the study's own cut are small numbers. The seeds of cut r begin with r, followed by 13 digits. Cuts
    share no seed: an effect that a seed has on every cut would not show in the spread between cuts, and the interval
    over cuts would miss it.
    """
    return tuple(_NEXT_CUT * data_seed + 1000 * (study_seed + 1) + k for k in range(1, n_seeds + 1))


def selection_seeds(study_seed: int, n_seeds: int) -> tuple[int, ...]:
    """Return the training seeds of the selection: hashes like the seeds of search trials, but different ones."""
    return tuple(derive_seed("selection", study_seed, k) for k in range(1, n_seeds + 1))


def selection_reruns(
    candidates: Sequence[tuple[int, dict[str, Any]]], seeds: Sequence[int], entry: str = "candidate"
) -> list[Rerun]:
    """Return one rerun per (candidate, seed), seed by seed; `candidates` as `best` in `confirm_reruns`."""
    return [Rerun(entry, seed, number, config, export=False) for seed in seeds for number, config in candidates]


def confirm_reruns(
    best: Sequence[tuple[int, dict[str, Any]]],
    settings: dict[str, Any],
    seeds: Sequence[int],
    data_seed: int = 0,
    tuned: Mapping[str, tuple[int, dict[str, Any]]] = MappingProxyType({}),
) -> list[Rerun]:
    """Return one rerun per (entry, seed) of one cut, seed by seed so that an early stop leaves whole seeds.

    Args:
        best: (trial number, flat configuration) of the trials to confirm, best first.
        settings: training settings that the ladder's rungs share with the study.
        seeds: from `confirm_seeds`. A best entry exports the model of the study's own cut and first seed. A choice by
            the test results would be selection on test.
        data_seed: the cut.
        tuned: entry -> (trial number, flat configuration) of the tuned baselines.
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
    """Hands Ray the reruns one by one and passes each result on; the ledger holds attempts and failures.

    Args:
        reruns: the runs that are left.
        ledger: counts attempts, so that a survivor of a lost attempt cannot write into its successor's checkpoints.
        attempts: shared with the scheduler.
        checkpoints: root of the shelf for the runs' checkpoints and exported students.
        on_done: called with (rerun, result) when a run has finished.
    """

    def __init__(
        self,
        reruns: Sequence[Rerun],
        ledger: Ledger,
        attempts: AttemptLog,
        *,
        checkpoints: str,
        on_done: Callable[[Rerun, dict[str, Any]], None],
    ) -> None:
        super().__init__(attempts)
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

    def _count_failure(self, run: Rerun, why: str) -> int:
        return self._ledger.runs.count_rerun_failure(run.name, why)

    def _give_up(self, run: Rerun, why: str, result: dict[str, Any] | None) -> None:
        self._ledger.runs.fail_rerun(run.name, why)

    def _finish(self, run: Rerun, result: dict[str, Any]) -> None:
        self._on_done(run, result)


def given_up(ledger: Ledger, max_retries: int) -> set[str]:
    """Return the names of the reruns that are not tried again with this `max_retries`."""
    return {
        name
        for name, run in ledger.runs.rerun_attempts().items()
        if run.failed and not may_retry(run.cause or "", n_failures=run.failures, max_retries=max_retries)
    }
