"""Ray tells us: TrialSchedulers that hear of every result and crash, and answer stop or continue.

Ray calls `on_trial_result` for every result but a trial's last (that one has `done` set and goes to the searcher), and
`on_trial_error` for every crash, just before the searcher's `on_trial_complete(error=True)`.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from study.execution.failure_budget import Failures, noting_faults
from study.execution.failure_causes import cause_of
from study.records.ledger import Ledger

if TYPE_CHECKING:
    from ray.tune.execution.tune_controller import TuneController


class ListeningScheduler(FIFOScheduler):
    """Runs what comes in the order it comes, and leaves the cause of every crash with `failures`.

    Attributes:
        controller: Ray's own, once it has added a trial.
    """

    def __init__(self, failures: Failures) -> None:
        super().__init__()
        self._failures = failures
        self.controller: TuneController | None = None

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Keep the controller, without the wrapper that Ray puts around it for schedulers."""
        self.controller = tune_controller._tune_controller

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Hear that the trial gets on."""
        self._failures.reported()
        return TrialScheduler.CONTINUE

    @noting_faults
    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """Leave the cause of a crash for the searcher."""
        # Ray has written the exception into the driver's own staging folder just before it calls us; its public
        # accessors look in storage_path, where the file arrives later. The text, not the pickle that lies beside it: a
        # pickle would be believed whatever it is.
        self._failures.crash(trial.trial_id, cause_of(Path(trial.error_file).read_text()))

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its scheduler into tuner.pkl, which nothing ever reads back; handles cannot be pickled.
        return {}


class LedgerScheduler(ListeningScheduler):
    """Files every result and stops the trials that the ledger's pruner judges hopeless."""

    def __init__(self, ledger: Ledger, failures: Failures) -> None:
        super().__init__(failures)
        self._ledger = ledger

    @noting_faults
    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """File the epochs of `result`; stop the trial if an evaluation among them is bad enough."""
        super().on_trial_result(tune_controller, trial, result)
        pruned = self._ledger.report(trial.config["number"], result["records"])
        return TrialScheduler.STOP if pruned else TrialScheduler.CONTINUE
