"""Teacher features that are simulated: a long tail of classes, and nothing that makes a fit easy.

Every assumption of the fit of means (`teacher/fit/softmax_regression.py`) is broken:

- classes lie in groups of ten, so that most errors are between neighbours, and differ in their spread;
- an image lies about its class centre with the tails of Student's t (four degrees of freedom);
- directions are correlated, and their deviations fall with the square root of their rank, as a backbone's do;
- a view's noise differs in size from image to image and from view to view. One view in twelve shows little of its
  object;
- features pass a softplus at the end, as behind a backbone's last activation, so that no view is normal.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

_GROUP = 10
_FREEDOM = 4
_BACKGROUND_VIEWS = 1 / 12
#: Shares of the variance: an image about its class, a view about its image (on average).
_IMAGE, _VIEW = 0.75, 0.25
#: Images that are drawn with one stream, so that the features of an image do not depend on what else is drawn.
BLOCK = 128


@dataclass(frozen=True)
class SimulatedSet:
    """The size of a set of features.

    Attributes:
        n_classes: C.
        n_images: training images, N.
        largest: of the largest class.
        smallest: of the smallest class.
        n_val: images of each class in D_val.
        n_features, n_views: D and V.
        apart: distance of the class centres, in deviations.
    """

    n_classes: int
    n_images: int
    largest: int
    smallest: int
    n_val: int
    n_features: int = 1280
    n_views: int = 8
    apart: float = 0.5

    def at(self, scale: float) -> "SimulatedSet":
        """Return the set with so large a part of its training images; classes and D_val stay."""
        return replace(
            self,
            n_images=round(self.n_images * scale),
            largest=max(2, round(self.largest * scale)),
            smallest=max(1, round(self.smallest * scale)),
        )

    @property
    def labels(self) -> NDArray[np.int64]:
        """Labels of the training images, int64 (N,), ascending: counts fall as a power of the rank."""
        rank = np.linspace(1, 0, self.n_classes)
        power = (self.largest - self.smallest) * self.n_classes / (self.n_images - self.smallest * self.n_classes) - 1
        counts = self.smallest + (self.largest - self.smallest) * rank**power
        # Rounding the sums instead of the counts keeps the total.
        ends = np.rint(np.cumsum(counts) * self.n_images / counts.sum()).astype(np.int64)
        whole = np.maximum(np.diff(ends, prepend=0), 1)
        whole[0] += self.n_images - whole.sum()
        return np.repeat(np.arange(self.n_classes), whole)

    @property
    def val_labels(self) -> NDArray[np.int64]:
        """Labels of D_val, int64 (M,)."""
        return np.repeat(np.arange(self.n_classes), self.n_val)


#: The published sizes, one of minutes, and one of seconds. D_val of iNaturalist 2018 has three images of each class.
SETS = {
    "imagenet_lt": SimulatedSet(1000, 115_846, 1280, 5, 20),
    "inat2018": SimulatedSet(8142, 437_513, 1000, 2, 3),
    "small": SimulatedSet(200, 3000, 165, 1, 20, n_features=256),
    "tiny": SimulatedSet(10, 400, 120, 4, 20),
}


class World:
    """Draws features of one simulated set: the same ones for the same image, view and seed."""

    def __init__(self, size: SimulatedSet) -> None:
        self._size = size
        rng = np.random.default_rng(0)
        n_features = size.n_features
        self._deviations = (1 + np.arange(n_features, dtype=np.float32)) ** -0.5
        total = np.float32(np.square(self._deviations).sum() ** 0.5)  # so that an image's part of a feature is near 1
        self._turned = rng.standard_normal((n_features, n_features), np.float32) / total
        groups = rng.standard_normal((-(-size.n_classes // _GROUP), n_features), np.float32)
        own = rng.standard_normal((size.n_classes, n_features), np.float32)
        of_group = groups[np.arange(size.n_classes) // _GROUP]
        # Class ids are ordered by size; neighbours must not be.
        order = rng.permutation(size.n_classes)
        self._centres = (size.apart * self._deviations * (0.8 * of_group + own))[order]
        self._spread = np.exp(0.25 * rng.standard_normal(size.n_classes, np.float32))
        self._background = self._deviations * rng.standard_normal(n_features, np.float32)

    def block(self, labels: NDArray[np.int64], number: int, n_views: int, *, seed: int) -> NDArray[np.float16]:
        """Return the features of block `number` of a set.

        Args:
            labels: of the block's images, int64 (n,), n at most BLOCK.
            number: of the block.
            n_views: V.
            seed: of the set.

        Returns:
            Float16 (n, V, D).
        """
        rng = np.random.default_rng((seed, number))
        n, n_features = len(labels), self._size.n_features
        tails = (_FREEDOM - 2) ** 0.5 / np.sqrt(rng.chisquare(_FREEDOM, n)).astype(np.float32)
        image = rng.standard_normal((n, 1, n_features), np.float32)
        image *= (_IMAGE**0.5 * self._spread[labels] * tails)[:, None, None]
        view = rng.standard_normal((n, n_views, n_features), np.float32)
        strength = np.exp(0.35 * rng.standard_normal((n, n_views), np.float32))
        strength *= np.exp(0.35 * rng.standard_normal((n, 1), np.float32))
        view *= (_VIEW**0.5 * strength)[..., None]
        view += image
        view *= self._deviations
        view += self._centres[labels][:, None]
        shown = np.where(rng.random((n, n_views)) < _BACKGROUND_VIEWS, 0.3, 1.0).astype(np.float32)[..., None]
        view *= shown
        view += (1 - shown) * self._background
        turned = view.reshape(-1, n_features) @ self._turned
        return np.logaddexp(turned, 0, out=turned).reshape(view.shape).astype(np.float16)

    def draw(self, labels: NDArray[np.int64], n_views: int, *, seed: int) -> NDArray[np.float16]:
        """Return the features of a whole set, float16 (N, V, D)."""
        starts = range(0, len(labels), BLOCK)
        found = [self.block(labels[s : s + BLOCK], k, n_views, seed=seed) for k, s in enumerate(starts)]
        return np.concatenate(found)
