from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from trainables.cckd.batches.epoch_draws import draw_epoch
from trainables.cckd.batches.mixing import draw_pairs
from trainables.cckd.batches.resident_images import view_of_epoch
from trainables.cckd.batches.steps import Batches, StepBatch
from trainables.cckd.bundle.trial_data import TrialData
from trainables.cckd.config import TrialConfig
from trainables.cckd.data.images.views import apply_views
from trainables.cckd.losses.objective import Objective

SEED, EPOCH, BATCH = 5, 2, 16
_MIX_ONLY = {"cckd_weight": 0.0, "cckd_mix_weight": 0.0}


def _batches(data: TrialData, *, teacher_factory: Any = None, **flat: Any) -> Batches:
    config = TrialConfig.build({"batch_size": BATCH, "seed": SEED} | flat)
    n_mixed = config.n_mixed
    counts = torch.from_numpy(data.counts)
    objective = Objective(config, counts, torch.tensor(data.teacher_log_prior), n_mixed=n_mixed)
    return Batches(config, data, objective, device=torch.device("cpu"), teacher_factory=teacher_factory)


def _epoch(data: TrialData, epoch: int = EPOCH, **flat: Any) -> list[StepBatch]:
    return list(_batches(data, **flat).epoch(epoch))


def _logits(data: TrialData) -> NDArray[np.float32]:
    # The first features of the synthetic world are its teacher's logits.
    return data.teacher_features[..., : data.n_classes].astype(np.float32)


def _who(data: TrialData, logits: torch.Tensor) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    # No two views of the synthetic world share their teacher logits: these say which (sample, view) a row is.
    same = (_logits(data)[None] == logits.numpy()[:, None, None]).all(axis=-1)
    assert (same.sum(axis=(1, 2)) == 1).all()
    _, samples, views = np.nonzero(same)
    return samples, views


def _seen(data: TrialData, samples: NDArray[np.int64], views: NDArray[np.int64]) -> NDArray[np.float64]:
    return apply_views(data.train_images[samples], data.views[samples, views]).astype(np.float64)


