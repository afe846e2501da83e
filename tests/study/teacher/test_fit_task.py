"""A worker's fit is the driver's fit, whatever keeps its steps; a keeper writes each step into the driver's cache."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from study.teacher import fit_task
from study.teacher.fit_task import FitQuestion, KeptElsewhere, StepKeeper, fit
from trainables.cckd.bundle.mapped_features import FileArray
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
    monkeypatch.setattr(fit_steps, "KEEP_S", 0.0)


def handle_of(keeper: StepKeeper) -> Any:
    """What Ray gives of an actor: each method has a `remote`."""
    return SimpleNamespace(
        **{name: SimpleNamespace(remote=getattr(keeper, name)) for name in ("read", "write", "tell", "news")}
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
    found = fit(handle_of(keeper), QUESTION, train, VAL, 1, "cpu")
    for ours, theirs in ((found.readout, expected.readout), (found.fold_readouts, expected.fold_readouts)):
        np.testing.assert_array_equal(ours.weight, theirs.weight)
        np.testing.assert_array_equal(ours.bias, theirs.bias)
    np.testing.assert_array_equal(found.log_prior, expected.log_prior)
    told = keeper.news()
    assert told[-1][0] == n_steps(SPEC)
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    assert keeper.news() == [], "what was told is told once"


def test_a_step_is_in_the_drivers_cache_before_the_next_one_begins(tmp_path: Path) -> None:
    step = Affine(np.ones((3, 5), np.float32), np.zeros(3, np.float32)), 4
    kept = KeptElsewhere(handle_of(StepKeeper(tmp_path / "steps")))
    assert FitSteps(kept).run("strength 1", lambda: step)[1] == 4
    assert [path.name for path in (tmp_path / "steps").iterdir()] == ["strength-1.safetensors"]
    of_another_worker = KeptElsewhere(handle_of(StepKeeper(tmp_path / "steps")))
    again, n = FitSteps(of_another_worker).run("strength 1", lambda: pytest.fail("it was kept"))
    np.testing.assert_array_equal(again.weight, step[0].weight)
    assert n == 4


def test_threads_are_those_of_the_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from threadpoolctl import threadpool_info

    seen: list[set[int]] = []

    def look(*arguments: Any, **options: Any) -> None:
        seen.append({pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"})

    monkeypatch.setattr("trainables.cckd.teacher.fit.fitted_teacher.fit_teacher", look)
    for n in (2, 1):
        fit(handle_of(StepKeeper(tmp_path)), QUESTION, TRAIN, VAL, n, "cpu")
    assert seen == [{2}, {1}]
