"""Images that small students learn in a moment: of 8x8 pixels, each class with a bright band of its own."""

import numpy as np


def band_images(
    rng: np.random.Generator, counts: tuple[int, ...], n_channels: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 (N, n_channels, 8, 8) and labels int64 (N,), `counts` of each class in random order."""
    labels = rng.permutation(np.repeat(np.arange(len(counts)), counts)).astype(np.int64)
    images = rng.integers(0, 120, (len(labels), n_channels, 8, 8))
    for image, label in zip(images, labels, strict=True):
        image[:, 3 * label : 3 * label + 2] += 100
    return images.astype(np.uint8), labels
