"""The search phase: Ray runs the trials that the ledger chooses, until study.db holds the planned total."""

from typing import Any

from study.execution.ledger_searcher import LedgerSearcher
from study.execution.schedulers import LedgerScheduler
from study.execution.tuner import Workers
from study.phases.phase import NothingComplete, Study, StudyInterrupted, check_failures, run_phase
from study.phases.ticker import Ticker
from study.teacher.bundle import Prepared
from study.terminal.progress import duration
from trainables.cckd.random_streams import derive_seed


def search(study: Study, prepared: Prepared, workers: Workers) -> None:
    """Run the trials that are missing.

    Raises:
        StudyInterrupted: Ray came back with trials missing.
        StudyFailed: too much has failed.
        NothingComplete: every trial has ended and none is complete.
    """
    plan, ledger = study.checked.plan, study.ledger
    left = plan.trials - ledger.finished_total
    if left > 0:
        study.store.update_manifest(phase="search")
        study.progress.begin(study.what, plan.trials)
        shared = {**plan.training, **plan.fixed_knobs}

        def seed_of(params: Any, replicate: int) -> int:
            return derive_seed("trial", plan.seed, {**study.checked.space.config(params), **shared}, replicate)

        folders = {"checkpoints": study.shelf.root}
        failures = study.failures
        searcher = LedgerSearcher(ledger, failures=failures, seed_of=seed_of, settings=shared, extras=folders)
        tick = Ticker(study, n_done=lambda: ledger.finished_total, note=lambda n: _note(study, workers, n))
        run_phase(study, prepared, workers, "search", searcher, LedgerScheduler(ledger, failures), tick)
        check_failures(study)
        if ledger.finished_total < plan.trials:
            raise StudyInterrupted
        study.progress.end()
        study.export()
    counts = ledger.counts()
    states = f"{counts['complete']} complete, {counts['pruned']} pruned, {counts['fail']} failed"
    study.progress.say(f"{study.what:<8} {states}")
    check_failures(study)
    if not counts["complete"]:
        causes = sorted({row.cause for row in ledger.rows() if row.cause})
        raise NothingComplete(f"no trial completed; causes: {'; '.join(causes) or 'none noted'}")


def _note(study: Study, workers: Workers, n_done: int) -> str:
    """Best so far, and the time left for all phases at the mean cost of the trials so far."""
    plan = study.checked.plan
    best = study.ledger.best()
    found = f"best {best[0].value:.3f} (trial {best[0].number})" if best else "best -"
    if not n_done:
        return found
    n_left = plan.trials - n_done + study.n_left
    left_s = study.ledger.mean_duration_s() * n_left / workers.n_workers
    # 64 of 64 trials may be done and minutes be left: those of the phases that follow.
    return f"{found}, {duration(left_s)} left{' in all' if study.n_left else ''}"
