"""Where the threads of one process, each with a trial, meet to train an epoch together.

All device work happens in one thread at a time: CUDA allows no other thread to do as it likes while a step is recorded.
All epochs are trained in one and the same thread: one that has not warmed up has no library handles of its own yet, and
making them is what a recording does not bear.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Condition, Lock

from trainables.cckd.concurrent.side_by_side import Outcome
from trainables.cckd.records import EpochRecord
from trainables.cckd.training.trainer import Trainer


class Meeting:
    """Brings trials that are in the midst of a leg together, epoch by epoch; none waits for one that is not.

    Args:
        run_epochs: trains one epoch of each.
    """

    def __init__(self, run_epochs: Callable[[Sequence[Trainer]], list[Outcome]]) -> None:
        self._run_epochs = run_epochs
        self._trains = ThreadPoolExecutor(1)
        self._turn = Condition()
        self._counting = Lock()
        self._n_expected = 0
        self._waiting: list[Trainer] = []
        self._outcomes: dict[Trainer, Outcome] = {}

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Have the device to oneself; whoever holds it calls nothing else here."""
        with self._turn:
            yield

    @contextmanager
    def leg(self) -> Iterator[None]:
        """Have the device to oneself, and be waited for, but while `run_epoch` waits for the others."""
        # Counted before the device is had, or those who are there would always be quicker than one who comes.
        self._expect(1)
        try:
            with self._turn:
                yield
        finally:
            self._expect(-1)
            with self._turn:
                self._turn.notify_all()

    def run_epoch(self, trainer: Trainer) -> EpochRecord:
        """Train one epoch with all others that are in a leg; to be called within one.

        Raises:
            NonFiniteLossError: a loss of this trial became NaN or infinite.
            Exception: whatever else its epoch raised.
        """
        self._waiting.append(trainer)
        while trainer not in self._outcomes:
            if len(self._waiting) < self._n_expected:
                self._turn.wait()
                continue
            self._lead()
        outcome = self._outcomes.pop(trainer)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _lead(self) -> None:
        trainers, self._waiting = self._waiting, []
        try:
            outcomes = self._trains.submit(self._run_epochs, trainers).result()
            self._outcomes.update(zip(trainers, outcomes, strict=True))
        except Exception as error:
            self._outcomes.update(dict.fromkeys(trainers, error))
        finally:
            self._turn.notify_all()

    def _expect(self, more: int) -> None:
        with self._counting:
            self._n_expected += more
