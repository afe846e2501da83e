"""How the training views of a data set are drawn: shifts of an array, random resized crops of a source."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainables.cckd.data.images.crops import CROP_SCALE, draw_crops
from trainables.cckd.data.images.decoded_images import Images
from trainables.cckd.data.images.views import COLUMNS, draw_views


@dataclass(frozen=True)
class ViewRule:
    """How the training views of a data set are drawn.

    Attributes:
        padding: largest shift of a view of an array, pixels.
        flip: whether a view may be mirrored left to right.
        crop_scale: least share of the image's area that a crop of a source covers.
    """

    padding: int = 0
    flip: bool = True
    crop_scale: float = CROP_SCALE

    def draw(self, images: Images, members: NDArray[np.int64], *, seed: int) -> NDArray[np.int16]:
        """Draw one view for each member; an image that occurs twice gets two views.

        Args:
            images: the training images.
            members: image indices, int64 (...).
            seed: any non-negative integer; with the members it fixes every view.

        Returns:
            int16 (..., 5), columns as in views.COLUMNS.
        """
        if isinstance(images, np.ndarray):
            _, _, height, width = images.shape
            views = draw_views(
                members.size, 1, padding=self.padding, flip=self.flip, height=height, width=width, seed=seed
            )
        else:
            sizes = images.sizes[members.ravel()]
            views = draw_crops(sizes, 1, smallest=self.crop_scale, flip=self.flip, seed=seed)
        return views.reshape(*members.shape, len(COLUMNS))
