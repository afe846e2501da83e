"""The toy search, for every test of `study`; and Ctrl-C as a terminal sends it."""

import signal
from collections.abc import Iterator

import pytest

from tests.support.toy_search import _no_fsync, database, epoch, ledger, seed_of, settings, space

__all__ = ["_no_fsync", "database", "epoch", "ledger", "seed_of", "settings", "space"]


@pytest.fixture
def heard() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt; a shell starts what stands before an & deaf to it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
