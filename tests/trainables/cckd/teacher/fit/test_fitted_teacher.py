"""The five forms, their targets in and out of fold, and what does not fit."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save_file

from trainables.cckd.errors import TeacherError
from trainables.cckd.teacher.check import check_fit
from trainables.cckd.teacher.embeddings import ClassEmbeddings, read_embeddings
from trainables.cckd.teacher.fit.fitted_teacher import FittedTeacher, fit_teacher
from trainables.cckd.teacher.fit.folds import deal_folds
from trainables.cckd.teacher.spec import TeacherSpec
from trainables.cckd.teacher.teacher_file import TeacherFile

NAMES = ("ant", "bee", "cat")
COUNTS = (40, 12, 4)
N_VIEWS, N_FEATURES = 2, 6
FILE = TeacherFile("stub", Path("weights"), "aa", n_features=N_FEATURES, n_outputs=4)


def _features(counts: tuple[int, ...], seed: int) -> tuple[NDArray, NDArray[np.int64]]:
    centres = np.random.default_rng(99).normal(size=(3, N_FEATURES))
    labels = np.repeat(np.arange(3), counts)
    noise = np.random.default_rng(seed).normal(size=(len(labels), N_FEATURES))
    return (3 + 2 * (centres[labels] + 1.5 * noise)).astype(np.float16), labels


TRAIN, TRAIN_LABELS = _features(COUNTS, 0)
TRAIN = np.stack([TRAIN, TRAIN + np.float16(0.1)], axis=1)
VAL, VAL_LABELS = _features((30, 30, 30), 1)
RNG = np.random.default_rng(5)
WEIGHT, BIAS = RNG.normal(size=(3, N_FEATURES)).astype(np.float32), RNG.normal(size=3).astype(np.float32)
EMBEDDINGS = ClassEmbeddings(RNG.normal(size=(3, 4)).astype(np.float32), 30.0, "here", "bb")
PROJECTION = RNG.normal(size=(4, N_FEATURES)).astype(np.float32), RNG.normal(size=4).astype(np.float32)


def _fit(**options: object) -> FittedTeacher:
    classifier = {"zero_shot": PROJECTION, "head": (WEIGHT, BIAS)}.get(str(options.get("form")))
    return fit_teacher(
        TeacherSpec(**options),  # type: ignore[arg-type]
        TRAIN,
        TRAIN_LABELS,
        VAL,
        VAL_LABELS,
        n_classes=3,
        classifier=classifier,
        embeddings=EMBEDDINGS,
    )


def _reference_cosines(rows: NDArray, classes: NDArray) -> NDArray[np.float64]:
    rows, classes = rows.astype(float), classes.astype(float)
    return (rows / np.linalg.norm(rows, axis=1)[:, None]) @ (classes / np.linalg.norm(classes, axis=1)[:, None]).T


def test_ncm_is_the_scaled_cosine_to_the_mean_direction_of_each_class() -> None:
    fitted = _fit(form="ncm")
    flat = TRAIN.astype(float).reshape(-1, N_FEATURES)
    units = flat / np.linalg.norm(flat, axis=1)[:, None]
    means = np.stack([units[np.repeat(TRAIN_LABELS, N_VIEWS) == c].mean(0) for c in range(3)])
    scale = fitted.readout.scale
    assert scale is not None
    np.testing.assert_allclose(fitted.readout.logits(VAL), scale * _reference_cosines(VAL, means), atol=1e-3 * scale)


def test_the_scale_of_ncm_minimises_the_cross_entropy_on_val() -> None:
    fitted = _fit(form="ncm")
    cosines = fitted.readout.logits(VAL).astype(float) / fitted.readout.scale

    def loss(scale: float) -> float:
        return float(np.mean(np.log(np.exp(scale * cosines).sum(1)) - scale * cosines[np.arange(90), VAL_LABELS]))

    assert all(loss(fitted.readout.scale) <= loss(fitted.readout.scale * factor) for factor in (0.5, 0.9, 1.1, 2.0))


def test_zero_shot_compares_behind_the_projection() -> None:
    expected = 30 * _reference_cosines(VAL.astype(float) @ PROJECTION[0].T + PROJECTION[1], EMBEDDINGS.vectors)
    np.testing.assert_allclose(_fit(form="zero_shot").readout.logits(VAL), expected, atol=1e-2)


def test_head_is_the_networks_own_affine_function_of_raw_features() -> None:
    expected = VAL.astype(float) @ WEIGHT.T + BIAS
    np.testing.assert_allclose(_fit(form="head").readout.logits(VAL), expected, atol=1e-3)


@pytest.mark.parametrize("form", ["linear_probe", "ncm", "zero_shot", "head"])
def test_in_fold_targets_come_from_the_fit_on_all_images(form: str) -> None:
    fitted = _fit(form=form)
    assert fitted.fold_readouts is None
    right = fitted.readout.logits(TRAIN).argmax(-1) == TRAIN_LABELS[:, None]
    assert fitted.train_accuracy == fitted.target_accuracy == pytest.approx(right.mean())


@pytest.mark.parametrize("form", ["linear_probe", "ncm"])
def test_an_out_of_fold_target_does_not_depend_on_its_own_label(form: str) -> None:
    fitted = _fit(form=form, targets="out_of_fold", folds=3)
    assert fitted.target_accuracy < fitted.train_accuracy
    inside = _fit(form=form)
    np.testing.assert_array_equal(fitted.readout.logits(VAL), inside.readout.logits(VAL))
    folds = fitted.fold_readouts
    assert folds is not None
    np.testing.assert_array_equal(folds.fold_of, deal_folds(TRAIN_LABELS, 3))
    judged = [folds.judge(folds.fold_of[image], fitted.readout).logits(views) for image, views in enumerate(TRAIN)]
    right = np.stack(judged).argmax(-1) == TRAIN_LABELS[:, None]
    assert fitted.target_accuracy == pytest.approx(right.mean())
    if form == "ncm":
        others = folds.fold_of != folds.fold_of[7]
        flat = TRAIN[others].astype(float).reshape(-1, N_FEATURES)
        units = flat / np.linalg.norm(flat, axis=1)[:, None]
        means = np.stack([units[np.repeat(TRAIN_LABELS[others], N_VIEWS) == c].mean(0) for c in range(3)])
        expected = fitted.readout.scale * _reference_cosines(TRAIN[7], means)
        np.testing.assert_allclose(judged[7], expected, atol=0.02)


def _check(spec: TeacherSpec, counts: tuple[int, ...] = COUNTS, val: NDArray = VAL_LABELS) -> ClassEmbeddings | None:
    return check_fit(spec, FILE, class_names=NAMES, counts=counts, val_labels=val)


def _write(path: Path, width: int = N_FEATURES, rows: int = 3, names: tuple[str, ...] | None = None) -> str:
    vectors = np.ones((rows, width), np.float32)
    if path.suffix == ".npz":
        np.savez(path, embeddings=vectors, **({} if names is None else {"class_names": np.array(names)}))
    else:
        import json

        save_file({"embeddings": vectors}, path, None if names is None else {"class_names": json.dumps(names)})
    return str(path)


def test_a_teacher_of_other_classes_is_refused() -> None:
    with pytest.raises(TeacherError, match="classifier of the data set's 3 classes; weights has 4 outputs"):
        _check(TeacherSpec(form="head"))


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_embeddings_of_another_width_number_or_name_are_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"e.{suffix}"
    for width in (4, N_FEATURES):
        spec = TeacherSpec(form="zero_shot", embeddings=_write(path, width, names=NAMES))
        assert _check(spec).vectors.shape == (3, width)  # type: ignore[union-attr]
    with pytest.raises(TeacherError, match=r"teacher stub, 4 or 6; .* has width 5"):
        _check(TeacherSpec(form="zero_shot", embeddings=_write(path, 5)))
    with pytest.raises(TeacherError, match=r"one row for each of the 3 classes; got shape \(2, 4\)"):
        _check(TeacherSpec(form="zero_shot", embeddings=_write(path, 4, rows=2)))
    with pytest.raises(TeacherError, match="class 1 is 'bee', got 'cow'"):
        _check(TeacherSpec(form="zero_shot", embeddings=_write(path, 4, names=("ant", "cow", "cat"))))


@pytest.mark.parametrize("names", ["cat,dog", "5", '"ant"', '{"ant": 1}', "[1, 2, 3]", '["ant", null]'])
def test_class_names_in_metadata_that_are_no_list_of_names_are_refused(tmp_path: Path, names: str) -> None:
    save_file({"embeddings": np.ones((3, 4), np.float32)}, tmp_path / "e.safetensors", {"class_names": names})
    with pytest.raises(TeacherError, match=r"class_names must be a list of names, in JSON where it is metadata; got "):
        read_embeddings(tmp_path / "e.safetensors", NAMES)


@pytest.mark.parametrize("names", ["ant", 3, [["ant", "bee", "cat"]]])
def test_an_array_of_class_names_that_is_no_list_is_refused(tmp_path: Path, names: object) -> None:
    np.savez(tmp_path / "e.npz", embeddings=np.ones((3, 4), np.float32), class_names=np.array(names))
    with pytest.raises(TeacherError, match=r"class_names must be a list of names, .*; got "):
        read_embeddings(tmp_path / "e.npz", NAMES)


@pytest.mark.parametrize("content", [b"", b"not it", b"\x93NUMPY\x01\x00v\x00{'descr", b"PK\x05\x06" + bytes(18)])
@pytest.mark.parametrize("name", ["e.npz", "e.safetensors"])
def test_a_file_that_holds_no_embeddings_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TeacherError, match="must be a safetensors or npz file with an array 'embeddings'"):
        read_embeddings(tmp_path / name, NAMES)


def test_without_a_file_zero_shot_asks_for_one_or_for_open_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(TeacherError, match="--teacher-embeddings, or install open_clip"):
        _check(TeacherSpec(form="zero_shot"))


def test_folds_and_the_fixed_point_need_their_images() -> None:
    with pytest.raises(TeacherError, match="at least 2 training images of every class; got 1 in class 2"):
        _check(TeacherSpec(targets="out_of_fold"), counts=(40, 12, 1))
    with pytest.raises(TeacherError, match="1 are not, the first is class 2"):
        _check(TeacherSpec(prior="fixed_point"), val=np.array([0, 1]))


def test_the_home_of_nobody_is_a_folder_that_is_not_there() -> None:
    spec = TeacherSpec(name="clip", form="zero_shot", embeddings="~nobody-of-this-name/e.npz")
    with pytest.raises(TeacherError, match=r"teacher embeddings must be a file; .*~nobody-of-this-name/e\.npz is none"):
        _check(spec)
