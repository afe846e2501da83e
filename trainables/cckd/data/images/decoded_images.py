"""Images of different sizes, decoded once and kept in memory as one block of bytes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainables.cckd.data.images.image_files import ImageFiles


@dataclass(frozen=True, eq=False)
class RaggedImages:
    """Decoded images with their labels. `ImageFiles` that fit in memory become these.

    Attributes:
        pixels: uint8, the colour images one after the other, each (H, W, 3) row by row.
        starts: int64 (N,), the index in `pixels` at which each image begins.
        sizes: int32 (N, 2), height and width.
        labels: int64 (N,).
    """

    pixels: NDArray[np.uint8]
    starts: NDArray[np.int64]
    sizes: NDArray[np.int32]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def image(self, index: int) -> NDArray[np.uint8]:
        """Return one image, uint8 (H, W, 3), without a copy."""
        (height, width), start = self.sizes[index].tolist(), int(self.starts[index])
        return self.pixels[start : start + 3 * height * width].reshape(height, width, 3)

    def take(self, indices: NDArray[np.int64]) -> "RaggedImages":
        """Return the samples at `indices`, in that order; they share the pixels."""
        return RaggedImages(self.pixels, self.starts[indices], self.sizes[indices], self.labels[indices])


#: Images of any size, in their files or decoded in memory.
ImageSource = ImageFiles | RaggedImages

#: Images without labels: of one size as an array uint8 (N, Ch, H, W), or of any size as a source.
Images = NDArray[np.uint8] | ImageSource


def decoded_bytes(sizes: NDArray[np.int32]) -> int:
    """Return the bytes that images of these sizes (N, 2) take when decoded."""
    return int(3 * sizes.astype(np.int64).prod(axis=1).sum())
