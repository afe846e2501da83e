"""The hang watchdog kills the worker of a trial that reports nothing, so that its slot is never lost.

Ray notices a worker that dies but not a worker that stands still: a stopped process, a dead mount, a deadlock. A killed
worker is a dead worker like any other, so a hung trial is tried again from its checkpoint.
"""

import time
from collections.abc import Iterable
from typing import Any

from study.execution.course import CourseScheduler
from study.execution.ray_private import worker_of

#: Seconds that a worker may take beyond the limit to start: it imports torch and fetches the data.
SETUP_S = 300.0
#: Seconds between two checks.
_EVERY_S = 1.0


class HangWatchdog:
    """Watches the trials of one course; called on every turn of Ray's loop.

    Args:
        scheduler: of the course; it knows Ray's controller and the running attempts.
        limit_s: seconds without a report after which a trial hangs; 0 for never.
    """

    def __init__(self, scheduler: CourseScheduler, limit_s: float) -> None:
        self._scheduler, self._limit_s = scheduler, limit_s
        self._signs: dict[str, tuple[Any, float]] = {}
        self._next = 0.0

    def __call__(self, trials: Iterable[Any]) -> None:
        """Kill the workers of trials that have reported nothing for too long."""
        now = time.monotonic()
        if not self._limit_s or now < self._next:
            return
        self._next = now + _EVERY_S
        live = {trial.trial_id: trial for trial in trials if trial.status in ("PENDING", "RUNNING")}
        self._signs = {name: sign for name, sign in self._signs.items() if name in live}
        for name, trial in live.items():
            worker = worker_of(self._scheduler.controller, trial)
            # A trial that waits for a free node has no worker yet, and may wait.
            sign = None if worker is None else (trial.status, trial.run_metadata.last_result_time)
            known, since = self._signs.get(name, (None, now))
            if sign is None or sign != known:
                self._signs[name] = (sign, now)
                continue
            limit_s = self._limit_s + (SETUP_S if trial.status == "PENDING" else 0.0)
            if now - since > limit_s:
                import ray

                self._signs[name] = (sign, now)
                self._scheduler.attempts.hang(name, limit_s)
                ray.kill(worker)
