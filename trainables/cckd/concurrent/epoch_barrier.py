"""A barrier at which the threads of one process, each with one trial, wait to train an epoch together.

Only one thread uses the device at a time: CUDA restricts all other threads while a step is recorded. All epochs are
trained in the same thread: a new thread has no library handles yet, and creating them breaks a recording.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Condition, Lock

from trainables.cckd.concurrent.side_by_side import Outcome
from trainables.cckd.records import EpochRecord
from trainables.cckd.training.trainer import Trainer


class EpochBarrier:
    """Trains the trials that are within a leg together, epoch by epoch. A trial outside a leg is not waited for.

    Args:
        run_epochs: trains one epoch of each trial.
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
        """Hold the device alone. Within the block no other method may be called."""
        with self._turn:
            yield

    @contextmanager
    def leg(self) -> Iterator[None]:
        """Hold the device alone, except while `run_epoch` waits. Other trials wait for one in this block."""
        # Count the trial before it holds the device. Otherwise the trials in a leg would never wait for a new one.
        self._expect(1)
        try:
            with self._turn:
                yield
        finally:
            self._expect(-1)
            with self._turn:
                self._turn.notify_all()

    def run_epoch(self, trainer: Trainer) -> EpochRecord:
        """Train one epoch together with all trials that are in a leg; call it within a leg.

        Raises:
            NonFiniteLossError: a loss of this trial became NaN or infinite.
            Exception: any other error of its epoch.
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
