"""Faults of a command line, gathered so that one message names them all."""

from collections.abc import Iterator
from contextlib import contextmanager

from search_spaces import SpaceError
from trainables.cckd.errors import UsageError


class Faults:
    """Gathers faults, so that one message names them all."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def add(self, fault: str) -> None:
        """Note one fault."""
        self.found.append(fault)

    @contextmanager
    def gather(self) -> Iterator[None]:
        """Turn a UsageError or SpaceError of the block into faults."""
        try:
            yield
        except (UsageError, SpaceError) as error:
            self.found += error.faults

    def raise_any(self) -> None:
        """Raise a UsageError of all faults found, if any."""
        if self.found:
            raise UsageError(self.found)
