"""Where the teacher is fitted, and what becomes of a fit whose worker or driver dies."""

import io
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import numpy as np
import pytest

from study.execution.tasks import TaskDied
from study.execution.workers import Workers
from study.planning.check import check
from study.planning.checked import Checked
from study.planning.parser import build_parser
from study.teacher import fit_task
from study.teacher import teacher_fit as module
from study.teacher.feature_pass import TeacherPass, feature_cache
from study.teacher.teacher_fit import teacher_fit
from study.terminal.progress import Progress
from tests.support.commands import command_line
from trainables.cckd.errors import TeacherError
from trainables.cckd.teacher.fit import fit_steps
from trainables.cckd.teacher.fit.fitted_teacher import FittedTeacher

WORKERS = Workers(n_workers=2)


def _checked(folder: Path, *flags: str) -> Checked:
    what = ["--data", "digits_lt", "--teacher-views", "2", "--data-root", str(folder / "data"), "--out", str(folder)]
    return check(build_parser().parse_args([*what, *flags]))


def _passes(checked: Checked) -> tuple[TeacherPass, TeacherPass]:
    """The two sets with features that are made of the labels, in a cache of their own."""
    found = []
    for subset, n_views in (("train", 2), ("val", None)):
        views = None if n_views is None else np.zeros((len(checked.data.train), n_views, 5), np.int16)
        store, labels = feature_cache(checked, subset, views), getattr(checked.data, subset).labels
        for part in store.missing_parts():
            start, end = store.ranges[part]
            shape = (end - start, *store.key.shape[1:])
            noise = np.random.default_rng(part).normal(size=shape)
            noise[..., :10] += 2 * np.eye(10)[labels[start:end]].reshape(shape[0], *[1] * (len(shape) - 2), 10)
            store.write_part(part, noise.astype(np.float16))
        features = store.finish()
        found.append(TeacherPass(features, 0, store.lock(), store, getattr(checked.data, subset).images, views))
    return found[0], found[1]


def _fit(checked: Checked, told: io.StringIO | None = None) -> FittedTeacher:
    train, val = _passes(checked)
    return teacher_fit(checked, train, val, WORKERS, Progress(told or io.StringIO()))


