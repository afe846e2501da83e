"""Figures are written beside the report, the same to the byte, and what goes wrong there is heard here."""

import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from analysis.page import figure_workers as module
from analysis.page.figure_workers import figure_pool
from analysis.page.style import canvas


def _figure() -> Figure:
    with canvas(3.0, 2.0) as (figure, axes):
        axes.plot([0, 1], [0, 1])
        axes.set_ylabel("recall (%)")
    return figure


@pytest.mark.parametrize("forks", [False, True])
def test_other_processes_write_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forks: bool) -> None:
    monkeypatch.undo()  # the real way of saving, whatever the other tests of this folder do
    monkeypatch.setattr(module, "_DRAWN_HERE", 0)
    monkeypatch.setattr(module, "can_fork", lambda: forks)
    written = []
    for n_processes in (0, 1):
        monkeypatch.setattr(module, "spare_cores", lambda n=n_processes: n)
        folder = tmp_path / str(n_processes)
        folder.mkdir()
        with figure_pool() as draw:
            draw(_figure, folder / "one.png")
        written.append([(folder / name).read_bytes() for name in ("one.png", "one.svg")])
    assert written[0] == written[1]
    assert all(written[0])


def test_a_process_that_has_imported_ray_is_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.threading, "active_count", lambda: 1)
    monkeypatch.delitem(sys.modules, "ray", raising=False)
    assert module.can_fork()
    monkeypatch.setitem(sys.modules, "ray", module)
    assert not module.can_fork()


def test_a_process_of_several_threads_is_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "ray", raising=False)
    stop = threading.Event()
    assert module.can_fork() == (threading.active_count() == 1)
    other = threading.Thread(target=stop.wait)
    other.start()
    try:
        assert not module.can_fork()
    finally:
        stop.set()
        other.join()


@pytest.mark.parametrize("n_processes", [0, 1])
def test_a_figure_that_cannot_be_written_is_heard_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_processes: int
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(module, "_DRAWN_HERE", 0)
    monkeypatch.setattr(module, "spare_cores", lambda: n_processes)
    with pytest.raises(FileNotFoundError), figure_pool() as draw:
        draw(_figure, tmp_path / "absent" / "one.png")


def test_a_small_report_starts_no_process_and_a_large_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    started: list[int] = []

    class Pool:
        def __init__(self, n: int, mp_context: object) -> None:
            started.append(n)

        def submit(self, write: Callable[..., None], *arguments: object) -> Future[None]:
            done: Future[None] = Future()
            done.set_result(write(*arguments))
            return done

        def shutdown(self, *, cancel_futures: bool) -> None:
            started.append(0)

    monkeypatch.setattr(module, "ProcessPoolExecutor", Pool)
    monkeypatch.setattr(module, "spare_cores", lambda: 1)
    monkeypatch.setattr(module, "_DRAWN_HERE", 2)
    monkeypatch.setattr(module, "can_fork", lambda: False)
    for n_figures, wanted in ((2, []), (4, [1, 0])):
        folder = tmp_path / str(n_figures)
        folder.mkdir()
        with figure_pool() as draw:
            for number in range(n_figures):
                draw(_figure, folder / f"{number}.png")
        assert started == wanted
        assert len(list(folder.glob("*.png"))) == len(list(folder.glob("*.svg"))) == n_figures


#: As a user's script calls `run_study`: without `if __name__ == "__main__"`.
SCRIPT = """
import sys
sys.path.insert(0, {root!r})
print("begun", flush=True)
from functools import partial
from pathlib import Path
from matplotlib.figure import Figure
from analysis.page import figure_workers
figure_workers.spare_cores = lambda: 1
figure_workers._DRAWN_HERE = 0
figure_workers.can_fork = lambda: {forks}
with figure_workers.figure_pool() as draw:
    for name in ("one.png", "two.png"):
        draw(partial(Figure, (3.0, 2.0)), Path({folder!r}, name))
print(__file__, __spec__)
"""


@pytest.mark.parametrize("forks", [False, True])
@pytest.mark.parametrize("as_module", [False, True])
def test_the_program_that_asks_for_a_report_is_not_run_again(tmp_path: Path, as_module: bool, forks: bool) -> None:
    root = str(Path(__file__).resolve().parents[3])
    (tmp_path / "mine.py").write_text(SCRIPT.format(root=root, folder=str(tmp_path), forks=forks))
    command = [sys.executable, *(["-m", "mine"] if as_module else ["mine.py"])]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    begun, last = run.stdout.splitlines()
    assert begun == "begun"
    assert "mine.py" in last
    assert ("ModuleSpec" in last) == as_module
    assert {path.name for path in tmp_path.glob("*.png")} == {"one.png", "two.png"}
