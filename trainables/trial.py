"""The one Ray file here: class Trainables that run a trial in legs, in their own process or in one that many share.

Ray places, runs and retries them; the numbers come from `trainables.cckd`, which knows no Ray. Checkpoints do not go
through Ray: its snapshots lag by ten seconds or more and its experiment folder is not a source for resuming.

The driver imports this file too, and torch would cost it seconds before the first trial: only what runs in a worker
imports it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayTaskError
from ray.tune import Trainable

from trainables.cckd.precision import Precision

if TYPE_CHECKING:
    from trainables.trial_run import Shared

#: Seconds that a process may take to begin a run, importing torch included; one that takes longer hangs.
_BEGIN_S = 300.0
#: Seconds between two rounds in search of a seat.
_AGAIN_S = 0.2


@dataclass(frozen=True)
class TrialContext:
    """What every trial of one run shares; the data sets are object references, fetched without a copy.

    Attributes:
        data: reference to a TrialData in the object store.
        teacher: reference to the backbone's weights for `forward` targets, None where no trial may ask for them;
            trials on the CPUs of one node then read one copy of them in its object store.
        test: reference to a TestData, None during the search, which must not see it.
        device: 'cpu' or 'cuda'.
        precision: of the students' passes.
        threads: torch threads of one trial.
        leg_s: seconds after which a trial reports and checkpoints, at the next end of an epoch; a rung always does.
    """

    data: ray.ObjectRef
    teacher: ray.ObjectRef | None
    test: ray.ObjectRef | None
    device: str
    precision: Precision
    threads: int
    leg_s: float = 5.0

    def fetch(self) -> "Shared":
        """Fetch what is referred to, the teacher's weights only when they are asked for."""
        from trainables.trial_run import Shared

        return Shared(
            data=ray.get(self.data),
            test=None if self.test is None else ray.get(self.test),
            weights=lambda: None if self.teacher is None else ray.get(self.teacher),
            device=self.device,
            precision=self.precision,
            threads=self.threads,
            leg_s=self.leg_s,
        )


class CckdTrial(Trainable):
    """One trial: `config` holds `number`, `attempt`, `config` (flat trial configuration), `checkpoints` (root
    of the shelf) and, for a confirmation run, `export` (file stem for the trained student, or None).

    Each step returns a leg: `number`, `attempt`, `records` (every epoch since the last report; after a restart all
    epochs so far, so that nothing a dead driver or worker knew is missing), `done`, `cause` (None, or why the
    trial can not go on: deterministic faults are reported, not raised, so that Ray does not retry them).
    """

    def setup(self, config: dict[str, Any], context: TrialContext) -> None:
        """Fetch the shared data once an actor, then begin the first trial."""
        self._shared = context.fetch()
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Begin another trial in the same, warmed-up process."""
        self.cleanup()
        self._begin(new_config)
        return True

    def cleanup(self) -> None:
        """Leave the machine as it was."""
        self._run.leave()

    def step(self) -> dict[str, Any]:
        """Train up to the next rung, or for `leg_s` seconds, and save a checkpoint."""
        return self._run.step()

    def _begin(self, config: dict[str, Any]) -> None:
        from trainables.trial_run import Run

        self._run: Run = Run(config, self._shared)


@dataclass(frozen=True)
class HostedContext:
    """What a HostedTrial needs.

    Attributes:
        hosts: handles of TrialHost actors.
        trial: what those need; it comes with every run, since an actor that Ray starts anew must not depend on
            references of the one before.
    """

    hosts: tuple[Any, ...]
    trial: TrialContext


class HostedTrial(Trainable):
    """As CckdTrial, to Ray; it trains nothing itself but asks a TrialHost with a free seat to.

    It takes a seat with its first step, no earlier: Tune sets up an actor for a trial and then, where another actor has
    come free meanwhile, gives that one the trial and ends the first, whose begin and end must not touch the trial.
    """

    def setup(self, config: dict[str, Any], context: HostedContext) -> None:
        """Wait for a process that can train; its start, importing torch included, is no part of a leg."""
        self._hosts, self._context = list(context.hosts), context.trial
        self._config = config
        self._run: tuple[int | str, int] | None = None
        self._agree(lambda host: host.ready.remote())

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take another trial, which begins on the seat of the one before."""
        self._config = new_config
        return True

    def cleanup(self) -> None:
        """Free the seat, without waiting for it."""
        if self._run is not None:
            self._hosts[0].leave.remote(*self._run)

    def step(self) -> dict[str, Any]:
        """Ask for the next leg, and before the first for a seat."""
        run = self._config["number"], self._config["attempt"]
        if run != self._run:
            self._agree(lambda host: host.begin.remote(self._config, self._context, self._run))
            self._run = run
        leg: dict[str, Any] = _answer(self._hosts[0].step.remote(*run))
        return leg

    def _agree(self, ask: Callable[[Any], ray.ObjectRef]) -> None:
        """Ask one host after the other until one agrees; that one stands first from then on."""
        limit = time.monotonic() + 2 * _BEGIN_S
        while not any(self._agrees(host, ask) for host in tuple(self._hosts)):
            if time.monotonic() > limit:
                raise RuntimeError(f"no process had a seat for the trial within {2 * _BEGIN_S:g} s")
            time.sleep(_AGAIN_S)

    def _agrees(self, host: Any, ask: Callable[[Any], ray.ObjectRef]) -> bool:
        try:
            agreed: bool = _answer(ask(host), timeout=_BEGIN_S)
        except RayActorError:  # it died, and Ray starts it anew
            return False
        except GetTimeoutError:
            ray.kill(host, no_restart=False)
            return False
        if agreed:
            self._hosts.remove(host)
            self._hosts.insert(0, host)
        return agreed


def _answer(reference: ray.ObjectRef, timeout: float | None = None) -> Any:
    """What the host returned or raised, as if it had been raised here."""
    try:
        return ray.get(reference, timeout=timeout)
    except RayTaskError as error:
        raise error.cause from None