def _normalised(data: TrialData, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    return (pixels / 255 - data.pixel_mean[:, None, None]) / data.pixel_std[:, None, None]


@pytest.mark.parametrize("flat", [{"method": "acckd"}, {"method": "acckd", "mix_ratio": 0.0}], ids=["mixed", "plain"])
def test_student_and_teacher_see_the_same_view_the_samples_own(trial_data: TrialData, flat: dict[str, Any]) -> None:
    batches = _epoch(trial_data, **flat)
    assert len(batches) == 42 // BATCH
    view_of = view_of_epoch(SEED, EPOCH, 42, trial_data.n_views)
    drawn = []
    for batch in batches:
        assert batch.plain.logits is not None
        assert batch.plain.features is not None
        samples, views = _who(trial_data, batch.plain.logits)
        drawn += samples.tolist()
        np.testing.assert_array_equal(views, view_of[samples])
        np.testing.assert_array_equal(batch.plain.labels, trial_data.train_labels[samples])
        np.testing.assert_array_equal(batch.plain.features, trial_data.teacher_features[samples, views])
        expected = _normalised(trial_data, _seen(trial_data, samples, views))
        np.testing.assert_allclose(batch.images[:BATCH], expected, atol=1e-5)
    assert len(drawn) == len(set(drawn)) == 32


@pytest.mark.parametrize(
    "flat", [{"method": "la"}, {"method": "acckd_no_fi", "cckd_weight": 0.0, "cckd_mix_weight": 0.0}]
)
def test_without_a_teacher_the_student_sees_fresh_views(trial_data: TrialData, flat: dict[str, Any]) -> None:
    config = TrialConfig.build({"batch_size": BATCH, "seed": SEED} | flat)
    n_mixed = config.n_mixed
    draws = draw_epoch(config, trial_data, n_mixed, EPOCH, fresh=True)
    assert np.abs(draws.views[..., :2]).max() == trial_data.view_rule.padding == 2
    for step, batch in enumerate(_epoch(trial_data, **flat)):
        samples, views = draws.samples[step, :BATCH], draws.views[step, :BATCH]
        expected = _normalised(trial_data, apply_views(trial_data.train_images[samples], views).astype(np.float64))
        np.testing.assert_array_equal(batch.plain.labels, trial_data.train_labels[samples])
        np.testing.assert_allclose(batch.images[:BATCH], expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["cutout", "autoaugment", "randaugment"])
@pytest.mark.parametrize("method", ["la", "kd", "acckd"])
def test_augmentation_changes_what_the_student_sees_and_nothing_else(
    trial_data: TrialData, method: str, kind: Any
) -> None:
    changed = False
    pairs = zip(*(_epoch(trial_data, method=method, augment=augment) for augment in (kind, "none")), strict=True)
    for ours, theirs in pairs:
        changed |= not torch.equal(ours.images, theirs.images)
        assert ours.images.shape == theirs.images.shape
        np.testing.assert_array_equal(ours.plain.labels, theirs.plain.labels)
        for mine, plain in ((ours.plain, theirs.plain), (ours.mixed, theirs.mixed)):
            if mine is not None and plain is not None and mine.logits is not None:
                np.testing.assert_array_equal(mine.logits, plain.logits)
    assert changed


def test_a_teacher_that_is_asked_about_mixtures_sees_them_without_augmentation(trial_data: TrialData) -> None:
    asked: dict[str, list[torch.Tensor]] = {}

    class Listening(torch.nn.Module):
        def __init__(self, seen: list[torch.Tensor]) -> None:
            super().__init__()
            self.seen = seen

        def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            self.seen.append(images.clone())
            return torch.zeros(len(images), 3), torch.zeros(len(images), 5)

    for kind in ("none", "cutout"):
        seen = asked.setdefault(kind, [])
        flat = {"method": "acckd", "mix_targets": "forward", "augment": kind}
        list(_batches(trial_data, teacher_factory=lambda _, seen=seen: Listening(seen), **flat).epoch(EPOCH))
    assert len(asked["none"]) == len(asked["cutout"]) == 2
    assert all(map(torch.equal, asked["none"], asked["cutout"]))


def test_every_epoch_shuffles_anew(trial_data: TrialData) -> None:
    def order(epoch: int) -> list[int]:
        batches = _epoch(trial_data, epoch, method="kd")
        rows = [batch.plain.logits for batch in batches if batch.plain.logits is not None]
        return _who(trial_data, torch.cat(rows))[0].tolist()

    assert order(1) == order(1)
    assert set(order(1)) != set(order(2))


@pytest.mark.parametrize("mix_op", ["mixup", "cutmix"])
def test_labels_and_targets_of_a_mixture_mix_as_its_pixels(trial_data: TrialData, mix_op: Any) -> None:
    pairs = draw_pairs(
        trial_data.train_labels, 2, BATCH, balance=0.3, alpha=0.5, op=mix_op, image_size=(8, 8), seed=SEED, epoch=EPOCH
    )
    view_of = view_of_epoch(SEED, EPOCH, 42, trial_data.n_views)
    for step, batch in enumerate(_epoch(trial_data, method="acckd", mix_op=mix_op, mix_balance=0.3)):
        first, second = pairs.first[step], pairs.second[step]
        share = pairs.share[step].astype(np.float64)[:, None]
        mixed = batch.mixed
        assert mixed is not None
        assert mixed.logits is not None
        assert mixed.features is not None
        for found, source in (
            (mixed.labels, np.eye(3)[trial_data.train_labels][:, None].repeat(3, axis=1)),
            (mixed.logits, _logits(trial_data)),
            (mixed.features, trial_data.teacher_features.astype(np.float64)),
        ):
            expected = share * source[first, view_of[first]] + (1 - share) * source[second, view_of[second]]
            np.testing.assert_allclose(found, expected, atol=1e-5)
        ours, theirs = (_seen(trial_data, index, view_of[index]) for index in (first, second))
        if pairs.boxes is None:
            pixels = share[..., None, None] * ours + (1 - share[..., None, None]) * theirs
        else:
            pixels = ours.copy()
            for image, other, (top, bottom, left, right) in zip(pixels, theirs, pairs.boxes[step], strict=True):
                image[:, top:bottom, left:right] = other[:, top:bottom, left:right]
        np.testing.assert_allclose(batch.images[BATCH:], _normalised(trial_data, pixels), atol=1e-4)


@pytest.mark.parametrize(
    ("flat", "logits", "features", "mixed"),
    [
        ({"method": "la"}, False, False, False),
        ({"method": "kd"}, True, False, False),
        ({"method": "acckd_no_fi"}, True, False, True),
        ({"method": "acckd", "cckd_weight": 0.0, "mix_weight": 0.0}, False, True, True),
    ],
)
def test_only_what_a_term_reads_is_gathered(
    trial_data: TrialData, flat: dict[str, Any], logits: bool, features: bool, mixed: bool
) -> None:
    batch = _epoch(trial_data, **flat)[0]
    assert (batch.plain.logits is not None) == logits
    assert (batch.plain.features is not None) == features
    assert (batch.mixed is not None) == mixed
    assert len(batch.images) == (2 * BATCH if mixed else BATCH)


@pytest.mark.parametrize("prepared", [EPOCH, EPOCH + 1])
def test_an_epoch_is_the_same_whichever_was_prepared(trial_data: TrialData, prepared: int) -> None:
    batches = _batches(trial_data, method="acckd")
    batches.prepare(prepared)
    for ours, theirs in zip(batches.epoch(EPOCH), _epoch(trial_data, method="acckd"), strict=True):
        assert torch.equal(ours.images, theirs.images)
        assert torch.equal(ours.plain.labels, theirs.plain.labels)
