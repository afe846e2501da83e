"""Fixtures: simulated study folders, and reports of them that are quick to build."""

import pickle
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from analysis import report
from analysis.page import style
from analysis.search.importance import importances
from tests.analysis.simulation import Simulation, write_study


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    _hasten(monkeypatch)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are drawn, coarsely, where a test is about what drawing them meets."""
    _draw(monkeypatch)


def _hasten(patch: pytest.MonkeyPatch) -> None:
    """Reports as they are, but with few half-samples and figures composed but not drawn, which takes longest."""
    patch.setattr(report, "importances", lambda study: importances(study, n_samples=3))
    patch.setattr("analysis.page.figure_workers.write_figure", _write_empty)
    patch.setattr("analysis.page.figure_workers.spare_cores", lambda: 0)


def _draw(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(style, "_DPI", 40)
    patch.setattr("analysis.page.figure_workers.write_figure", _write_coarse)


def _write_empty(make: Callable[[], Figure], png: Path) -> None:
    _sent(make)()
    for path in (png, png.with_suffix(".svg")):
        path.write_bytes(b"")


def _write_coarse(make: Callable[[], Figure], png: Path) -> None:
    style.save(_sent(make)(), png)
    png.with_suffix(".svg").write_text("<svg/>")


def _sent(make: Callable[[], Figure]) -> Callable[[], Figure]:
    """Return what makes a figure as another process gets it, which is how reports have theirs drawn."""
    arrived: Callable[[], Figure] = pickle.loads(pickle.dumps(make))
    return arrived


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Simulation], Path]:
    """Return a function that writes each simulation once a session: creating a database takes a second."""
    folders: dict[str, Path] = {}

    def once(plan: Simulation) -> Path:
        key = repr(plan)
        if key not in folders:
            folders[key] = write_study(tmp_path_factory.mktemp("written") / "study", plan)
        return folders[key]

    return once


@pytest.fixture(scope="session")
def simulate(written: Callable[[Simulation], Path]) -> Callable[..., Path]:
    """Return a function that gives a study folder within `place`, made from Simulation's fields."""

    def write(place: Path, **changes: Any) -> Path:
        return Path(shutil.copytree(written(Simulation(**changes)), place / "runs" / "simulated"))

    return write


@pytest.fixture
def simulated(tmp_path: Path, simulate: Callable[..., Path]) -> Callable[..., Path]:
    """Return a function that gives a study folder of the test's own, made from Simulation's fields."""
    return partial(simulate, tmp_path)


@pytest.fixture(scope="session")
def build_drawn() -> Callable[[Path], Path]:
    """Return a function that builds a report with figures drawn, for fixtures that several tests read."""

    def build(folder: Path) -> Path:
        with pytest.MonkeyPatch.context() as patch:
            _hasten(patch)
            _draw(patch)
            return report.build_report(folder)

    return build


@pytest.fixture(scope="session")
def reported(simulate: Callable[..., Path], build_drawn: Callable[[Path], Path], tmp_path_factory: Any) -> Path:
    """A study of acckd_core with 16 complete trials and its report, for tests that only read."""
    folder = simulate(tmp_path_factory.mktemp("reported"), n_trials=26)
    build_drawn(folder)
    return folder
