"""The random choices of one epoch: samples, views and mixtures, drawn on the host before its first step."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainables.cckd.batches.mixing import draw_pairs
from trainables.cckd.batches.resident_images import view_of_epoch
from trainables.cckd.bundle.trial_data import TrialData
from trainables.cckd.config import TrialConfig
from trainables.cckd.random_streams import generator


@dataclass(frozen=True, eq=False)
class EpochDraws:
    """The choices of an epoch of S steps.

    Attributes:
        samples: image indices, int64 (S, B + 2M): B of D, then the first and the second members of the M pairs.
        views: the view of each image, int64 (S, B + 2M).
        share: lambda of each pair, float32 (S, M), None without pairs.
        boxes: the box of each pair, int64 (S, M, 4), None unless cutmix mixes them.
    """

    samples: NDArray[np.int64]
    views: NDArray[np.int64]
    share: NDArray[np.float32] | None = None
    boxes: NDArray[np.int64] | None = None


def draw_epoch(config: TrialConfig, data: TrialData, n_mixed: int, epoch: int) -> EpochDraws:
    """Draw the choices of `epoch`, counted from 1, from the configuration's seed; left-over samples are dropped.

    Args:
        config: batch size, mixing and seed.
        data: the study's data.
        n_mixed: M, pairs per step.
        epoch: together with the seed and the names of the streams it fixes every choice.
    """
    n_train = len(data.train_labels)
    n_steps = n_train // config.batch_size
    order = generator(config.seed, "order", epoch).permutation(n_train)
    samples = order[: n_steps * config.batch_size].reshape(n_steps, -1)
    view_of = view_of_epoch(config.seed, epoch, n_train, data.n_views)
    if n_mixed == 0:
        return EpochDraws(samples, view_of[samples])
    pairs = draw_pairs(
        data.train_labels,
        n_steps,
        n_mixed,
        alpha=config.mix_alpha,
        op=config.mix_op,
        image_size=data.image_shape[1:],
        seed=config.seed,
        epoch=epoch,
    )
    samples = np.concatenate([samples, pairs.first, pairs.second], axis=1)
    return EpochDraws(samples, view_of[samples], pairs.share, pairs.boxes)
