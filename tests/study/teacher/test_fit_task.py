"""A worker's fit is the driver's fit, whatever keeps its steps; a keeper writes each step into the driver's cache."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from study.teacher import fit_task
from study.teacher.fit_task import FitQuestion, KeptElsewhere, StepKeeper, fit
from trainables.cckd.bundle.mapped_features import FileArray
from trainables.cckd.errors import TeacherError
from trainables.cckd.teacher.fit import fit_steps
from trainables.cckd.teacher.fit.fit_steps import FitSteps
from trainables.cckd.teacher.fit.fitted_teacher import fit_teacher, n_steps
from trainables.cckd.teacher.fit.softmax_regression import Affine
from trainables.cckd.teacher.spec import TeacherSpec

LABELS = np.repeat(np.arange(3), (20, 10, 6))
RNG = np.random.default_rng(0)
TRAIN = (RNG.normal(size=(36, 2, 5)) + LABELS[:, None, None]).astype(np.float16)
VAL = (RNG.normal(size=(36, 5)) + LABELS[:, None]).astype(np.float16)
SPEC = TeacherSpec(targets="out_of_fold", folds=3)
QUESTION = FitQuestion(SPEC, LABELS, LABELS, {"n_classes": 3})


@pytest.fixture(autouse=True)
def played_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit_task, "get", lambda result: result)
    monkeypatch.setattr(fit_task, "own_node", lambda: {"CPU": 1.0})
    monkeypatch.setattr(fit_steps, "KEEP_S", 0.0)


def _plan(device: str = "cpu", gpus: float = 0.0) -> Any:
    return SimpleNamespace(
        device=device, cpus_per_trial=1.0, gpus_per_trial=gpus, max_concurrent=None, trials_per_process=1
    )


def handle_of(keeper: StepKeeper) -> Any:
    """What Ray gives of an actor: each method has a `remote`."""
    return SimpleNamespace(
        **{name: SimpleNamespace(remote=getattr(keeper, name)) for name in ("read", "write", "report", "news")}
    )


@pytest.mark.parametrize("in_file", [False, True])
def test_the_fit_of_a_worker_is_the_drivers_to_the_last_bit(tmp_path: Path, in_file: bool) -> None:
    train: Any = TRAIN
    if in_file:
        mapped = np.memmap(tmp_path / "features", np.float16, "w+", shape=TRAIN.shape)
        mapped[:] = TRAIN
        train = FileArray.of(mapped)
    expected = fit_teacher(SPEC, TRAIN, LABELS, VAL, LABELS, n_classes=3)
    keeper = StepKeeper(tmp_path / "steps")
    found = fit(handle_of(keeper), QUESTION, train, VAL, _plan())
    for ours, theirs in ((found.readout, expected.readout), (found.fold_readouts, expected.fold_readouts)):
        np.testing.assert_array_equal(ours.weight, theirs.weight)
        np.testing.assert_array_equal(ours.bias, theirs.bias)
    np.testing.assert_array_equal(found.log_prior, expected.log_prior)
    done, notes, times = zip(*keeper.news(), strict=True)
    assert list(done) == sorted(set(done))
    assert (done[0], notes[0]) == (0, "a worker has begun")
    assert done[-1] == n_steps(SPEC, TRAIN.shape, 3)
    assert list(times) == sorted(times)
    assert keeper.news() == [], "a report is passed on once"


def test_a_step_is_in_the_drivers_cache_before_the_next_one_begins(tmp_path: Path) -> None:
    step = Affine(np.ones((3, 5), np.float32), np.zeros(3, np.float32)), 4
    kept = KeptElsewhere(handle_of(StepKeeper(tmp_path / "steps")))
    assert FitSteps(kept).run("strength 1", lambda: step)[1] == 4
    assert [path.name for path in (tmp_path / "steps").iterdir()] == ["strength-1.safetensors"]
    of_another_worker = KeptElsewhere(handle_of(StepKeeper(tmp_path / "steps")))
    again, n = FitSteps(of_another_worker).run("strength 1", lambda: pytest.fail("it was kept"))
    np.testing.assert_array_equal(again.weight, step[0].weight)
    assert n == 4


def test_threads_are_those_that_trials_would_have_on_the_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from threadpoolctl import threadpool_info

    seen: list[set[int]] = []

    def look(*arguments: Any, **options: Any) -> None:
        seen.append({pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"})

    monkeypatch.setattr("trainables.cckd.teacher.fit.fitted_teacher.fit_teacher", look)
    for n in (2, 1):
        monkeypatch.setattr(fit_task, "own_node", lambda n=n: {"CPU": float(n)})
        fit(handle_of(StepKeeper(tmp_path)), QUESTION, TRAIN, VAL, _plan())
    assert seen == [{2}, {1}]


def test_a_gpu_computes_the_products_where_the_plan_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    devices: list[str] = []
    monkeypatch.setattr(
        "trainables.cckd.teacher.fit.fitted_teacher.fit_teacher",
        lambda *arguments, device, **options: devices.append(device),
    )
    for plan in (_plan(), _plan("cuda", 1.0)):
        fit(handle_of(StepKeeper(tmp_path)), QUESTION, TRAIN, VAL, plan)
    assert devices == ["cpu", "cuda"]


@pytest.mark.parametrize(
    ("device", "error", "said"),
    [
        (
            "cpu",
            MemoryError("Unable to allocate 9 GiB"),
            r"on device cpu must fit the memory of its node; got Unable to",
        ),
        ("cpu", MemoryError(), r"on device cpu must fit .*; got no more; choices: more memory"),
        (
            "cuda",
            torch.OutOfMemoryError("CUDA out of memory.\nTried 9 GiB"),
            r"device cuda .* GPU; got CUDA out .*Tried 9",
        ),
        ("cuda", RuntimeError("CUDA error: out of memory"), r"device cuda .* GPU; got CUDA error"),
        ("cuda", RuntimeError("CUBLAS_STATUS_ALLOC_FAILED when calling"), r"device cuda .* GPU; got CUBLAS"),
        ("cuda", MemoryError("Unable"), r"device cuda must fit the memory of its node"),
    ],
)
def test_a_device_with_too_little_memory_is_named_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str, error: Exception, said: str
) -> None:
    def fails(*arguments: Any, **options: Any) -> None:
        raise error

    monkeypatch.setattr("trainables.cckd.teacher.fit.fitted_teacher.fit_teacher", fails)
    with pytest.raises(TeacherError, match=said) as raised:
        fit(handle_of(StepKeeper(tmp_path)), QUESTION, TRAIN, VAL, _plan(device))
    assert "\n" not in str(raised.value)


def test_another_error_of_the_fit_stays_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*arguments: Any, **options: Any) -> None:
        raise RuntimeError("cuBLAS is out of order")

    monkeypatch.setattr("trainables.cckd.teacher.fit.fitted_teacher.fit_teacher", fails)
    for device in ("cpu", "cuda"):
        with pytest.raises(RuntimeError, match="out of order"):
            fit(handle_of(StepKeeper(tmp_path)), QUESTION, TRAIN, VAL, _plan(device))
