"""Folds are even, the same whenever they are dealt, and each has a readout of its own."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.cckd.teacher.fit.folds import FoldReadouts, deal_folds
from trainables.cckd.teacher.readout import Readout


@given(counts=st.lists(st.integers(2, 40), min_size=1, max_size=6), n_folds=st.integers(2, 7))
def test_folds_spread_every_class_and_are_of_one_size(counts: Sequence[int], n_folds: int) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    folds = deal_folds(labels, n_folds)
    np.testing.assert_array_equal(folds, deal_folds(labels, n_folds))
    for class_id, count in enumerate(counts):
        per_fold = np.bincount(folds[class_id == labels], minlength=n_folds)
        assert np.ptp(per_fold) <= 1
        assert count - per_fold.max() >= 1, "every class is among the images of all other folds"
    sizes = np.bincount(folds)
    assert np.ptp(sizes) <= 1, "no fold is without images below the largest one"


@pytest.mark.parametrize("scale", [None, 7.0])
def test_a_fold_has_its_own_weight_and_bias_and_shares_the_rest(scale: float | None) -> None:
    rng = np.random.default_rng(0)
    weight, bias = rng.normal(size=(2, 3, 4)).astype(np.float32), rng.normal(size=(2, 3)).astype(np.float32)
    on_all = Readout(
        weight=weight[0] + 1, bias=bias[0], feature_mean=np.ones(4, np.float32), feature_std=weight[0, 0], scale=scale
    )
    folds = FoldReadouts(weight, bias, np.array([0, 1, 0]))
    assert len(folds) == 2
    for fold in range(2):
        judge = folds.judge(fold, on_all)
        np.testing.assert_array_equal(judge.weight, weight[fold])
        np.testing.assert_array_equal(judge.bias, bias[fold])
        assert (judge.feature_std is on_all.feature_std, judge.scale) == (True, scale)
