"""Whole studies, and the toy search."""

import os
from pathlib import Path

import pytest

from tests.support.toy_search import _no_fsync, database, epoch, ledger, seed_of, settings, space
from tests.whole.whole import Start, starter

__all__ = ["_no_fsync", "data_root", "database", "epoch", "ledger", "run", "run_alone", "seed_of", "settings", "space"]


@pytest.fixture(scope="session")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root of all workers of xdist: the first study computes its teacher's features, all others read them."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "data"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, data_root: Path) -> Start:
    """Starts whole studies that are not about their teacher, in one folder per module."""
    return starter(tmp_path_factory.mktemp("studies"), data_root)


@pytest.fixture(scope="module")
def run_alone(tmp_path_factory: pytest.TempPathFactory) -> Start:
    """Starts whole studies in one folder per module, with a data root of its own: their teacher is computed there."""
    return starter(tmp_path_factory.mktemp("studies"))
