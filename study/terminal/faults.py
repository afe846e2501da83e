"""Faults of a command line, gathered so that one message names them all."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from trainables.cckd.errors import UsageError


def complain(faults: Iterable[str]) -> None:
    """Print faults as one message, without control characters: some faults quote the folder of a stranger."""
    print("\n".join(f"error: {printable(fault)}" for fault in faults), file=sys.stderr)


def printable(text: str) -> str:
    """Return the text with its control characters, except line ends, replaced by a visible sign."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "\ufffd" for letter in text)


def one_line(text: str) -> str:
    """Return `text` in one line of at most 500 characters, as study.db and messages hold the text of an error."""
    return " ".join(text.split())[:500]


class Faults:
    """Gathers faults, so that one message names them all."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def add(self, fault: str) -> None:
        """Add one fault."""
        self.found.append(fault)

    @contextmanager
    def gather(self) -> Iterator[None]:
        """Add the faults of a UsageError that the block raises."""
        try:
            yield
        except UsageError as error:
            self.found += error.faults

    def raise_any(self) -> None:
        """Raise a UsageError of all faults found, each once, if there are any."""
        if self.found:
            raise UsageError(list(dict.fromkeys(self.found)))
