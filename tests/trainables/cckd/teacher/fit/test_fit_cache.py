"""A fit is found again, equal to the last bit, by who fits the same; whatever is not intact is not found."""

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainables.cckd.teacher.cache import fit_files as module
from trainables.cckd.teacher.cache.feature_cache import FeatureCache, FeatureKey
from trainables.cckd.teacher.embeddings import ClassEmbeddings
from trainables.cckd.teacher.fit.fit_cache import FitCache
from trainables.cckd.teacher.fit.fitted_teacher import FittedTeacher, fit_teacher
from trainables.cckd.teacher.spec import TeacherSpec

N_CLASSES, N_VIEWS, N_FEATURES = 3, 2, 6
LABELS = np.repeat(np.arange(N_CLASSES), 5)
RNG = np.random.default_rng(0)
TRAIN = (RNG.normal(size=(15, N_VIEWS, N_FEATURES)) + LABELS[:, None, None]).astype(np.float16)
VAL = (RNG.normal(size=(15, N_FEATURES)) + LABELS[:, None]).astype(np.float16)

Open = Callable[..., FitCache]


@pytest.fixture
def cached(tmp_path: Path) -> dict[str, FeatureCache]:
    return {subset: _features(tmp_path, subset, features) for subset, features in (("train", TRAIN), ("val", VAL))}


@pytest.fixture
def opened(cached: dict[str, FeatureCache]) -> Open:
    def open_(spec: TeacherSpec | None = None, labels: Any = LABELS, **changes: Any) -> FitCache:
        return FitCache(spec or TeacherSpec(), cached["train"], labels, cached["val"], LABELS, **changes)

    return open_


def _features(root: Path, subset: str, features: Any) -> FeatureCache:
    key = FeatureKey("a", "b", 32, "c", subset, None, features.shape, {"torch": "1"})
    cache = FeatureCache(root, key)
    cache.write_part(0, features)
    cache.finish()
    return cache


def _fit(spec: TeacherSpec) -> FittedTeacher:
    vectors = np.eye(N_CLASSES, N_FEATURES, dtype=np.float32)
    embeddings = ClassEmbeddings(vectors, 10.0, "here", "d") if spec.form == "zero_shot" else None
    classifier = (vectors, np.ones(N_CLASSES, np.float32)) if spec.form == "head" else None
    known = {"n_classes": N_CLASSES, "classifier": classifier, "embeddings": embeddings}
    return fit_teacher(spec, TRAIN, LABELS, VAL, LABELS, **known)


def _assert_equal(found: Any, expected: Any) -> None:
    if is_dataclass(expected):
        assert type(found) is type(expected)
        for field in fields(expected):
            _assert_equal(getattr(found, field.name), getattr(expected, field.name))
    elif isinstance(expected, np.ndarray):
        assert found.dtype == expected.dtype
        assert np.array_equal(found, expected)
    else:
        assert (type(found), found) == (type(expected), expected)


@pytest.mark.parametrize(
    "spec",
    [
        TeacherSpec(),
        TeacherSpec(targets="out_of_fold", folds=3, prior="train"),
        *(TeacherSpec(form=form) for form in ("ncm", "zero_shot", "head")),
    ],
    ids=lambda spec: f"{spec.form}-{spec.targets}",
)
def test_every_form_comes_back_as_it_was(opened: Open, spec: TeacherSpec) -> None:
    fitted = _fit(spec)
    assert opened(spec).load() is None
    opened(spec).keep(fitted)
    _assert_equal(opened(spec).load(), fitted)


def test_whoever_fits_something_else_does_not_find_it(opened: Open, cached, monkeypatch, tmp_path: Path) -> None:
    taken = [
        opened(),
        *(opened(replace(TeacherSpec(), **{name: value})) for name, value in _OTHER.items()),
        opened(labels=LABELS[::-1]),
        opened(embeddings_sha256="d"),
        opened(outputs=("a", "b", "c")),
        opened(outputs=("a", "c", "b")),
    ]
    cached["train"] = _features(tmp_path / "other", "train", TRAIN + np.float16(1))
    taken.append(opened())
    monkeypatch.setattr(module, "version", lambda name: "another")
    taken.append(opened())
    monkeypatch.setattr(module, "FIT_RECIPE", module.FIT_RECIPE + 1)
    taken.append(opened())
    assert len({cache.path.name for cache in taken}) == len(taken)


_OTHER = {"form": "ncm", "tau": 0.5, "prior": "train", "prior_smoothing": 0.5, "targets": "out_of_fold", "folds": 4}


def test_one_with_a_flipped_byte_is_not_found_wherever_it_lies(opened: Open) -> None:
    opened().keep(_fit(TeacherSpec()))
    path = opened().path
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        flipped = bytearray(whole)
        flipped[place] ^= 0x20
        path.write_bytes(bytes(flipped))
        assert opened().load() is None, place


def test_a_cache_that_cannot_be_written_costs_only_the_fit(opened: Open) -> None:
    opened().path.parent.write_text("where the folder would be")
    opened().keep(_fit(TeacherSpec()))
    assert opened().load() is None


def test_it_goes_with_the_features(opened: Open, cached: dict[str, FeatureCache]) -> None:
    opened().keep(_fit(TeacherSpec()))
    assert opened().path.is_relative_to(cached["train"].folder)
