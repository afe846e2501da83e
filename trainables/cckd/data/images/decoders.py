"""Processes that decode views for every stream of this process, until it ends.

Starting them takes longer than a short trial: a forked process has to import torchvision again unless its parent has
imported it, and a trial used to start one set of processes for its training and one for each of its evaluations.

A request is one chunk of views. Each process has a few slots of shared memory: it writes the pixels of a chunk into
one, and the number of the image that it is about to read beside it. If a process dies, the image is known, and another
process takes its other requests. What arrives is copied to its place at once, so no stream can block another.

Memory is bounded by pixels: SLOTS slots of one chunk for each process, and one image being decoded in each.
"""

import os
import signal
import threading
import warnings
from collections import deque
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainables.cckd.data.images.decode import torchvision_decoder
from trainables.cckd.data.images.decoded_images import ImageSource, RaggedImages
from trainables.cckd.data.images.decoder_process import IDLE, serve, shared_bytes
from trainables.cckd.data.images.image_files import ImageFiles
from trainables.cckd.errors import DamagedImageError, DataError

#: Most images of a chunk: few enough to spread a batch over processes, enough to hide the transfer.
CHUNK = 32
#: Most pixels of a chunk's views, unless a single view has more.
CHUNK_PIXELS = CHUNK * 224**2
#: Chunks that a process works on or has ready.
SLOTS = 8

