"""Ctrl-C during a clean-up. (The first Ctrl-C lets trials save a checkpoint; a second one ends them at once.)

Python raises KeyboardInterrupt at whatever line it runs. That is right everywhere except in a clean-up: half a clean-up
leaves processes behind, or a folder that does not say how the study ended.
"""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager


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
