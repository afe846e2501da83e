"""Ray trainables that run a trial in legs, in a process of their own or in one that several trials share.

Ray places, runs and retries them; the numbers come from `trainables.cckd`, which knows no Ray. Checkpoints do not go
through Ray: its snapshots lag by ten seconds or more, and its experiment folder is not a source for resuming.

The driver imports this file too, and torch would delay the first trial by seconds. Only functions that run in a worker
import torch.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayTaskError
from ray.tune import Trainable

from trainables.trial_context import TrialContext
from trainables.trial_host import name_of

#: Seconds that a process may take to begin a run, importing torch included; after that it counts as hanging.
_BEGIN_S = 300.0
#: Seconds between two rounds of asking every process for a free seat.
_AGAIN_S = 0.2


class CckdTrial(Trainable):
    """One trial in a process of its own.

    `config` holds `number`, `attempt`, `config` (flat trial configuration), `checkpoints` (root of the checkpoint
    store) and, for a rerun, `export` (file stem for the trained student, or None), `curve` (whether D_val is
    evaluated at `curve_epochs` instead of the rungs) and `opens_test` (whether the run is judged on the test set).

    Each step returns a leg: `number`, `attempt`, `records`, `done` and `cause`. `records` are the epochs since the last
    report; after a restart they are all epochs so far, so that the driver misses none. `cause` is None, or the reason
    why the trial cannot continue: deterministic faults are reported, not raised, so that Ray does not retry them.
    """

    def setup(self, config: dict[str, Any], context: TrialContext) -> None:
        """Fetch the shared data, once per actor, then begin the first trial."""
        self._context = context.fetched(ray.get)
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Begin another trial in the same process, which is warm."""
        self.cleanup()
        self._begin(new_config)
        return True

    def cleanup(self) -> None:
        """Remove the run's local copies."""
        self._run.leave()

    def step(self) -> dict[str, Any]:
        """Train up to the next rung, or for `leg_s` seconds, and save a checkpoint."""
        return self._run.step()

    def _begin(self, config: dict[str, Any]) -> None:
        from trainables.trial_run import Run

        self._run: Run = Run(config, self._context)


@dataclass(frozen=True)
class HostedContext:
    """What a HostedTrial needs.

    Attributes:
        hosts: handles of TrialHost actors.
        trial: the context of all trials. It is sent with every run, because a restarted actor must not depend on
            references of its predecessor.
    """

    hosts: tuple[Any, ...]
    trial: TrialContext


class HostedTrial(Trainable):
    """Looks like a CckdTrial to Ray, but lets a TrialHost with a free seat train.

    It takes a seat with its first step, not before. Tune may set up an actor for a trial, then give the trial to
    another actor that has become free, and end the first one. That first actor must not touch the trial.
    """

    def setup(self, config: dict[str, Any], context: HostedContext) -> None:
        """Wait for a process that can train; its start, importing torch included, does not count as a leg."""
        self._hosts, self._context = list(context.hosts), context.trial
        self._config = config
        self._run: tuple[str, int] | None = None
        self._agree(lambda host: host.ready.remote())

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take another trial; it gets the seat of the previous one."""
        self._config = new_config
        return True

    def cleanup(self) -> None:
        """Free the seat; do not wait for the answer."""
        if self._run is not None:
            self._hosts[0].leave.remote(*self._run)

    def step(self) -> dict[str, Any]:
        """Ask for the next leg; before the first leg ask for a seat."""
        run = name_of(self._config), self._config["attempt"]
        if run != self._run:
            self._agree(lambda host: host.begin.remote(self._config, self._context, self._run))
            self._run = run
        leg: dict[str, Any] = _answer(self._hosts[0].step.remote(*run))
        return leg

    def _agree(self, ask: Callable[[Any], ray.ObjectRef]) -> None:
        """Ask one host after the other until one agrees; later calls ask this host first."""
        limit = time.monotonic() + 2 * _BEGIN_S
        while not any(self._agrees(host, ask) for host in tuple(self._hosts)):
            if time.monotonic() > limit:
                raise RuntimeError(f"no process had a free seat for the trial within {2 * _BEGIN_S:g} s")
            time.sleep(_AGAIN_S)

    def _agrees(self, host: Any, ask: Callable[[Any], ray.ObjectRef]) -> bool:
        try:
            agreed: bool = _answer(ask(host), timeout=_BEGIN_S)
        except RayActorError:  # it died, and Ray restarts it
            return False
        except GetTimeoutError:
            ray.kill(host, no_restart=False)
            return False
        if agreed:
            self._hosts.remove(host)
            self._hosts.insert(0, host)
        return agreed


def _answer(reference: ray.ObjectRef, timeout: float | None = None) -> Any:
    """Return what the host returned, or raise its own exception."""
    try:
        return ray.get(reference, timeout=timeout)
    except RayTaskError as error:
        raise error.cause from None
