"""A fit that is killed goes on behind its finished steps and ends equal to the last bit."""

from pathlib import Path

import numpy as np
import pytest

from trainables.cckd.teacher.fit import fit_steps as module
from trainables.cckd.teacher.fit import probe, row_blocks
from trainables.cckd.teacher.fit.fit_steps import FitSteps, Step, StepFolder
from trainables.cckd.teacher.fit.fitted_teacher import FittedTeacher, fit_teacher, n_steps
from trainables.cckd.teacher.fit.softmax_regression import Affine
from trainables.cckd.teacher.spec import TeacherSpec

LABELS = np.repeat(np.arange(3), (20, 10, 6))
RNG = np.random.default_rng(0)
TRAIN = (RNG.normal(size=(36, 2, 5)) + LABELS[:, None, None]).astype(np.float16)
VAL = (RNG.normal(size=(36, 5)) + LABELS[:, None]).astype(np.float16)
SPEC = TeacherSpec(targets="out_of_fold", folds=3)


@pytest.fixture(autouse=True)
def every_step_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEEP_S", 0.0)


class _Killed(BaseException):
    pass


def _fit(folder: Path | None, told: list[tuple[int, str]], *, kill_after: int | None = None) -> FittedTeacher:
    def tell(done: int, note: str) -> None:
        told.append((done, note))
        if len(told) == kill_after:
            raise _Killed

    return fit_teacher(
        SPEC, TRAIN, LABELS, VAL, LABELS, n_classes=3, steps=FitSteps(folder and StepFolder(folder), tell)
    )


def test_wherever_it_is_killed_it_goes_on_and_ends_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole: list[tuple[int, str]] = []
    undisturbed = _fit(None, whole)
    assert whole[-1][0] == n_steps(SPEC, TRAIN.shape, 3)
    for kill_after in range(1, len(whole)):
        folder = tmp_path / str(kill_after)
        with pytest.raises(_Killed):
            _fit(folder, [], kill_after=kill_after)
        kept = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
        assert len(kept) == kill_after
        told: list[tuple[int, str]] = []
        resumed = _fit(folder, told)
        assert told == whole
        assert all(path.stat().st_mtime_ns == at for path, at in kept.items()), "no kept step is computed again"
        for ours, theirs in (
            (resumed.readout, undisturbed.readout),
            (resumed.fold_readouts, undisturbed.fold_readouts),
        ):
            np.testing.assert_array_equal(ours.weight, theirs.weight)
            np.testing.assert_array_equal(ours.bias, theirs.bias)


@pytest.mark.parametrize("of_means", [False, True])
def test_steps_of_a_strength_that_is_no_longer_chosen_are_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, of_means: bool
) -> None:
    """As where another device goes on with a fit, and its rounding prefers another strength."""
    monkeypatch.setattr(row_blocks, "MOST_PRODUCTS", 0 if of_means else 2**36)

    def prefer(place: int, folder: Path | None) -> FittedTeacher:
        on_val = iter([float(number == place) for number in range(20)])
        monkeypatch.setattr(probe, "balanced_accuracy", lambda counts: next(on_val))
        return _fit(folder, [])

    before, expected = prefer(1, tmp_path), prefer(0, None)
    found = prefer(0, tmp_path)
    assert found.readout.strength == expected.readout.strength != before.readout.strength
    for ours, theirs in ((found.readout, expected.readout), (found.fold_readouts, expected.fold_readouts)):
        np.testing.assert_array_equal(ours.weight, theirs.weight)
        np.testing.assert_array_equal(ours.bias, theirs.bias)


STEP: Step = Affine(np.ones((3, 5), np.float32), np.zeros(3, np.float32)), 7


def _another() -> Step:
    return Affine(np.zeros((3, 5), np.float32), np.zeros(3, np.float32)), 1


def test_a_step_with_a_flipped_byte_is_computed_again(tmp_path: Path) -> None:
    FitSteps(StepFolder(tmp_path)).run("strength 0.1", lambda: STEP)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    assert FitSteps(StepFolder(tmp_path)).run("strength 0.1", _another)[1] == 7
    for place in range(0, len(whole), 3):
        flipped = bytearray(whole)
        flipped[place] ^= 0x20
        path.write_bytes(bytes(flipped))
        assert FitSteps(StepFolder(tmp_path)).run("strength 0.1", _another)[1] == 1, place


def test_a_short_step_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEEP_S", 60.0)
    FitSteps(StepFolder(tmp_path / "steps")).run("fold 1", lambda: STEP)
    assert not (tmp_path / "steps").exists()


def test_a_folder_that_cannot_be_written_costs_the_step_only(tmp_path: Path) -> None:
    (tmp_path / "steps").write_text("where the folder would be")
    steps = FitSteps(StepFolder(tmp_path / "steps"))
    assert steps.run("fold 1", lambda: STEP)[1] == 7
    assert steps.run("fold 1", _another)[1] == 1


def test_what_was_kept_is_removed_behind_the_fit(tmp_path: Path) -> None:
    kept = StepFolder(tmp_path / "steps")
    FitSteps(kept).run("fold 1", lambda: STEP)
    kept.remove()
    assert list(tmp_path.iterdir()) == []
    kept.remove()


@pytest.mark.parametrize(("form", "targets", "n"), [("ncm", "in_fold", 0), ("linear_probe", "in_fold", 8)])
def test_only_a_probe_has_steps(form: str, targets: str, n: int) -> None:
    assert n_steps(TeacherSpec(form=form, targets=targets), TRAIN.shape, 3) == n


@pytest.mark.parametrize("folds", [0, 3])
def test_a_fit_to_means_counts_all_its_steps_too(folds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_blocks, "MOST_PRODUCTS", 0)
    spec = TeacherSpec(targets="out_of_fold", folds=3) if folds else TeacherSpec()
    told: list[int] = []
    fit_teacher(
        spec, TRAIN, LABELS, VAL, LABELS, n_classes=3, steps=FitSteps(None, lambda done, note: told.append(done))
    )
    assert told == sorted(told)
    assert told[-1] == n_steps(spec, TRAIN.shape, 3) == len(probe.STRENGTHS_OF_MEANS) + folds
