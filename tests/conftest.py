"""For every test: one thread per worker where tests run side by side, long files first, a cache folder of their own."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from study.terminal.home import CACHE_VARIABLE

# How long an example takes says nothing about a law, and how busy the machine is nothing about the code.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

#: Files whose slow tests take minutes, longest first: one that came last would run alone, beside idle cores.
LONGEST = (
    "tests/whole/test_whole_study.py",
    "tests/whole/test_whole_deaths.py",
    "tests/whole/test_whole_cache.py",
    "tests/whole/test_whole_tuned.py",
    "tests/whole/test_object_storage.py",
    "tests/whole/test_nodes_come_and_go.py",
    "tests/whole/test_clip_like_teacher.py",
    "tests/whole/test_own_method.py",
    "tests/whole/test_whole_cuts.py",
    "tests/faults/test_image_store_under_way.py",
    "tests/faults/test_damage_under_way.py",
    "tests/whole/test_whole_together.py",
    "tests/whole/test_whole_ablation.py",
)

if "PYTEST_XDIST_WORKER" in os.environ:  # each worker has a core; read when torch and numpy are first imported
    for _library in ("OMP", "OPENBLAS", "MKL"):
        os.environ.setdefault(f"{_library}_NUM_THREADS", "1")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out files that mark no test as slow where slow tests alone run: each worker would import every file.

    Returns:
        True for such a file; None leaves the choice to pytest.
    """
    slow_alone = config.option.markexpr == "slow" and collection_path.match("test_*.py")
    return True if slow_alone and not _marks_one(collection_path) else None


def _marks_one(path: Path) -> bool:
    """Return whether a file of tests marks one as slow."""
    return "mark.slow" in path.read_text(encoding="utf-8")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Move the LONGEST files to the front; all others keep their order.

    Raises:
        pytest.UsageError: one of them has been moved or removed, or a slow test would be left out above.
    """
    if hidden := sorted(
        {str(path) for path in {item.path for item in items if _is_slow(item)} if not _marks_one(path)}
    ):
        raise pytest.UsageError(f"a file with a slow test must hold the text 'mark.slow'; got {', '.join(hidden)}")
    ranks = {config.rootpath / name: rank for rank, name in enumerate(LONGEST)}
    if gone := [str(path) for path in ranks if not path.is_file()]:
        raise pytest.UsageError(f"LONGEST in tests/conftest.py must name files of tests; got {', '.join(gone)}")
    items.sort(key=lambda item: ranks.get(item.path, len(ranks)))


def _is_slow(item: pytest.Item) -> bool:
    return item.get_closest_marker("slow") is not None


@pytest.fixture(scope="session", autouse=True)
def _own_cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what is timed under test apart from what the user's own studies have timed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _migrations_read_once() -> Iterator[None]:
    """At every opening of a database Optuna reads all its migrations to learn the newest: most of an opening's time."""
    from optuna.storages._rdb.storage import _VersionManager

    read, kept = _VersionManager._create_alembic_script, []

    def once(manager: _VersionManager) -> Any:
        if not kept:
            kept.append(read(manager))
        return kept[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_VersionManager, "_create_alembic_script", once)
        yield
