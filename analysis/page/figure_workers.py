"""Worker processes that draw figures while the report is composed: drawing takes half of its time."""

import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import count
from multiprocessing import get_context
from pathlib import Path

from matplotlib.figure import Figure

from analysis.page.writer import Draw, write_figure

#: So many figures are drawn before a worker is started: its imports take the processor as long as that many figures.
_DRAWN_HERE = 15

#: Each worker imports the plotting libraries, which takes seconds and a quarter of a gigabyte.
_MOST_PROCESSES = 4


def spare_cores() -> int:
    """Return the number of cores beside the one that composes the report, at most _MOST_PROCESSES."""
    return min(len(os.sched_getaffinity(0)) - 1, _MOST_PROCESSES)


@contextmanager
def figure_pool() -> Iterator[Draw]:
    """Yield a function that writes a figure, at once or before the block ends, on the machine's spare cores.

    Raises:
        Exception: at the end of the block, the exception that drawing a figure raised.
    """
    n_processes = spare_cores()
    if n_processes < 1:
        yield write_figure
        return
    with ExitStack() as stack:
        waiting: list[Future[None]] = []
        figures = count(1)
        pool: ProcessPoolExecutor | None = None

        def draw(figure: Figure, paths: Sequence[Path]) -> None:
            nonlocal pool
            if next(figures) <= _DRAWN_HERE:
                write_figure(figure, paths)
                return
            if pool is None:
                # Not forked: the driver of a study has threads of Ray.
                pool = ProcessPoolExecutor(n_processes, mp_context=get_context("spawn"))
                stack.callback(pool.shutdown, cancel_futures=True)
            with _ctrl_c_ignored(), _without_main():
                waiting.append(pool.submit(write_figure, figure, paths))

        yield draw
        for written in waiting:
            written.result()


@contextmanager
def _without_main() -> Iterator[None]:
    """Let processes started in this block not run the program's main file, as a spawned process does.

    A user's script that calls `run_study` without `if __name__ == "__main__"` would begin another study in each.
    """
    main = vars(sys.modules["__main__"])
    before: dict[str, object] = {name: main.pop(name) for name in ("__spec__", "__file__") if name in main}
    main["__spec__"] = None
    try:
        yield
    finally:
        main.update(before)


@contextmanager
def _ctrl_c_ignored() -> Iterator[None]:
    """Let processes started in this block ignore Ctrl-C; otherwise each would print a traceback of its own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
