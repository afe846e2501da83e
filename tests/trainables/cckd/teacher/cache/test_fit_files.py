"""Files of fits that no study can use are found; those that a study would take are not."""

from pathlib import Path

import numpy as np
import pytest

from trainables.cckd.teacher.cache import fit_files as module
from trainables.cckd.teacher.cache.feature_cache import FeatureCache, FeatureKey
from trainables.cckd.teacher.cache.fit_files import dead_fits
from trainables.cckd.teacher.fit.fit_cache import FitCache
from trainables.cckd.teacher.fit.fit_steps import StepFolder
from trainables.cckd.teacher.fit.fitted_teacher import fit_teacher
from trainables.cckd.teacher.fit.softmax_regression import Affine
from trainables.cckd.teacher.spec import TeacherSpec

FEATURES = np.random.default_rng(0).normal(size=(6, 2, 3)).astype(np.float16)
LABELS = np.arange(6) % 2


def _kept(root: Path, *, fit: bool = True, steps: bool = True) -> FitCache:
    """A fit with its steps, of NCM because that takes no time."""
    train = FeatureCache(root, FeatureKey("a", "b", 32, "c", "train", None, FEATURES.shape, {"torch": "1"}))
    if not train.complete:
        train.write_part(0, FEATURES)
        train.finish()
    spec = TeacherSpec(form="ncm")
    kept = FitCache(spec, train, LABELS, train, LABELS)
    if fit:
        kept.keep(fit_teacher(spec, FEATURES, LABELS, FEATURES[:, 0], LABELS, n_classes=2))
        assert kept.load() is not None
    if steps:
        StepFolder(kept.steps).write("strength 1", (Affine.zero(2, 3), 7))
    return kept


def _dead(kept: FitCache, *, unfinished: bool = False) -> set[Path]:
    return set(dead_fits(kept.path.parent.parent, unfinished=unfinished))


def test_steps_are_of_use_until_their_fit_is_complete(tmp_path: Path) -> None:
    kept = _kept(tmp_path, fit=False)
    assert _dead(kept) == set()
    assert _dead(kept, unfinished=True) == {kept.steps}
    assert _kept(tmp_path).path.exists()
    assert _dead(kept) == _dead(kept, unfinished=True) == {kept.steps}


@pytest.mark.parametrize("change", [("FIT_RECIPE", 99), ("version", lambda name: "0")], ids=["recipe", "libraries"])
def test_what_others_have_made_is_of_no_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: tuple[str, object]
) -> None:
    fit, steps = _kept(tmp_path / "one", steps=False), _kept(tmp_path / "two", fit=False)
    assert _dead(fit) == _dead(steps) == set()
    monkeypatch.setattr(module, *change)
    assert _dead(fit) == {fit.path}
    assert _dead(steps) == {steps.steps}
    assert StepFolder(steps.steps).read("strength 1") is None


def test_a_file_that_does_not_say_what_made_it_is_of_no_use(tmp_path: Path) -> None:
    fit, steps = _kept(tmp_path / "one", steps=False), _kept(tmp_path / "two", fit=False)
    for path in (fit.path, steps.steps / "strength-1.safetensors"):
        content = path.read_bytes()
        path.write_bytes(content.replace(b"made_by", b"sold_by"))
    assert _dead(fit) == {fit.path}
    fit.path.write_bytes(b"")
    assert _dead(fit) == {fit.path}
    assert _dead(steps) == {steps.steps}


def test_features_without_fits_have_no_dead_ones(tmp_path: Path) -> None:
    assert list(dead_fits(tmp_path, unfinished=True)) == []
