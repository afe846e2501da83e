"""Ctrl-C during a cleanup waits until the cleanup is done.

The first Ctrl-C lets trials reach a checkpoint, the second ends them at once, and by the third the end is under way.
Python raises KeyboardInterrupt at whatever line it is in. That is right everywhere but in a cleanup: half a cleanup
leaves processes behind, or a folder that does not say how the study ended.
"""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def undisturbed() -> Iterator[None]:
    """Run the block to its end; a Ctrl-C is raised after it, or dropped where an error ends the study anyway."""
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
