"""Distances of features, from moments summed batch by batch, against plain numpy on all features at once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from trainables.cckd.training import separability as module
from trainables.cckd.training.separability import class_moments, separability


def _features(seed: int, n: int, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 5)).astype(np.float32), rng.integers(n_classes, size=n)


def _reference(train, train_labels, test, test_labels, n_classes) -> dict[str, list[float | None]]:
    def mean(features, labels, c):
        return features[labels == c].astype(float).mean(axis=0) if (labels == c).any() else None

    means = [mean(test, test_labels, c) for c in range(n_classes)]
    found: dict[str, list[float | None]] = {"deviation": [], "intra": [], "inter": []}
    for c in range(n_classes):
        here, learnt = means[c], mean(train, train_labels, c)
        others = [m for k, m in enumerate(means) if k != c and m is not None]
        found["deviation"].append(None if here is None or learnt is None else float(np.linalg.norm(here - learnt)))
        inside = test[test_labels == c].astype(float)
        found["intra"].append(None if here is None else float(np.sqrt(((inside - here) ** 2).sum(axis=1).mean())))
        found["inter"].append(
            None if here is None or not others else float(np.mean([np.linalg.norm(here - m) for m in others]))
        )
    return found


@given(some.integers(0, 10_000), some.integers(1, 30), some.integers(1, 30), some.integers(2, 6), some.integers(1, 7))
@settings(max_examples=60)
def test_distances_equal_a_plain_reference(seed: int, n_train: int, n_test: int, n_classes: int, size: int) -> None:
    train, test = _features(seed, n_train, n_classes), _features(seed + 1, n_test, n_classes)
    moments = [
        class_moments((features[i : i + size] for i in range(0, len(features), size)), labels, n_classes)
        for features, labels in (train, test)
    ]
    found, expected = separability(*moments), _reference(*train, *test, n_classes)
    for name, values in expected.items():
        assert [value is None for value in found[name]] == [value is None for value in values]
        pairs = zip(found[name], values, strict=True)
        assert all(a == pytest.approx(b, abs=1e-5) for a, b in pairs if b is not None)


def test_many_classes_are_measured_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = class_moments([_features(0, 400, 40)[0]], _features(0, 400, 40)[1], 40)
    whole = separability(moments, moments)
    monkeypatch.setattr(module, "_BLOCK", 7)
    assert separability(moments, moments)["inter"] == pytest.approx(whole["inter"])
    assert whole["deviation"] == pytest.approx([0.0] * 40)
