"""Ctrl-C: the first lets trials come to a checkpoint, the second ends them at once, a third finds all of it under way.

Python raises KeyboardInterrupt wherever it happens to stand, which is right everywhere but in what cleans up: half an
end leaves processes behind, or a folder that does not say how it was left.
"""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from study.planning.parser import resume_command
from study.schema import MANIFEST


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let the block come to its end: Ctrl-C is heard behind it, or not at all where an error ends the study anyway."""
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


def interrupted_early(folder: Path | None) -> int:
    """Say how things stand after a Ctrl-C before the first phase, and return the exit code; `folder` is the study's."""
    if folder is not None and (folder / MANIFEST).exists():
        print(f"interrupted; nothing is lost. Continue with:\n  {resume_command(folder)}\nstudy: {folder.absolute()}")
    else:
        print("interrupted before there was a study")
    return 130
