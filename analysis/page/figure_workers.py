"""Figures written by other processes while the report is composed: drawing them takes half of its time."""

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

from matplotlib.figure import Figure

from analysis.page.writer import Draw, write_figure

#: Each imports the plotting libraries, which takes seconds and a quarter of a gigabyte.
_MOST_PROCESSES = 4


def spare_cores() -> int:
    """Cores beside the one that composes the report, as many as are of use."""
    return min((os.cpu_count() or 1) - 1, _MOST_PROCESSES)


@contextmanager
def drawing() -> Iterator[Draw]:
    """Give a function that writes a figure, at once or before the block ends, on the machine's spare cores.

    Raises:
        Exception: what writing one of the figures raised, from the block's end.
    """
    n_processes = spare_cores()
    if n_processes < 1:
        yield write_figure
        return
    # Not forked: the driver of a study has threads of Ray's.
    pool = ProcessPoolExecutor(n_processes, mp_context=get_context("spawn"))
    waiting: list[Future[None]] = []

    def draw(figure: Figure, paths: Sequence[Path]) -> None:
        with _children_deaf_to_ctrl_c():
            waiting.append(pool.submit(write_figure, figure, paths))

    try:
        yield draw
        for written in waiting:
            written.result()
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _children_deaf_to_ctrl_c() -> Iterator[None]:
    """What is started within leaves Ctrl-C to us; each process would else print a traceback of its own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