#: Seconds that a process has to end when its pipe is closed.
_END_S = 5.0
#: Deaths in a row of processes that were at no image, after which each one more fails a chunk.
_MOST_DEATHS = 3
#: Signals that come from outside: the image at hand is not at fault.
_FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def chunk_size(size: int) -> int:
    """Return the number of views of `size` x `size` pixels in a chunk."""
    return max(1, min(CHUNK, CHUNK_PIXELS // size**2))


@dataclass(eq=False)
class Chunk:
    """Views that are asked for.

    Attributes:
        source: where the images are; decoded images are inherited by the processes, files are named in each request.
        indices, views: as for `read_views`.
        out: uint8 (n, size, size, 3), the memory that the pixels are copied to.
        done: whether the pixels have arrived, or `fault` says why they never will.
    """

    source: ImageSource
    indices: NDArray[np.int64]
    views: NDArray[np.int16]
    out: NDArray[np.uint8]
    done: bool = False
    fault: Exception | None = None

    def request(self, memories: "list[NDArray[np.uint8]]") -> tuple[Any, ...]:
        """Return what a process needs: the images of this chunk only, each once."""
        distinct, rows = np.unique(self.indices, return_inverse=True)
        taken = self.source.take(distinct)
        if isinstance(taken, ImageFiles):
            return None, taken, rows, self.views, self.out.shape[1]
        at = next(k for k, memory in enumerate(memories) if _same(memory, taken.pixels))
        return at, (taken.starts, taken.sizes, taken.labels), rows, self.views, self.out.shape[1]

    def named(self, row: int) -> str | None:
        """Return the path of the image in a row of the chunk, None where it is in memory."""
        if not isinstance(self.source, ImageFiles):
            return None
        return str(self.source.root / self.source.paths[self.indices[row]])


@dataclass(eq=False)
class _Process:
    """One process, its pipe, its slots, the row that it is at, and what it was asked for, oldest first."""

    process: Any
    pipe: "Connection[Any, Any]"
    slots: NDArray[np.uint8]
    at_row: NDArray[np.int64]
    asked: "deque[tuple[int, Chunk]]" = field(default_factory=deque)
    n_asked: int = 0


class Decoders:
    """The processes. They start with the first request, and again when a request needs larger slots or other memory."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._waiting: deque[Chunk] = deque()
        self._processes: list[_Process] = []
        self._slot_bytes = 3 * CHUNK_PIXELS
        self._memories: list[NDArray[np.uint8]] = []
        self._n_deaths = 0

    def ask(self, chunk: Chunk, *, workers: int) -> None:
        """Queue a chunk for `workers` processes or more; start those that are missing."""
        with self._lock:
            self._provide(chunk, workers)
            self._waiting.append(chunk)
            self._exchange(timeout=0)

    def wait_for(self, chunk: Chunk) -> None:
        """Wait until a chunk is there.

        Raises:
            DamagedImageError: a file of the chunk cannot be decoded, or ended the process that decoded it.
            DataError: a process was ended from outside; names the file that it was at.
        """
        with self._lock:
            while not chunk.done:
                self._exchange(timeout=None)
        if chunk.fault is not None:
            raise chunk.fault

    def forget(self, chunks: "list[Chunk]") -> None:
        """Drop chunks that nobody waits for any more; those that are being decoded arrive and are dropped then."""
        with self._lock:
            dropped = set(map(id, chunks))
            self._waiting = deque(chunk for chunk in self._waiting if id(chunk) not in dropped)

    def close(self) -> None:
        """End all processes."""
        with self._lock:
            for one in self._processes:
                one.pipe.close()
            for one in self._processes:
                one.process.join(_END_S)
                if one.process.exitcode is None:
                    one.process.kill()
            self._processes = []

    def _provide(self, chunk: Chunk, workers: int) -> None:
        """Make sure that the processes can serve a chunk."""
        needed = chunk.out.nbytes
        source = chunk.source
        known = not isinstance(source, RaggedImages) or any(_same(memory, source.pixels) for memory in self._memories)
        if needed > self._slot_bytes or not known:
            self._take_back(self._processes)
            self.close()
            self._slot_bytes = max(self._slot_bytes, needed)
            if isinstance(source, RaggedImages) and not known:
                self._memories.append(source.pixels)  # kept, so that its place is not given to other images
        while len(self._processes) < workers:
            if isinstance(source, ImageFiles):
                torchvision_decoder()
            self._processes.append(self._start())

    def _take_back(self, processes: list[_Process]) -> None:
        """Queue again what these processes were asked for."""
        for one in processes:
            self._waiting.extendleft(reversed([chunk for _, chunk in one.asked]))
            one.asked.clear()

    def _start(self) -> _Process:
        context = get_context("fork")
        ours, theirs = context.Pipe()
        slots, at_row = shared_bytes(SLOTS, self._slot_bytes), shared_bytes(8).view(np.int64)
        at_row[0] = IDLE
        arguments = theirs, slots, at_row, self._memories, os.getpid()
        process = context.Process(target=serve, args=arguments, daemon=True, name="decoder")
        with warnings.catch_warnings():
            # Newer Pythons warn about a fork beside threads. The processes only decode and take none of our locks.
            warnings.filterwarnings("ignore", message=".*use of fork", category=DeprecationWarning)
            process.start()
        theirs.close()
        return _Process(process, ours, slots, at_row)

    def _exchange(self, timeout: float | None) -> None:
        """Hand out what waits, and take in what is ready; wait up to `timeout` seconds, None for ever, for something.

        A process that has died is replaced; the chunk that it was at has failed.
        """
        self._hand_out()
        busy = {one.pipe: one for one in self._processes if one.asked}
        for pipe in wait(list(busy), timeout) if busy else ():
            one = busy[pipe]  # type: ignore[index]
            try:
                while one.asked:
                    slot, fault = one.pipe.recv()
                    asked_slot, chunk = one.asked.popleft()
                    assert slot == asked_slot, "answers come in the order of the requests"
                    if fault is None:
                        chunk.out[...] = one.slots[slot, : chunk.out.nbytes].reshape(chunk.out.shape)
                    chunk.fault, chunk.done = fault, True
                    self._n_deaths = 0
                    if not one.pipe.poll():
                        break
            except (EOFError, ConnectionResetError):
                self._replace(one)
        self._hand_out()

    def _hand_out(self) -> None:
        """Give each waiting chunk to the process with the fewest requests, while one has a free slot."""
        while self._waiting and self._processes:
            one = min(self._processes, key=lambda process: len(process.asked))
            if len(one.asked) >= SLOTS:
                return
            chunk = self._waiting.popleft()
            slot = one.n_asked % SLOTS
            one.n_asked += 1
            one.asked.append((slot, chunk))
            try:
                one.pipe.send((slot, *chunk.request(self._memories)))
            except (BrokenPipeError, ConnectionResetError):
                self._replace(one)

    def _replace(self, dead: _Process) -> None:
        """Start another process for one that has died, and fail the chunk that it was at, if it was at one."""
        dead.pipe.close()
        dead.process.join(_END_S)
        row = int(dead.at_row[0])
        self._n_deaths += row == IDLE
        if row != IDLE or self._n_deaths > _MOST_DEATHS:
            _, chunk = dead.asked.popleft()
            chunk.fault = _fault_of_death(dead.process.exitcode or 0, None if row == IDLE else chunk.named(row))
            chunk.done = True
        self._take_back([dead])
        self._processes[self._processes.index(dead)] = self._start()


_ours: tuple[int, Decoders] | None = None


def decoders() -> Decoders:
    """Return the decoders of this process; a forked process has its own."""
    global _ours
    if _ours is None or _ours[0] != os.getpid():
        _ours = os.getpid(), Decoders()
    return _ours[1]


def _fault_of_death(code: int, path: str | None) -> DataError:
    """Return what is said of a process that ended with `code`, the negative number of a signal, at a file."""
    try:
        how = f"by signal {signal.Signals(-code).name}"
    except ValueError:
        how = f"with exit code {code}"
    if path is None:
        return DataError(f"a process that cuts out views ended {how}")
    if -code in _FROM_OUTSIDE:
        return DataError(f"the process that decodes images ended {how}, perhaps for lack of memory, at {path}")
    return DamagedImageError(path, f"ended the process that decodes it {how}")


def _same(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> bool:
    """Whether two arrays are the same memory."""
    return one.nbytes == other.nbytes and one.ctypes.data == other.ctypes.data
