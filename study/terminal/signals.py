"""Ctrl-C, and the signals that mean the same. The first one lets trials save a checkpoint; a second ends them at once.

Python raises KeyboardInterrupt at whatever line it runs. That is right everywhere except in a clean-up: half a clean-up
leaves processes behind, or a folder that does not say how the study ended.

Batch systems end a job with SIGTERM, or announce its end with a signal of the user's choice, often SIGUSR1. A terminal
that is closed sends SIGHUP. Each of them does what Ctrl-C does.
"""

import _thread
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from types import FrameType
from typing import Any, NoReturn

_ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)

#: Seconds after which a Ctrl-C is pressed again that Python could not raise.
_AGAIN_S = 0.02

#: What follows the handlers of a command: None for those before it, SIG_IGN where the process ends with the command.
_afterwards: signal.Handlers | None = None


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
    hook = sys.unraisablehook
    heed_signals()
    sys.unraisablehook = _pressing_again(hook)
    try:
        yield
    finally:
        sys.unraisablehook = hook
        for number, handler in before.items():
            signal.signal(number, handler if _afterwards is None else _afterwards)


def heed_signals() -> None:
    """Install the handlers of `ended_by_signals` again: Ray replaces them when it starts, Tune when a course begins."""
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


def _press(number: int, frame: FrameType | None) -> None:
    handler = signal.getsignal(signal.SIGINT)
    if callable(handler):
        handler(number, frame)
        return
    if handler is signal.SIG_IGN:  # a shell starts what stands before an & deaf to Ctrl-C
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.raise_signal(signal.SIGINT)


def _pressing_again(hook: Callable[[Any], object]) -> Callable[[Any], object]:
    """Return a hook for exceptions that Python cannot raise, which presses Ctrl-C again where it is one.

    Python would print it and go on: in a `__del__`, a callback of a weak reference (every import has one) or a callback
    from C.
    """

    def again(unraisable: Any) -> None:
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            # Without the locks of `threading`, which the code that was interrupted may hold.
            _thread.start_new_thread(_press_soon, ())
        else:
            hook(unraisable)

    return again


def _press_soon() -> None:
    time.sleep(_AGAIN_S)
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


def command_of(module: str) -> Callable[[], int]:
    """Return the command that `main` of a module runs. It imports the module, which takes up to seconds.

    A module that `python -m` starts calls this before its own imports, so that a Ctrl-C meanwhile is one word.
    """

    def command() -> int:
        code: int = import_module(module).main()
        return code

    return command


def end_process(command: Callable[[], int]) -> NoReturn:
    """Run a command and end its process with the exit code that it returns.

    A Ctrl-C that the command leaves to Python ends it with 130 and one word, not with a traceback. One that comes after
    the command is too late.
    """
    global _afterwards
    _afterwards = signal.SIG_IGN
    try:
        try:
            code = command()
        except KeyboardInterrupt:
            code = _interrupted()
    except KeyboardInterrupt:  # a second one, before the first was told
        code = _interrupted()
    _hear_nothing()
    # Python notes a Ctrl-C that leaves code in a string, as `dataclass` and `namedtuple` run it. Only the next such
    # code takes the note back. With the note `python -m` ends itself by SIGINT, although we have caught the Ctrl-C.
    eval("0")
    sys.exit(code)


def _interrupted() -> int:
    """Say so in one word, which may find its terminal closed; return the exit code."""
    _hear_nothing()
    with suppress(OSError):
        print("interrupted", file=sys.stderr, flush=True)
    return 130


def _hear_nothing() -> None:
    for number in (signal.SIGINT, *_ENDING):
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Finish the block before a Ctrl-C takes effect, which it then does. A thread hears none, and runs it as it is."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before, pressed = signal.getsignal(signal.SIGINT), set[int]()

    def press(number: int, frame: FrameType | None) -> None:
        del frame
        pressed.add(number)

    signal.signal(signal.SIGINT, press)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if others := pressed - {signal.SIGINT}:
            _press(others.pop(), None)  # one that ends a study that is deaf to Ctrl-C too
        elif pressed:
            signal.raise_signal(signal.SIGINT)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Finish the block before a Ctrl-C takes effect. It takes no effect if an error already ends the study."""
    if sys.exc_info()[0] is None:
        with uninterrupted():
            yield
        return
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
