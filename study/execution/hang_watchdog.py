"""Trials that say nothing: their workers are killed, so that a slot is never lost to a process that hangs.

Ray hears of a worker that dies, never of one that stands still (a stopped process, a dead mount, a deadlock). The
killed worker is a dead one like any other, so a hung trial is tried again from its checkpoint.
"""

import time
from collections.abc import Iterable
from typing import Any

from study.execution.failure_budget import Failures
from study.execution.schedulers import ListeningScheduler

#: What a worker is given beyond the limit to start: importing torch, fetching the data.
SETUP_S = 300.0
#: Seconds between two looks.
_EVERY_S = 1.0


class HungWatch:
    """Looks after the trials of one phase; call it on every turn of Ray's loop.

    Args:
        scheduler: of the phase; it knows Ray's controller.
        failures: hears of what is killed here.
        limit_s: seconds without a report after which a trial hangs; 0 is never.
    """

    def __init__(self, scheduler: ListeningScheduler, failures: Failures, limit_s: float) -> None:
        self._scheduler, self._failures, self._limit_s = scheduler, failures, limit_s
        self._signs: dict[str, tuple[Any, float]] = {}
        self._next = 0.0

    def __call__(self, trials: Iterable[Any]) -> None:
        """Kill the workers of trials that have said nothing for too long."""
        now = time.monotonic()
        if not self._limit_s or now < self._next:
            return
        self._next = now + _EVERY_S
        live = {trial.trial_id: trial for trial in trials if trial.status in ("PENDING", "RUNNING")}
        self._signs = {name: sign for name, sign in self._signs.items() if name in live}
        for name, trial in live.items():
            self._look(name, trial, now)

    def _look(self, name: str, trial: Any, now: float) -> None:
        actor = self._actor(trial)
        # A trial that waits for a free node has no worker yet, and may wait.
        sign = None if actor is None else (trial.status, trial.run_metadata.last_result_time)
        known, since = self._signs.get(name, (None, now))
        if sign is None or sign != known:
            self._signs[name] = (sign, now)
            return
        limit_s = self._limit_s + (SETUP_S if trial.status == "PENDING" else 0.0)
        if now - since > limit_s:
            import ray

            self._signs[name] = (sign, now)
            self._failures.hang(name, limit_s)
            ray.kill(actor)

    def _actor(self, trial: Any) -> Any:
        """The worker's handle; Tune's public parts know it only once its setup is over."""
        controller = self._scheduler.controller
        if controller is None:
            return None
        tracked = controller._trial_to_actor.get(trial)
        handle, _ = controller._actor_manager._live_actors_to_ray_actors_resources.get(tracked, (None, None))
        return handle
