"""D_mix: pairs of training samples, mixed by mixup or cutmix, labels and targets alike.

Mixup: Zhang et al., arXiv 1710.09412. CutMix: Yun et al., arXiv 1905.04899.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainables.cckd.random_streams import generator


@dataclass(frozen=True, eq=False)
class Pairs:
    """The pairs of one epoch: S steps of M pairs.

    Attributes:
        first, second: sample indices, int64 (S, M).
        share: lambda, the share of `first` in the mixture, float32 (S, M); for cutmix the area that is kept.
        boxes: the rectangles that cutmix pastes from `second`: top, bottom, left, right (ends excluded),
            int64 (S, M, 4); None for mixup.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    share: NDArray[np.float32]
    boxes: NDArray[np.int64] | None


def draw_pairs(
    labels: NDArray[np.int64],
    n_steps: int,
    n_mixed: int,
    *,
    balance: float,
    alpha: float,
    op: Literal["mixup", "cutmix"],
    image_size: tuple[int, int],
    seed: int,
    epoch: int,
) -> Pairs:
    """Draw one epoch's pairs: two members independently, and one lambda per pair from Beta(alpha, alpha).

    Args:
        labels: training labels (N,).
        n_steps, n_mixed: S and M.
        balance: how far the members are class-balanced, as in `draw_balanced`.
        alpha: both parameters of the Beta, > 0.
        op: how the images will be mixed.
        image_size: height and width, pixels.
        seed, epoch: they fix the random streams "pairs", "lambda" and "boxes".
    """
    rng = generator(seed, "pairs", epoch)
    first, second = (draw_balanced(labels, (n_steps, n_mixed), rng, balance=balance) for _ in range(2))
    share = generator(seed, "lambda", epoch).beta(alpha, alpha, (n_steps, n_mixed))
    if op == "mixup":
        return Pairs(first, second, share.astype(np.float32), boxes=None)
    boxes = _draw_boxes(share, image_size, generator(seed, "boxes", epoch))
    pasted = (boxes[..., 1] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 2])
    kept = 1.0 - pasted / (image_size[0] * image_size[1])
    return Pairs(first, second, kept.astype(np.float32), boxes)


def draw_balanced(
    labels: NDArray[np.int64], shape: tuple[int, ...], rng: np.random.Generator, *, balance: float
) -> NDArray[np.int64]:
    """Draw sample indices of the given shape: first a class, then one of its samples.

    A class of n samples is drawn in proportion to n^(1 - balance): at balance 0 all samples are equally likely, at 1
    all classes are.
    """
    by_class = np.argsort(labels, kind="stable")
    _, starts, counts = np.unique(labels[by_class], return_index=True, return_counts=True)
    chances = counts ** (1.0 - balance)
    classes = rng.choice(len(counts), size=shape, p=chances / chances.sum())
    return by_class[starts[classes] + rng.integers(counts[classes])]


def mix_images(
    first: Tensor, second: Tensor, share: Tensor, boxes: Tensor | None, *, out: Tensor | None = None
) -> Tensor:
    """Blend images (..., M, Ch, H, W) by `share` (..., M), or paste `boxes` (..., M, 4) of `second` into `first`.

    The result is written to `out` where that is given; `out` may be `first` or `second`.
    """
    if boxes is None:
        return mix_rows(first, second, share, out=out)
    rows = torch.arange(first.shape[-2], device=first.device)
    columns = torch.arange(first.shape[-1], device=first.device)
    top, bottom, left, right = boxes[..., None].unbind(dim=-2)
    in_rows = (rows >= top) & (rows < bottom)
    in_columns = (columns >= left) & (columns < right)
    inside = (in_rows[..., :, None] & in_columns[..., None, :])[..., None, :, :]
    return torch.where(inside, second, first, out=out)


def mix_rows(first: Tensor, second: Tensor, share: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Return share * first + (1 - share) * second for rows (..., M, *) and shares (..., M); `out` as above."""
    share = share.view(*share.shape, *[1] * (first.ndim - share.ndim))
    return torch.lerp(second, first, share, out=out)


def _draw_boxes(share: NDArray[np.float64], image_size: tuple[int, int], rng: np.random.Generator) -> NDArray[np.int64]:
    # A box of area 1 - lambda around a uniform centre, clipped at the border, as in the authors' code.
    edges = []
    for side in image_size:
        length = (side * np.sqrt(1.0 - share)).astype(np.int64)
        centre = rng.integers(side, size=share.shape)
        edges += [np.clip(centre - length // 2, 0, side), np.clip(centre + length // 2, 0, side)]
    return np.stack(edges, axis=-1)
