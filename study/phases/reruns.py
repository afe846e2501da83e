"""Reruns: configurations that are trained again on fresh seeds, for the selection and the phases after it.

Every entry of a phase is trained on the same seeds, so that differences between entries are paired.
"""

from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass
from typing import Any

from study.execution.attempts import AttemptLog
from study.execution.course import Phase
from study.execution.failure_causes import may_retry
from study.execution.searchers import RetryingSearcher
from study.execution.workers import Workers
from study.phases.state.study_in_progress import Study
from study.phases.state.ticker import Ticker
from study.records.ledger import Ledger
from study.records.rerun_names import rerun_name
from study.terminal.progress import duration
from trainables.checkpoint_store import CheckpointStore


@dataclass(frozen=True)
class Rerun:
    """One training run from scratch.

    Attributes:
        entry: in the confirmation a rung of the ladder at its reference point, best1, best2, ..., or a tuned baseline
            such as la_tuned; in the selection 'candidate'; in the ablation `ablation_entry` of the change.
        seed: the training seed.
        trial: Optuna trial number of a searched configuration, None for a rung.
        config: flat trial configuration without the seed.
        export: whether this run's student is kept as the entry's model.
        data_seed: the cut of the long tail on which it trains; 0 is the study's own.
        epochs_factor: its epochs over the epochs of a trial.
        curve: whether it is evaluated on D_val at `curve_epochs`; otherwise at the rungs of a trial.
    """

    entry: str
    seed: int
    trial: int | None
    config: dict[str, Any]
    export: bool
    data_seed: int = 0
    epochs_factor: int = 1
    curve: bool = False

    @property
    def name(self) -> str:
        """Names the run and its checkpoints."""
        return rerun_name(self.entry, self.seed, self.trial, self.data_seed, self.epochs_factor)


@dataclass(frozen=True)
class RerunQueue:
    """The reruns of one phase, finished or not.

    Attributes:
        title: names the phase on the progress line.
        runs: of which the missing ones are run.
        counted: names of the runs that the progress line counts.
        recorded: returns the names of all recorded runs.
        record: records the result of a run.
        checkpoints: of the runs.
        opens_test: whether the runs are judged on the test set.
        note: text behind the time left.
        cost: cost of one of the runs, in trials of the search.
    """

    title: str
    runs: Sequence[Rerun]
    counted: Set[str]
    recorded: Callable[[], set[str]]
    record: Callable[[Rerun, dict[str, Any]], None]
    checkpoints: CheckpointStore
    opens_test: bool = False
    note: str = ""
    cost: int = 1

    def n_done(self) -> int:
        """Return the number of counted runs that are recorded."""
        return len(self.counted & self.recorded())

    def missing(self, study: Study) -> list[Rerun]:
        """Return the runs that have neither a result nor failed for good."""
        done = self.recorded() | given_up(study.ledger, study.checked.plan.max_retries)
        return [run for run in self.runs if run.name not in done]


def run_reruns(
    study: Study, ledger: Ledger, queue: RerunQueue, attempts: AttemptLog, workers: Workers
) -> Iterator[Phase]:
    """Yield the phase of the missing runs of `queue`, if there are any; `ledger` is the search from which they come.

    Raises:
        StudyFailed: failures exceed a limit.
    """
    missing, n_total = queue.missing(study), len(queue.counted)
    if not missing:
        return

    def seconds_left(n_done: int) -> float:
        n_trials = queue.cost * (n_total - n_done)
        left_s = study.pace.seconds_for(n_trials * study.checked.plan.epochs)
        return ledger.mean_duration_s() * n_trials / workers.n_workers if left_s is None else left_s

    def note(left_s: float | None) -> str:
        assert left_s is not None, "the trials of the search say what a run costs"
        return f"{duration(left_s)} left{queue.note}"

    def record(run: Rerun, result: dict[str, Any]) -> None:
        queue.record(run, result)
        queue.checkpoints.remove(run.name)

    study.progress.begin(queue.title, n_total)
    yield Phase(
        searcher=RerunSearcher(
            missing,
            ledger,
            attempts,
            checkpoints=queue.checkpoints.root,
            opens_test=queue.opens_test,
            on_done=record,
        ),
        on_step=Ticker(study, n_done=queue.n_done, seconds_left=seconds_left, note=note),
    )
    study.end_phase()


class RerunSearcher(RetryingSearcher[Rerun]):
    """Hands Ray the reruns one by one and passes each result on; the ledger holds attempts and failures.

    Args:
        reruns: the runs that are left.
        ledger: counts attempts, so that a survivor of a lost attempt cannot write into its successor's checkpoints.
        attempts: of the course.
        checkpoints: where the checkpoints and exported students of the runs lie.
        opens_test: whether the runs are judged on the test set.
        on_done: called with (rerun, result) when a run has finished.
    """

    def __init__(
        self,
        reruns: Sequence[Rerun],
        ledger: Ledger,
        attempts: AttemptLog,
        *,
        checkpoints: str,
        opens_test: bool = False,
        on_done: Callable[[Rerun, dict[str, Any]], None],
    ) -> None:
        super().__init__(attempts)
        self._waiting = list(reversed(reruns))
        self._ledger, self._checkpoints, self._on_done = ledger, checkpoints, on_done
        self._opens_test = opens_test

    def _next(self) -> Rerun | None:
        return self._waiting.pop() if self._waiting else None

    def _started(self, run: Rerun) -> dict[str, Any]:
        return {
            "number": run.name,
            "attempt": self._ledger.runs.start_rerun(run.name),
            "config": run.config | {"seed": run.seed},
            "checkpoints": self._checkpoints,
            "export": run.entry if run.export else None,
            "curve": run.curve,
            "opens_test": self._opens_test,
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
