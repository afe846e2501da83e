"""Ctrl-C, and the signals that mean the same. The first one lets trials save a checkpoint; a second ends them at once.

Python raises KeyboardInterrupt at whatever line it runs. That is right everywhere except in a clean-up: half a clean-up
leaves processes behind, or a folder that does not say how the study ended.

Batch systems end a job with SIGTERM, or announce its end with a signal of the user's choice, often SIGUSR1. A terminal
that is closed sends SIGHUP. Each of them does what Ctrl-C does.
"""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

_ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let SIGTERM, SIGHUP and SIGUSR1 do what Ctrl-C does while the block runs; one that is ignored stays ignored.

    `nohup` starts a process that ignores SIGHUP. Only a main thread can have handlers; in another the block runs as it
    is.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (*_ENDING, signal.SIGINT)}
    heed_signals()
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def heed_signals() -> None:
    """Install the handlers of `ended_by_signals` again: Ray replaces them when it starts, Tune when a phase begins."""
    if threading.current_thread() is threading.main_thread():
        for number in _ENDING:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, _press)


@contextmanager
def unheard_by_children() -> Iterator[None]:
    """Start processes in the block that never hear these signals: they are for this process, which ends them itself.

    A closed terminal sends SIGHUP to the whole group, a batch system SIGTERM to every process of a job.
    """
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _press(*_: object) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell starts what stands before an & deaf to Ctrl-C
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.raise_signal(signal.SIGINT)


def end_process(command: Callable[[], int]) -> NoReturn:
    """Run a command and end its process with the exit code that it returns.

    A Ctrl-C that the command leaves to Python ends it with 130 and one word, not with a traceback. One that comes after
    the command is too late.
    """
    try:
        code = command()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        code = 130
    for number in (signal.SIGINT, *_ENDING):
        signal.signal(number, signal.SIG_IGN)
    sys.exit(code)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Finish the block before a Ctrl-C takes effect. It takes no effect if an error already ends the study."""
    ending, before = sys.exc_info()[0] is not None, signal.getsignal(signal.SIGINT)
    pressed = False

    def press(*_: object) -> None:
        nonlocal pressed
        pressed = True

    signal.signal(signal.SIGINT, press)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed and not ending:
        signal.raise_signal(signal.SIGINT)
