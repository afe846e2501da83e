"""Whole studies, and the toy search."""

import pytest

from tests.support.toy_search import _no_fsync, database, epoch, ledger, seed_of, settings, space
from tests.whole.whole import Start, starter

__all__ = ["_no_fsync", "database", "epoch", "ledger", "run", "seed_of", "settings", "space"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Start:
    """Starts whole studies, in one folder a module."""
    return starter(tmp_path_factory.mktemp("studies"))
