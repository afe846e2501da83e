"""Teacher logits where classes are many: the K largest of each view, and the joint weight of the others.

K values, K class ids and one number replace C values: 2 + 4 K bytes per view. TinyViT (Wu et al., arXiv 2207.10666)
and FKD (Shen & Xing, arXiv 2112.01528) store targets like this.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

#: With more classes than this only the TOP_K largest logits are kept.
DENSE_CLASSES = 1000
TOP_K = 64


@dataclass(frozen=True, eq=False)
class TopKLogits:
    """Logits of N images in V views.

    Attributes:
        values: the K largest logits, largest first, float16 (N, V, K).
        classes: their class ids, int16 (N, V, K).
        rest: logsumexp of the C - K other logits, float16 (N, V).
        n_classes: C.
    """

    values: NDArray[np.float16]
    classes: NDArray[np.int16]
    rest: NDArray[np.float16]
    n_classes: int

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, V, C), the shape of the dense logits."""
        return (*self.values.shape[:-1], self.n_classes)

    def __setitem__(self, images: NDArray[np.int64], logits: "TopKLogits") -> None:
        """Set the logits of some images (n,)."""
        self.values[images], self.classes[images], self.rest[images] = logits.values, logits.classes, logits.rest


def keep_top(logits: NDArray[np.floating], k: int = TOP_K) -> TopKLogits:
    """Keep the `k` largest of logits (N, V, C), k < C."""
    largest = np.argpartition(-logits, k, axis=-1)[..., :k]
    values = np.take_along_axis(logits, largest, axis=-1)
    order = np.argsort(-values, axis=-1, kind="stable")
    assert logits.shape[-1] <= np.iinfo(np.int16).max, "class ids are stored as int16"
    others = logits.astype(np.float64)
    np.put_along_axis(others, largest, -np.inf, axis=-1)
    return TopKLogits(
        values=np.take_along_axis(values, order, axis=-1).astype(np.float16),
        classes=np.take_along_axis(largest, order, axis=-1).astype(np.int16),
        rest=logsumexp(others, axis=-1).astype(np.float16),
        n_classes=logits.shape[-1],
    )


def empty_top(n_images: int, n_views: int, n_classes: int, k: int = TOP_K) -> TopKLogits:
    """Return memory for the logits of N images in V views, to be filled block by block."""
    return TopKLogits(
        values=np.empty((n_images, n_views, k), np.float16),
        classes=np.empty((n_images, n_views, k), np.int16),
        rest=np.empty((n_images, n_views), np.float16),
        n_classes=n_classes,
    )
