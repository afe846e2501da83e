"""The random choices of one epoch: samples, views and mixtures, drawn on the host before its first step."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainables.cckd.batches.mixing import Pairs, draw_balanced, draw_pairs
from trainables.cckd.batches.resident_images import view_of_epoch
from trainables.cckd.bundle.trial_data import TrialData
from trainables.cckd.config import TrialConfig
from trainables.cckd.random_streams import derive_seed, generator


@dataclass(frozen=True, eq=False)
class EpochDraws:
    """The choices of an epoch of S steps.

    Attributes:
        samples: image indices, int64 (S, B + 2M): B of D, then the first and the second members of the M pairs.
        views: the view of each image, int16 (S, B + 2M, 5) as in `TrialData.views`.
        rows: the row of each cached view in the teacher's outputs, image V + view, int64 (S, B + 2M); None where views
            are fresh.
        share: lambda of each pair, float32 (S, M), None without pairs.
        boxes: the box of each pair, int64 (S, M, 4), None unless cutmix mixes them.
    """

    samples: NDArray[np.int64]
    views: NDArray[np.int16]
    rows: NDArray[np.int64] | None = None
    share: NDArray[np.float32] | None = None
    boxes: NDArray[np.int64] | None = None


def draw_epoch(config: TrialConfig, data: TrialData, n_mixed: int, epoch: int, *, fresh: bool) -> EpochDraws:
    """Draw the choices of `epoch`, counted from 1, from the configuration's seed; left-over samples are dropped.

    Args:
        config: batch size, sampling, mixing and seed.
        data: the study's data.
        n_mixed: M, pairs per step.
        epoch: together with the seed and the names of the streams it fixes every choice.
        fresh: whether every image gets a new view, which the teacher has not seen; else each image goes through its V
            cached views. Rungs without a teacher then see as many views as in the literature.
    """
    n_train = len(data.train_labels)
    n_steps = n_train // config.batch_size
    samples = _samples(config, data, n_steps, epoch)
    pairs = None if n_mixed == 0 else _pairs(config, data, n_steps, n_mixed, epoch)
    if pairs is not None:
        samples = np.concatenate([samples, pairs.first, pairs.second], axis=1)
    share, boxes = (None, None) if pairs is None else (pairs.share, pairs.boxes)
    if fresh:
        # A stream for D alone: at one seed it sees the same views beside any D_mix.
        parts = {"fresh_views": samples[:, : config.batch_size], "fresh_mixed_views": samples[:, config.batch_size :]}
        drawn = [
            data.view_rule.draw(data.train_images, of_part, seed=derive_seed(config.seed, stream, epoch))
            for stream, of_part in parts.items()
        ]
        return EpochDraws(samples, np.concatenate(drawn, axis=1), None, share, boxes)
    view_of = view_of_epoch(config.seed, epoch, n_train, data.n_views)[samples]
    return EpochDraws(samples, data.views[samples, view_of], samples * data.n_views + view_of, share, boxes)


def _samples(config: TrialConfig, data: TrialData, n_steps: int, epoch: int) -> NDArray[np.int64]:
    """Draw the samples of D, (S, B): each image at most once, or every class equally often on average."""
    rng, shape = generator(config.seed, "order", epoch), (n_steps, config.batch_size)
    if config.sampling == "class_balanced":
        return draw_balanced(data.train_labels, shape, rng, balance=1.0)
    return rng.permutation(len(data.train_labels))[: n_steps * config.batch_size].reshape(shape)


def _pairs(config: TrialConfig, data: TrialData, n_steps: int, n_mixed: int, epoch: int) -> Pairs:
    return draw_pairs(
        data.train_labels,
        n_steps,
        n_mixed,
        balance=config.mix_balance,
        alpha=config.mix_alpha,
        op=config.mix_op,
        image_size=data.image_shape[1:],
        seed=config.seed,
        epoch=epoch,
    )
