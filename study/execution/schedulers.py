"""The Ray schedulers: they see every result and every crash, and answer whether the trial goes on.

Ray calls `on_trial_result` for every result except a trial's last one, which has `done` set and goes to the searcher.
It calls `on_trial_error` for every crash, just before the searcher's `on_trial_complete(error=True)`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from study.execution.attempts import AttemptLog
from study.execution.failure_causes import cause_of
from study.execution.ray_private import controller_behind, keep_idle_workers
from study.records.ledger import Ledger


class ListeningScheduler(FIFOScheduler):
    """Starts trials in the order in which they come, and notes the cause of every crash in `attempts`.

    Args:
        attempts: shared with the phase's searcher.

    Attributes:
        controller: Ray Tune's controller; None until Ray has added the first trial.
        place: called with a new trial before Ray looks for its place.
        n_kept: workers that Ray keeps when they have no trial, beside those that pending trials need.
    """

    def __init__(self, attempts: AttemptLog) -> None:
        super().__init__()
        self.attempts = attempts
        self.controller: Any = None
        self.place: Callable[[Trial], None] = lambda trial: None
        self.n_kept = 0

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Keep the controller, say where the trial may run, and have Ray keep idle workers from the first trial on."""
        is_first = self.controller is None
        self.controller = controller_behind(tune_controller)
        self.place(trial)
        if is_first and self.n_kept:
            keep_idle_workers(self.controller, trial, self.n_kept)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Note that the trial makes progress."""
        self.attempts.report(self.attempts.running(trial.trial_id), len(result.get("records", ())))
        return TrialScheduler.CONTINUE

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """Note the cause of a crash; the searcher reads it a moment later."""
        # Ray has just written the exception into the driver's own staging folder. Its public accessors look in
        # storage_path, where the file arrives later. We read the text and not the pickle beside it: unpickling a file
        # can run any code.
        with self.attempts.keeping_fault():
            self.attempts.crash(trial.trial_id, cause_of(Path(trial.error_file).read_text()))

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its scheduler into tuner.pkl, which is never read again. Database handles cannot be pickled.
        return {}


class LedgerScheduler(ListeningScheduler):
    """Records every result in the ledger and stops the trials that the ledger prunes."""

    def __init__(self, ledger: Ledger, attempts: AttemptLog) -> None:
        super().__init__(attempts)
        self._ledger = ledger

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Record the epochs of `result`; stop the trial if the ledger prunes it."""
        with self.attempts.keeping_fault():
            super().on_trial_result(tune_controller, trial, result)
            pruned = self._ledger.report(trial.config["number"], result["records"])
        return TrialScheduler.STOP if pruned else TrialScheduler.CONTINUE
