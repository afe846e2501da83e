"""Worker processes that draw the figures while the report is composed: drawing takes half of its time."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from pathlib import Path

from matplotlib.figure import Figure

from analysis.page.writer import Draw, write_figure

#: So many figures are drawn before a worker is started that has to import the plotting libraries: these take as long.
_DRAWN_HERE = 15

#: Each worker takes up to a quarter of a gigabyte.
_MOST_PROCESSES = 4


def spare_cores() -> int:
    """Return the number of cores beside the one that composes the report, at most _MOST_PROCESSES."""
    return min(len(os.sched_getaffinity(0)) - 1, _MOST_PROCESSES)


def can_fork() -> bool:
    """Return whether a worker may be a copy of this process, with all that it has imported.

    A process of several threads is not copied: the copy would hold for ever what another thread holds. Nor is the
    driver of a study. Ray's own threads are not counted, and a copy would keep the study's lock if its driver were
    killed.
    """
    return threading.active_count() == 1 and "ray" not in sys.modules


@contextmanager
def figure_pool() -> Iterator[Draw]:
    """Yield a function that draws a figure, at once or before the block ends, on the machine's spare cores.

    This process draws too, once the block has ended, until none is left.

    Raises:
        Exception: at the end of the block, the exception that drawing a figure raised.
    """
    n_processes = spare_cores()
    if n_processes < 1:
        yield write_figure
        return
    with ExitStack() as stack:
        waiting: list[tuple[Future[None], Callable[[], Figure], Path]] = []
        n_here, pool = 0, None

        def draw(make: Callable[[], Figure], png: Path) -> None:
            nonlocal n_here, pool
            forks = pool is None and can_fork()
            if pool is None and not forks and n_here < _DRAWN_HERE:
                n_here += 1
                write_figure(make, png)
                return
            if pool is None:
                pool = ProcessPoolExecutor(n_processes, mp_context=get_context("fork" if forks else "spawn"))
                stack.callback(pool.shutdown, cancel_futures=True)
            with _ctrl_c_ignored(), _without_main():
                waiting.append((pool.submit(write_figure, make, png), make, png))

        yield draw
        for written, make, png in reversed(waiting):
            if written.cancel():
                write_figure(make, png)
        for written, _, _ in waiting:
            if not written.cancelled():
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
