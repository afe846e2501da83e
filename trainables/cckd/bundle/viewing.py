"""How a set's images are looked at: as an array or a source, in which training views, with which colour statistics."""

import numpy as np
from numpy.typing import NDArray

from trainables.cckd.bundle.trial_data import Images
from trainables.cckd.data.images.crops import CROP_SCALE, draw_crops
from trainables.cckd.data.images.decoded_images import RaggedImages
from trainables.cckd.data.images.image_files import ImageFiles
from trainables.cckd.data.images.sets import ImageSet
from trainables.cckd.data.images.views import draw_views
from trainables.cckd.data.load import LongTailData


def images_of(of_set: ImageSet | ImageFiles | RaggedImages) -> Images:
    """The images of a set without their labels."""
    return of_set.images if isinstance(of_set, ImageSet) else of_set


def student_size(data: LongTailData) -> int | None:
    """Side of the student's input where images come from a source; None where an array decides."""
    return None if isinstance(data.train, ImageSet) else data.image_shape[1]


def training_views(data: LongTailData, n_views: int, *, seed: int) -> NDArray[np.int16]:
    """Draw V views of each training image, int16 (N, V, 5): shifts of an array, crops of a source."""
    if isinstance(data.train, ImageSet):
        _, height, width = data.image_shape
        return draw_views(
            len(data.train),
            n_views,
            padding=data.padding,
            flip=data.flip,
            height=height,
            width=width,
            seed=seed,
        )
    smallest = float(data.spec.options.get("crop_scale", CROP_SCALE))
    return draw_crops(data.train.sizes, n_views, smallest=smallest, flip=data.flip, seed=seed)


def pixel_statistics(images: Images) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and deviation of each channel, (Ch,), as fractions 0-1; of a source, over a spread of its images."""
    if isinstance(images, np.ndarray):
        pixels = images / 255
        return pixels.mean(axis=(0, 2, 3)), pixels.std(axis=(0, 2, 3))
    from trainables.cckd.data.images.view_stream import pixel_moments  # imports torch, which arrays need not wait for

    return pixel_moments(images, workers=0)
