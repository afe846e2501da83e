"""The choices of an epoch: cached views in turn, or fresh ones."""

import numpy as np
import pytest

from trainables.cckd.batches.epoch_draws import EpochDraws, draw_epoch
from trainables.cckd.batches.resident_images import view_of_epoch
from trainables.cckd.bundle.trial_data import TrialData
from trainables.cckd.config import TrialConfig


def _draw(
    data: TrialData, epoch: int = 1, *, fresh: bool, n_mixed: int = 0, seed: int = 7, method: str = "acckd"
) -> EpochDraws:
    config = TrialConfig.build({"method": method, "batch_size": 10, "seed": seed})
    return draw_epoch(config, data, n_mixed, epoch, fresh=fresh)


@pytest.mark.parametrize("n_mixed", [0, 3])
def test_cached_views_name_the_rows_of_the_teachers_outputs(trial_data: TrialData, n_mixed: int) -> None:
    draws = _draw(trial_data, 2, fresh=False, n_mixed=n_mixed)
    assert draws.rows is not None
    samples, views = np.divmod(draws.rows, trial_data.n_views)
    np.testing.assert_array_equal(samples, draws.samples)
    np.testing.assert_array_equal(views, view_of_epoch(7, 2, 42, trial_data.n_views)[draws.samples])
    np.testing.assert_array_equal(draws.views, trial_data.views[samples, views])


@pytest.mark.parametrize("n_mixed", [0, 3])
def test_fresh_views_change_nothing_else(trial_data: TrialData, n_mixed: int) -> None:
    cached, fresh = (_draw(trial_data, fresh=fresh, n_mixed=n_mixed) for fresh in (False, True))
    np.testing.assert_array_equal(cached.samples, fresh.samples)
    np.testing.assert_array_equal(cached.share, fresh.share)
    assert fresh.rows is None
    assert fresh.views.shape == cached.views.shape == (4, 10 + 2 * n_mixed, 5)


@pytest.mark.parametrize("n_mixed", [1, 3, 8])
def test_the_images_of_d_have_the_same_fresh_views_beside_any_d_mix(trial_data: TrialData, n_mixed: int) -> None:
    alone, beside = (_draw(trial_data, 2, fresh=True, n_mixed=n) for n in (0, n_mixed))
    np.testing.assert_array_equal(beside.samples[:, :10], alone.samples)
    np.testing.assert_array_equal(beside.views[:, :10], alone.views)
    assert (beside.views[:, 10 : 10 + n_mixed] != beside.views[:, 10 + n_mixed :]).any()


def test_fresh_views_are_a_function_of_seed_and_epoch(trial_data: TrialData) -> None:
    once, again = (_draw(trial_data, 3, fresh=True).views for _ in range(2))
    np.testing.assert_array_equal(once, again)
    for other in (_draw(trial_data, 4, fresh=True), _draw(trial_data, 3, fresh=True, seed=8)):
        assert (other.views != once).any()


def test_an_image_sees_more_fresh_views_than_the_pool_has(trial_data: TrialData) -> None:
    seen = {
        fresh: {
            tuple(view)
            for epoch in range(1, 25)
            for draws in [_draw(trial_data, epoch, fresh=fresh)]
            for view in draws.views[draws.samples == 0]
        }
        for fresh in (False, True)
    }
    assert len(seen[False]) <= trial_data.n_views == 3
    assert len(seen[True]) > 6  # of 18: nine shifts, mirrored or not


def test_an_epoch_holds_an_image_at_most_once_or_every_class_equally_often(trial_data: TrialData) -> None:
    # 24, 12 and 6 images; four steps of ten.
    once = _draw(trial_data, fresh=False).samples
    assert len(set(once.flatten().tolist())) == once.size == 40
    drawn = np.concatenate([_draw(trial_data, epoch, fresh=False, method="cbd").samples for epoch in range(1, 51)])
    assert drawn.shape == (200, 10)
    shares = np.bincount(trial_data.train_labels[drawn.flatten()]) / drawn.size
    np.testing.assert_allclose(shares, 1 / 3, atol=0.05)
    of_the_rarest = np.bincount(drawn.flatten())[trial_data.train_labels == 2] / drawn.size
    np.testing.assert_allclose(of_the_rarest, 1 / 18, atol=0.02)
