"""Logits kept as their K largest: exact where kept, the right weight elsewhere."""

import numpy as np
import pytest
import torch

from trainables.cckd.batches.teacher_targets import ResidentTopK
from trainables.cckd.teacher.fit.top_k_logits import TopKLogits, empty_top, keep_top

LOGITS = np.random.default_rng(0).normal(scale=3, size=(4, 2, 20)).astype(np.float32)
LOG_PRIOR = np.log(np.random.default_rng(1).dirichlet(np.ones(20)))


def _softmax(logits: np.ndarray) -> np.ndarray:
    odds = np.exp(logits.astype(float))
    return odds / odds.sum(-1, keepdims=True)


def _dense(kept: TopKLogits) -> np.ndarray:
    images, views = torch.meshgrid(torch.arange(4), torch.arange(2), indexing="ij")
    return ResidentTopK(kept, LOG_PRIOR, torch.device("cpu"))[images, views].numpy()


def test_the_kept_probabilities_survive_and_the_others_share_theirs_by_the_prior() -> None:
    dense = _dense(keep_top(LOGITS, 5))
    found, expected = _softmax(dense), _softmax(LOGITS)
    top = np.argsort(-LOGITS, axis=-1)[..., :5]
    np.testing.assert_allclose(np.take_along_axis(found, top, -1), np.take_along_axis(expected, top, -1), rtol=5e-3)
    for row, classes in zip(found.reshape(-1, 20), top.reshape(-1, 5), strict=True):
        others = np.setdiff1d(np.arange(20), classes)
        ratio = row[others] / np.exp(LOG_PRIOR[others])
        np.testing.assert_allclose(ratio, ratio[0], rtol=1e-4)


def test_images_and_views_are_chosen_in_pairs() -> None:
    kept = keep_top(LOGITS, 5)
    found = ResidentTopK(kept, LOG_PRIOR, torch.device("cpu"))[torch.tensor([3, 0, 2]), torch.tensor([1, 0, 1])]
    np.testing.assert_array_equal(found.numpy(), _dense(kept)[[3, 0, 2], [1, 0, 1]])


def test_blocks_filled_in_any_order_make_the_whole() -> None:
    whole = empty_top(4, 2, 20, k=5)
    for images in (np.array([2, 0]), np.array([3, 1])):
        whole[images] = keep_top(LOGITS[images], 5)
    np.testing.assert_array_equal(_dense(whole), _dense(keep_top(LOGITS, 5)))
    assert whole.shape == (4, 2, 20)
    assert whole.values.dtype == np.float16


def test_more_classes_than_an_index_holds_is_our_own_mistake() -> None:
    with pytest.raises(AssertionError):
        keep_top(np.zeros((1, 1, 40_000), np.float32), 5)
