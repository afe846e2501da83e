"""Ray tells the ledger: a Ray TrialScheduler that files every result and answers stop or continue.

Ray calls `on_trial_result` for every result but a trial's last (that one has `done` set and goes to the
searcher). It calls `on_trial_error` for every crash, before it retries the trial (then `on_trial_add`
follows) or gives it up (then the searcher's `on_trial_complete(error=True)` follows).
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from study.causes import cause_of
from study.ledger import Ledger

if TYPE_CHECKING:
    from ray.tune.execution.tune_controller import TuneController


class LedgerScheduler(FIFOScheduler):
    """Runs trials in the order they come and stops those the ledger's pruner judges hopeless."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self._ledger = ledger
        self._added: set[str] = set()

    def on_trial_add(self, tune_controller: "TuneController", trial: Trial) -> None:
        """Give a trial that Ray starts again a new attempt.

        Ray restarts it with the configuration of its first start, and a survivor of that start must not write
        into the new one's checkpoints.
        """
        if trial.trial_id in self._added:
            attempt = self._ledger.start_attempt(trial.config["number"])
            trial.set_config({**trial.config, "attempt": attempt})
        self._added.add(trial.trial_id)

    def on_trial_result(self, tune_controller: "TuneController", trial: Trial, result: dict[str, Any]) -> str:
        """File the epochs of `result`; stop the trial if its newest evaluation is bad enough."""
        number = trial.config["number"]
        evaluated = self._ledger.record(number, result["records"])
        if evaluated and self._ledger.should_prune(number, evaluated[-1]):
            self._ledger.prune(number)
            return TrialScheduler.STOP
        return TrialScheduler.CONTINUE

    def on_trial_error(self, tune_controller: "TuneController", trial: Trial) -> None:
        """Leave the cause with the ledger, which uses it if Ray gives the trial up."""
        self._ledger.note_error(trial.config["number"], _cause(trial))

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its scheduler into tuner.pkl, which nothing ever reads back; handles cannot be pickled.
        return {}


def _cause(trial: Trial) -> str:
    # Ray has written the exception into the driver's own staging folder just before it calls us; its public
    # accessors look in storage_path, where the file arrives later. The text, not the pickle that lies beside it: a
    # pickle would be believed whatever it is.
    return cause_of(Path(trial.error_file).read_text())
