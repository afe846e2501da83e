"""A process in which several trials train side by side; a HostedTrial asks it for each leg.

The driver imports this file too. Only functions that run in the process itself import torch.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import ray

from trainables.trial_context import TrialContext

if TYPE_CHECKING:
    from trainables.trial_run import Run

#: Seconds without a call after which a run counts as abandoned; its seat then goes to another run if none is free.
_SEAT_S = 60.0


def name_of(config: Mapping[str, Any]) -> str:
    """Return the name of a run among all of its process; `config` as for CckdTrial.

    It holds the folder of checkpoints: trials of a tuned baseline have the same numbers as those of the studied method.
    """
    return f"{config['checkpoints']}/{config['number']}"


@dataclass
class _Seat:
    """A run in a shared process, and the time of its client's last call."""

    run: "Run"
    attempt: int
    in_leg: bool = False
    last_call: float = field(default_factory=time.monotonic)

    @property
    def is_abandoned(self) -> bool:
        """Whether its client seems to be dead."""
        return not self.in_leg and time.monotonic() - self.last_call > _SEAT_S


class TrialHost:
    """Trains up to `n_seats` trials at once, each for one HostedTrial; a Ray actor whose calls run in threads."""

    def __init__(self, n_seats: int) -> None:
        from trainables.cckd.concurrent.epoch_barrier import EpochBarrier
        from trainables.cckd.concurrent.side_by_side import SideBySide

        self._n_seats = n_seats
        self._barrier = EpochBarrier(SideBySide().run_epochs)
        self._context: TrialContext | None = None
        self._seats: dict[str, _Seat] = {}

    def ready(self) -> bool:
        """Return True: this process has started."""
        return True

    def begin(self, config: dict[str, Any], context: TrialContext, before: tuple[str, int] | None = None) -> bool:
        """Begin or continue a run, in place of an earlier attempt; return False where all seats are taken.

        Args:
            config: as for CckdTrial.
            context: what all runs share.
            before: name and attempt of the client's previous run, whose seat becomes free.
        """
        from trainables.trial_run import Run

        name = name_of(config)
        with self._barrier.alone():
            self._context = self._context or context.fetched(ray.get)
            self._seats.pop(name, None)
            if before is not None:
                self._free(*before)
            if len(self._seats) >= self._n_seats:
                self._seats = {other: seat for other, seat in self._seats.items() if not seat.is_abandoned}
            if len(self._seats) >= self._n_seats:
                return False
            run = Run(config, self._context, self._barrier.run_epoch)
            self._seats[name] = _Seat(run, config["attempt"])
        return True

    def step(self, name: str, attempt: int) -> dict[str, Any]:
        """Train the next leg of a run, together with the legs of other runs; return the leg."""
        with self._barrier.leg():
            seat = self._seats.get(name)
            if seat is None or seat.attempt != attempt:
                raise RuntimeError(
                    "the process that trained the trial was restarted, or gave its seat away as abandoned"
                )
            seat.in_leg = True
            try:
                return seat.run.step()
            finally:
                seat.in_leg, seat.last_call = False, time.monotonic()

    def leave(self, name: str, attempt: int) -> None:
        """Free the run's seat."""
        with self._barrier.alone():
            self._free(name, attempt)

    def _free(self, name: str, attempt: int) -> None:
        seat = self._seats.get(name)
        if seat is not None and seat.attempt == attempt:
            seat.run.leave()
            del self._seats[name]
