"""Faults of a command line, gathered so that one message names them all."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from trainables.cckd.errors import UsageError


def complain(faults: Iterable[str]) -> None:
    """Print faults as one message, without what would drive the terminal: some quote a folder of a stranger's."""
    print("\n".join(f"error: {printable(fault)}" for fault in faults), file=sys.stderr)


def printable(text: str) -> str:
    """Text whose control characters, line ends aside, are shown and not obeyed."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "\ufffd" for letter in text)


class Faults:
    """Gathers faults, so that one message names them all."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def add(self, fault: str) -> None:
        """Note one fault."""
        self.found.append(fault)

    @contextmanager
    def gather(self) -> Iterator[None]:
        """Turn a UsageError of the block into faults."""
        try:
            yield
        except UsageError as error:
            self.found += error.faults

    def raise_any(self) -> None:
        """Raise a UsageError of all faults found, if any."""
        if self.found:
            raise UsageError(self.found)
