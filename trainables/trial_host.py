"""The process in which several trials train side by side, on behalf of the HostedTrials that ask for their legs.

The driver imports this file too: only what runs in the process itself imports torch.
"""

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainables.trial import TrialContext
    from trainables.trial_run import Run, Shared

#: Seconds without a sign after which a run's seat is given to another where none is free: its client seems dead.
_SEAT_S = 60.0


@dataclass
class _Seat:
    """A run in a process that several share, and when its client was last heard of."""

    run: "Run"
    attempt: int
    in_leg: bool = False
    heard: float = field(default_factory=time.monotonic)

    @property
    def is_abandoned(self) -> bool:
        """Whether nobody seems to ask for its legs any more."""
        return not self.in_leg and time.monotonic() - self.heard > _SEAT_S


class TrialHost:
    """Trains up to `n_seats` trials at once, each for a HostedTrial. A Ray actor whose calls run in threads."""

    def __init__(self, n_seats: int) -> None:
        from trainables.cckd.concurrent.epoch_barrier import Meeting
        from trainables.cckd.concurrent.side_by_side import SideBySide

        self._n_seats = n_seats
        self._meeting = Meeting(SideBySide().run_epochs)
        self._shared: Shared | None = None
        self._seats: dict[str, _Seat] = {}

    def ready(self) -> bool:
        """Tell whoever asks that this process has started."""
        return True

    def begin(
        self, config: dict[str, Any], context: "TrialContext", before: tuple[int | str, int] | None = None
    ) -> bool:
        """Begin or continue a run, in place of an earlier attempt at it; False where all seats are taken.

        Args:
            config: as for CckdTrial.
            context: what all runs share.
            before: number and attempt of the run that the client had until now; its seat is free.
        """
        from trainables.trial_run import Run

        name = str(config["number"])
        with self._meeting.alone():
            self._shared = self._shared or context.fetch()
            self._seats.pop(name, None)
            if before is not None:
                self._free(*before)
            if len(self._seats) >= self._n_seats:
                self._seats = {other: seat for other, seat in self._seats.items() if not seat.is_abandoned}
            if len(self._seats) >= self._n_seats:
                return False
            run = Run(config, self._shared, self._meeting.run_epoch)
            self._seats[name] = _Seat(run, config["attempt"])
        return True

    def step(self, number: int | str, attempt: int) -> dict[str, Any]:
        """The next leg of a run, trained together with the legs that others ask for meanwhile."""
        with self._meeting.leg():
            seat = self._seats.get(str(number))
            if seat is None or seat.attempt != attempt:
                raise RuntimeError("the process that trained the trial has been started anew, or took it for abandoned")
            seat.in_leg = True
            try:
                return seat.run.step()
            finally:
                seat.in_leg, seat.heard = False, time.monotonic()

    def leave(self, number: int | str, attempt: int) -> None:
        """Free the run's seat."""
        with self._meeting.alone():
            self._free(number, attempt)

    def _free(self, number: int | str, attempt: int) -> None:
        seat = self._seats.get(str(number))
        if seat is not None and seat.attempt == attempt:
            seat.run.leave()
            del self._seats[str(number)]
