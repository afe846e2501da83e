"""Where the teacher is fitted, and what becomes of a fit whose worker or driver dies."""

import errno
import io
import os
import signal
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import Thread
from time import monotonic, sleep
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import numpy as np
import pytest

from study.execution.tasks import TaskDied, TaskStranded
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
from trainables.cckd.bundle.mapped_features import FileArray
from trainables.cckd.errors import TeacherError
from trainables.cckd.teacher.cache.cache_lock import CacheLock
from trainables.cckd.teacher.fit import fit_steps
from trainables.cckd.teacher.fit.fitted_teacher import FittedTeacher, fit_teacher

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


def _fit(checked: Checked, told: io.StringIO | None = None, workers: Workers = WORKERS) -> FittedTeacher:
    train, val = _passes(checked)
    return teacher_fit(checked, train, val, workers, Progress(told or io.StringIO()))


class _PlayedRay:
    """Runs a task when it is started; its worker may die behind a step that is kept."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.dies_after: list[int] = []
        self.pending = self.stranded = 0
        self.asked: list[Collection[str] | None] = []
        self.cancelled: list[Any] = []
        self.arguments: tuple[Any, ...] = ()
        monkeypatch.setattr(module, "start_actor_beside_driver", self._keeper)
        monkeypatch.setattr(module, "start_once_on_worker", self._start)
        monkeypatch.setattr(module, "cancel", self.cancelled.append)
        monkeypatch.setattr(module, "wait_for_one", lambda references, timeout_s: [one for one in references if one])
        monkeypatch.setattr(module, "put", lambda value: value)
        monkeypatch.setattr(module, "get", self._get)
        monkeypatch.setattr(module.time, "sleep", lambda seconds: None)
        monkeypatch.setattr(fit_task, "get", lambda result: result)
        monkeypatch.setattr(fit_task, "own_node", lambda: {"CPU": 1.0})
        monkeypatch.setattr(fit_steps, "KEEP_S", 0.0)

    def _keeper(self, cls: type, folder: Path) -> Any:
        keeper = cls(folder)
        methods = {name: getattr(keeper, name) for name in ("read", "report", "news")}
        return SimpleNamespace(
            write=SimpleNamespace(remote=lambda *step: self._write(keeper, *step)),
            **{name: SimpleNamespace(remote=method) for name, method in methods.items()},
        )

    def _write(self, keeper: Any, *step: Any) -> None:
        keeper.write(*step)
        self._left -= 1
        if self._left == 0:
            raise TaskDied("killed")

    def _start(self, plan: Any, nodes: Collection[str] | None, function: Callable[..., Any], *arguments: Any) -> Any:
        self.asked.append(nodes)
        self.arguments = arguments
        if self.pending:
            self.pending -= 1
            return None
        if self.stranded:
            self.stranded -= 1
            return TaskStranded("the node does not exist any more")
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
    assert ray.asked == [None], "without a roster any node may have it"
    sources = ray.arguments[2:4]
    assert all(isinstance(one, np.ndarray) for one in sources), "a node of a cluster need not have the driver's file"
    assert "fitting its form, linear_probe, on a worker" in " ".join(told.getvalue().split())
    assert "8/8  strength" in told.getvalue()
    _assert_same(on_worker, in_driver)


def _too_much() -> None:
    np.empty(1 << 55)


def _no_word() -> None:
    raise MemoryError


def _threads_own() -> None:
    raise MemoryError("unable to allocate\nthe buffers of OpenBLAS")


@pytest.mark.parametrize(
    ("fails", "said"),
    [(_too_much, "Unable to allocate"), (_no_word, "no more"), (_threads_own, "allocate the buffers")],
)
def test_a_fit_in_the_driver_that_the_memory_does_not_hold_is_one_line(
    tmp_path: Path, ray: _PlayedRay, monkeypatch: pytest.MonkeyPatch, fails: Callable[[], None], said: str
) -> None:
    monkeypatch.setattr(module, "fit_teacher", lambda *_, **__: fails())
    with pytest.raises(TeacherError, match=rf"on device cpu must fit the memory of its node; got .*{said}") as raised:
        _fit(_checked(tmp_path))
    assert "\n" not in str(raised.value)
    assert ray.asked == []


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


def test_a_private_ray_with_a_gpu_fits_on_a_worker_that_reads_the_drivers_file(
    tmp_path: Path, ray: _PlayedRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked, devices = _checked(tmp_path / "two"), []
    checked = replace(checked, plan=replace(checked.plan, device="cuda", gpus_per_trial=1.0))

    def fit_on_cpu(*arguments: Any, device: str, **options: Any) -> FittedTeacher:
        devices.append(device)
        return fit_teacher(*arguments, **options)

    monkeypatch.setattr("trainables.cckd.teacher.fit.fitted_teacher.fit_teacher", fit_on_cpu)
    found = _fit(checked)
    assert devices == ["cuda"]
    assert all(isinstance(one, FileArray) for one in ray.arguments[2:4])
    _assert_same(found, _fit(_checked(tmp_path / "one")))


class _Roster:
    """Nodes by looks: what the cluster has at each one, then for ever what it had at the last."""

    def __init__(self, *looks: str) -> None:
        self._looks = list(looks)

    def usable(self) -> dict[str, dict[str, float]]:
        names = self._looks.pop(0) if len(self._looks) > 1 else self._looks[0]
        return {name: {"CPU": 0.0 if name == "h" else 4.0} for name in names}


def test_only_nodes_that_may_run_trials_are_asked_and_none_is_waited_for_that_is_lost(
    tmp_path: Path, ray: _PlayedRay
) -> None:
    ray.pending = 1
    ray.stranded = 1
    # The head has no CPU. No node is there at the first look, a and b are at the second; both are lost while they are
    # busy with other work; then c has joined.
    roster: Any = _Roster("h", "hab", "hb", "h", "hc")
    _fit(_on_a_cluster(_checked(tmp_path)), workers=replace(WORKERS, roster=roster))
    assert ray.asked == [{"a", "b"}, {"c"}, {"c"}], "Ray may see first that a node is lost"
    assert ray.cancelled == [None]


def test_the_time_left_is_that_of_the_last_step_though_reports_come_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.time, "monotonic", lambda: 1000.0)
    shown: list[str] = []
    progress: Any = SimpleNamespace(begin=lambda *of: None, update=lambda done, note: shown.append(note))
    show = module._show(progress, 4)
    for report in ((0, "begun", 1500.0), (1, "one", 1510.0), (2, "two", 1530.0), (4, "chosen", 1531.0)):
        show(*report)
    assert shown == ["begun", "one, 30 s left", "two, 40 s left", "chosen"]


def test_silence_is_said_of_a_worker_that_has_not_begun_and_then_of_steps_that_do_not_end(
    tmp_path: Path, ray: _PlayedRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter(range(0, 10**9, 61))
    monkeypatch.setattr("study.terminal.pace.time.monotonic", lambda: float(next(now)))
    looks: list[int] = []

    def wait(references: Any, timeout_s: float) -> Any:
        looks.append(1)
        return references if len(looks) == 9 else []

    def news(keeper: Any) -> Any:
        return [(0, "a worker has begun", 0.0)] if len(looks) == 3 else []

    monkeypatch.setattr(module, "wait_for_one", wait)
    monkeypatch.setattr(fit_task.StepKeeper, "news", news)
    told = io.StringIO()
    _fit(_on_a_cluster(_checked(tmp_path)), told)
    assert len(looks) == 9
    said = " ".join(told.getvalue().split())
    assert said.count("no worker has begun the teacher's fit for") == 2
    assert said.count("the teacher's fit has ended no step for") > 0
    assert said.rindex("no worker has begun") < said.index("has ended no step")
    assert "the nodes may be busy with other work" in said


@pytest.mark.parametrize(
    ("steps_s", "spoken_s"), [((), 60), ((10.0, 10.0), 60), ((10.0, 100.0), 400), ((300.0,), 1200)]
)
def test_a_step_may_take_four_times_as_long_as_any_before_it_without_a_word(
    monkeypatch: pytest.MonkeyPatch, steps_s: tuple[float, ...], spoken_s: int
) -> None:
    now, told = [0.0], []
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    reports = [(k, "a step", sum(steps_s[:k])) for k in range(len(steps_s) + 1)]
    silent, between = (
        module.Silence(lambda line: told.append((now[0], line)), what, str) for what in ("begun", "ended")
    )
    begun_s = sum(steps_s)

    def wait(references: Any, timeout_s: float) -> Any:
        now[0] += 10
        return references if told else []

    def news() -> Any:
        found, reports[:] = list(reports), []
        now[0] = max(now[0], begun_s)
        return found

    monkeypatch.setattr(module, "wait_for_one", wait)
    monkeypatch.setattr(module, "get", lambda result: result)
    keeper = SimpleNamespace(news=SimpleNamespace(remote=news))
    monkeypatch.setattr(module, "start_actor_beside_driver", lambda *_: keeper)
    monkeypatch.setattr(module, "start_once_on_worker", lambda *_: "fitted")
    plan, kept = SimpleNamespace(), SimpleNamespace(steps=None)
    assert module._on_worker(plan, kept, WORKERS, silent, between, lambda *_: None) == "fitted"  # type: ignore[arg-type]
    ((at, line),) = told
    assert "ended" in line
    assert spoken_s <= at - begun_s <= spoken_s + 20


def test_a_fit_that_is_in_the_cache_asks_no_worker(tmp_path: Path, ray: _PlayedRay) -> None:
    checked = _on_a_cluster(_checked(tmp_path))
    first = _fit(checked)
    ray.asked.clear()
    _assert_same(_fit(checked), first)
    assert ray.asked == []


@pytest.mark.parametrize("on_a_cluster", [False, True])
@pytest.mark.parametrize("kept_by_other", [True, False])
def test_two_studies_do_not_make_the_same_fit(
    tmp_path: Path, ray: _PlayedRay, on_a_cluster: bool, kept_by_other: bool
) -> None:
    checked = _checked(tmp_path)
    checked = _on_a_cluster(checked) if on_a_cluster else checked
    first = _fit(checked)
    (file,) = tmp_path.rglob("fits/*.safetensors")
    content = file.read_bytes()
    file.unlink()
    ray.asked.clear()
    other, told, found = CacheLock(file), io.StringIO(), []
    assert other.try_take()
    waiting = Thread(target=lambda: found.append(_fit(checked, told)), daemon=True)
    waiting.start()
    _until(lambda: "another study fits the same teacher; waiting" in " ".join(told.getvalue().split()), waiting)
    if kept_by_other:  # and without it the other study was killed
        file.write_bytes(content)
    other.release()
    waiting.join(120)
    _assert_same(found[0], first)
    assert ("fitting its form" in told.getvalue()) == (not kept_by_other)
    assert file.exists()


def test_a_fit_beside_a_cache_that_cannot_be_written_is_made_all_the_same(
    tmp_path: Path, ray: _PlayedRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = _fit(_checked(tmp_path / "one"))
    checked = _checked(tmp_path / "two")
    passes = _passes(checked)

    def refuse(path: Path, *_: Any) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("trainables.cckd.teacher.cache.cache_lock.os.open", refuse)
    _assert_same(teacher_fit(checked, *passes, WORKERS, Progress(io.StringIO())), first)


def _until(holds: Callable[[], bool], working: Thread) -> None:
    limit = monotonic() + 60
    while not holds():
        assert working.is_alive()
        assert monotonic() < limit
        sleep(0.01)


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