class _PlayedRay:
    """Runs a task when it is started; its worker may die behind a step that is kept."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.dies_after: list[int] = []
        self.asked: list[tuple[int, str]] = []
        monkeypatch.setattr(module, "start_actor_beside_driver", self._keeper)
        monkeypatch.setattr(module, "start_whole", self._start)
        monkeypatch.setattr(module, "wait_for_one", lambda references, timeout_s: references)
        monkeypatch.setattr(module, "put", lambda value: value)
        monkeypatch.setattr(module, "get", self._get)
        monkeypatch.setattr(fit_task, "get", lambda result: result)
        monkeypatch.setattr(fit_steps, "KEEP_S", 0.0)

    def _keeper(self, cls: type, folder: Path) -> Any:
        keeper = cls(folder)
        methods = {name: getattr(keeper, name) for name in ("read", "tell", "news")}
        return SimpleNamespace(
            write=SimpleNamespace(remote=lambda *step: self._write(keeper, *step)),
            **{name: SimpleNamespace(remote=method) for name, method in methods.items()},
        )

    def _write(self, keeper: Any, *step: Any) -> None:
        keeper.write(*step)
        self._left -= 1
        if self._left == 0:
            raise TaskDied("killed")

    def _start(self, plan: Any, n_cpus: int, function: Callable[..., Any], *arguments: Any) -> Any:
        self.asked.append((n_cpus, arguments[-1]))
        self._left = self.dies_after.pop(0) if self.dies_after else 0
        try:
            return function(*arguments)
        except TaskDied as died:
            return died

    def _get(self, result: Any) -> Any:
        if isinstance(result, Exception):
            raise result
        return result


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> _PlayedRay:
    return _PlayedRay(monkeypatch)


def _on_a_cluster(checked: Checked) -> Checked:
    return replace(checked, plan=replace(checked.plan, address="auto"))


def _assert_same(one: FittedTeacher, other: FittedTeacher) -> None:
    np.testing.assert_array_equal(one.readout.weight, other.readout.weight)
    np.testing.assert_array_equal(one.readout.bias, other.readout.bias)
    np.testing.assert_array_equal(one.log_prior, other.log_prior)


def test_a_private_ray_on_cpus_fits_in_the_driver_and_a_cluster_on_a_worker(
    tmp_path: Path, ray: _PlayedRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_driver = _fit(_checked(tmp_path / "one"))
    assert ray.asked == []
    told = io.StringIO()
    on_worker = _fit(_on_a_cluster(_checked(tmp_path / "two")), told)
    assert ray.asked == [(1, "cpu")], "without a node in the roster it asks for one CPU"
    assert "fitting its form, linear_probe, on a worker" in " ".join(told.getvalue().split())
    assert "8/8  strength" in told.getvalue()
    _assert_same(on_worker, in_driver)


def test_a_worker_that_dies_is_followed_by_one_that_goes_on_behind_its_steps(tmp_path: Path, ray: _PlayedRay) -> None:
    undisturbed = _fit(_on_a_cluster(_checked(tmp_path / "one")))
    ray.dies_after = [2, 1]
    told = io.StringIO()
    checked = _on_a_cluster(_checked(tmp_path / "two"))
    _assert_same(_fit(checked, told), undisturbed)
    assert told.getvalue().count("NOTE     the worker of the teacher's fit has died") == 2
    assert not list((tmp_path / "two").rglob("*.steps")), "a finished fit needs no steps"


def test_a_fit_that_kills_every_worker_ends_with_one_line_and_keeps_its_steps(tmp_path: Path, ray: _PlayedRay) -> None:
    ray.dies_after = [1, 1, 1, 1]
    checked = _on_a_cluster(_checked(tmp_path))
    with pytest.raises(TeacherError, match="4 have died over it, the last one so: killed; its finished steps are kept"):
        _fit(checked)
    assert len(list(tmp_path.rglob("*.steps/*"))) == 4
    assert len(ray.asked) == 4
    _fit(checked)


def test_a_fit_that_is_in_the_cache_asks_no_worker(tmp_path: Path, ray: _PlayedRay) -> None:
    checked = _on_a_cluster(_checked(tmp_path))
    first = _fit(checked)
    ray.asked.clear()
    _assert_same(_fit(checked), first)
    assert ray.asked == []


#: Processes of this test's Ray carry this in their environment.
_MARK = f"CCKD_TEST_OF_FIT={uuid4().hex}"


@pytest.fixture
def real_ray(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    import ray

    monkeypatch.setenv(*_MARK.split("="))
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="CRITICAL")
    yield
    ray.shutdown()


@pytest.mark.slow
def test_a_worker_of_a_real_ray_is_killed_and_the_fit_ends_the_same(
    tmp_path: Path, real_ray: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_driver = _fit(_checked(tmp_path / "one"))
    killed: list[int] = []

    class _Killing(Progress):
        def update(self, done: int, note: str = "") -> None:
            super().update(done, note)
            if not killed:
                killed.extend(_pids_of_the_fit())
                for pid in killed:
                    os.kill(pid, signal.SIGKILL)

    checked, told = _on_a_cluster(_checked(tmp_path / "two")), io.StringIO()
    monkeypatch.setattr(module, "_LOOK_EVERY_S", 0.05)
    found = teacher_fit(checked, *_passes(checked), WORKERS, _Killing(told))
    assert len(killed) == 1
    assert "has died; another one goes on" in " ".join(told.getvalue().split())
    np.testing.assert_allclose(found.readout.weight, in_driver.readout.weight, atol=0.02)


def _pids_of_the_fit() -> list[int]:
    """Workers of this test's Ray that run the fit, by the name that Ray gives a process."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            ours = _MARK.encode() in (folder / "environ").read_bytes().split(b"\0")
            if ours and command_line(int(folder.name)).startswith(b"ray::fit"):
                found.append(int(folder.name))
    return found
