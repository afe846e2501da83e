"""What runs in one process that decodes: it answers requests until its pipe is closed or its parent is gone."""

import gc
import mmap
import os
import signal
from contextlib import suppress
from math import prod
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from trainables.cckd.data.images.decode import read_views
from trainables.cckd.data.images.decoded_images import ImageSource, RaggedImages
from trainables.cckd.errors import DamagedImageError

#: What a process is at while it is at no image.
IDLE = -1

#: Seconds between two looks of an idle process whether its parent still lives.
_PARENT_S = 1.0


def serve(
    pipe: "Connection[Any, Any]",
    slots: NDArray[np.uint8],
    at_row: NDArray[np.int64],
    memories: list[NDArray[np.uint8]],
    parent: int,
) -> None:
    """Answer requests: read the views of a chunk into its slot, and send back the slot and what went wrong.

    Args:
        pipe: brings (slot, which of `memories` or None, images, rows, views, size) and takes (slot, error or None).
        slots: shared memory, uint8 (slots, bytes of a chunk).
        at_row: shared memory, int64 (1,): the row of the chunk that is being read, IDLE between chunks.
        memories: pixels of decoded images, which this process has inherited.
        parent: process ID of the parent.
    """
    _leave_alone(pipe.fileno())
    _interrupt_nobody()
    torch.set_num_threads(1)
    while pipe.poll(_PARENT_S) or os.getppid() == parent:
        if not pipe.poll():
            continue
        try:
            slot, at, images, rows, views, size = pipe.recv()
        except EOFError:
            return
        source: ImageSource = images if at is None else RaggedImages(memories[at], *images)
        n = len(rows)
        out = slots[slot, : 3 * n * size**2].reshape(n, size, size, 3)
        fault: Exception | None = None
        try:
            # One call for each image, which may have several views.
            starts = np.flatnonzero(np.diff(rows, prepend=-1)).tolist()
            for start, end in zip(starts, [*starts[1:], n], strict=True):
                at_row[0] = start
                read_views(source, rows[start:end], views[start:end], size, out=out[start:end])
        except DamagedImageError as error:
            fault = DamagedImageError(error.path, error.what)  # without its cause, which may not be picklable
        except Exception as error:
            fault = RuntimeError(f"{type(error).__name__}: {error}")
        at_row[0] = IDLE
        pipe.send((slot, fault))


def _interrupt_nobody() -> None:
    """Let the trainer run as soon as it wakes, even where all cores decode; the share of the processor stays the same.

    Linux calls this policy SCHED_BATCH. Without it the trainer waited some milliseconds per batch for a core, and was
    interrupted by each process that it gave a chunk to.
    """
    with suppress(AttributeError, OSError):  # another system; a process that may not choose
        if os.sched_getscheduler(0) == os.SCHED_OTHER:
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def _leave_alone(kept: int) -> None:
    """Take nothing of the parent but memory, the pipe and standard streams: not its signals, not its connections.

    Ray notices the death of a worker by its connections, which a forked process would keep open. The parent's objects
    are never collected here: a reference of Ray's would be taken back over such a connection, and that ends a process.
    """
    gc.freeze()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which ends this process
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) != kept:
            try:
                os.close(int(name))
            except OSError:  # that of the listing itself
                continue


def shared_bytes(*shape: int) -> NDArray[np.uint8]:
    """Return memory that this process shares with processes forked later; no file backs it."""
    return np.frombuffer(mmap.mmap(-1, prod(shape)), np.uint8).reshape(shape)
