"""The search phase: Ray runs the trials that the ledger chooses, until study.db holds the planned total."""

import time
from typing import Any

from study.phase import Study, StudyFailed, StudyInterrupted, run_phase
from study.prepare import Prepared
from study.progress import duration
from study.pruning import LedgerScheduler
from study.searcher import LedgerSearcher
from study.tuner import Workers
from trainables.cckd.methods import LADDER
from trainables.cckd.streams import derive_seed

#: Seconds between two looks at the ledger for the progress line.
_TICK_S = 1.0
#: Tables are written again at most every so many seconds, and for no more than 1/20 of the time.
_TABLES_EVERY_S = 5.0


def search(study: Study, prepared: Prepared, workers: Workers) -> None:
    """Run the trials that are missing.

    Raises:
        StudyInterrupted: Ray came back with trials missing, after Ctrl-C.
        StudyFailed: every trial has ended and none is complete.
    """
    plan, ledger = study.checked.plan, study.ledger
    left = plan.trials - ledger.finished_total
    if left > 0:
        study.store.update_manifest(phase="search")
        study.progress.begin("search", plan.trials)
        shared = {**plan.training, **plan.fixed_knobs}

        def seed_of(params: Any, replicate: int) -> int:
            return derive_seed("trial", plan.seed, {**study.checked.space.config(params), **shared}, replicate)

        folders = {"checkpoints": str(study.checkpoints)}
        searcher = LedgerSearcher(ledger, seed_of=seed_of, settings=shared, extras=folders)
        tick = _Tick(study, workers)
        run_phase(study, prepared, workers, "search", searcher, LedgerScheduler(ledger), left, tick)
        if ledger.finished_total < plan.trials:
            raise StudyInterrupted
        study.progress.end()
    counts = ledger.counts()
    study.progress.say(f"search   {counts['complete']} complete, {counts['pruned']} pruned, {counts['fail']} failed")
    if not counts["complete"]:
        causes = sorted({row.cause for row in ledger.rows() if row.cause})
        raise StudyFailed(f"no trial completed; causes: {'; '.join(causes) or 'none noted'}")


class _Tick:
    """Called on every turn of Ray's loop: progress, tables, spent checkpoints; thinned to cost nothing."""

    def __init__(self, study: Study, workers: Workers) -> None:
        self._study, self._workers = study, workers
        self._n_written = study.ledger.finished_total
        self._next_tick = self._next_tables = 0.0

    def __call__(self) -> None:
        if time.monotonic() < self._next_tick:
            return
        study = self._study
        n_done = study.ledger.finished_total
        study.progress.update(n_done, self._note(n_done))
        if n_done != self._n_written and time.monotonic() >= self._next_tables:
            start = time.monotonic()
            study.export_tables()
            study.store.update_manifest(counts=study.ledger.counts())
            study.sweep()
            self._n_written = n_done
            self._next_tables = time.monotonic() + max(_TABLES_EVERY_S, 20 * (time.monotonic() - start))
        self._next_tick = time.monotonic() + _TICK_S

    def _note(self, n_done: int) -> str:
        plan = self._study.checked.plan
        best = self._study.ledger.best()
        found = f"best {best[0].value:.3f} (trial {best[0].number})" if best else "best -"
        if not n_done:
            return found
        n_confirm = (len(LADDER) + plan.confirm_top) * plan.confirm_seeds
        left_s = self._study.ledger.mean_duration_s() * (plan.trials - n_done + n_confirm) / self._workers.n_workers
        return f"{found}, {duration(left_s)} left"
