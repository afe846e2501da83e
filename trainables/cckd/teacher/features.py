"""Teacher features of images or of their views; all cached features are computed here."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainables.cckd.data.images.decoded_images import Images
from trainables.cckd.data.images.view_stream import stream_views
from trainables.cckd.data.images.views import apply_views
from trainables.cckd.teacher.backbone import Backbone


def extract(
    backbone: Backbone,
    images: Images,
    views: NDArray[np.int16] | None = None,
    *,
    batch_size: int = 64,
    workers: int = 0,
) -> NDArray[np.float16]:
    """Run the backbone once over every view of every image, or once over every image where `views` is None.

    The views of a source are cut out at the teacher's own input size, not the student's. Without `views` a source has
    its evaluation views.

    Args:
        backbone: its device does the work.
        images: N images, an array or a source.
        views: int16 (N, V, 5), or None.
        batch_size: images per forward pass.
        workers: processes that decode a source ahead; 0 decodes between the passes.

    Returns:
        Raw features, float16 (N, V, D), or (N, D) without views.
    """
    n_images = len(images)
    n_views = 1 if views is None else views.shape[1]
    device = backbone.mean.device
    if isinstance(images, np.ndarray):
        batches = _array_batches(images, views, batch_size)
    else:
        batches = stream_views(images, views, size=backbone.size, batch_size=batch_size, workers=workers)
    features = np.empty((n_images * n_views, backbone.n_features), np.float16)
    start = 0
    for batch in batches:
        features[start : start + len(batch)] = backbone(batch.to(device)).cpu().numpy()
        start += len(batch)
    assert start == len(features), (start, len(features))
    return features if views is None else features.reshape(n_images, n_views, -1)


def _array_batches(images: NDArray[np.uint8], views: NDArray[np.int16] | None, batch_size: int) -> Iterator[Tensor]:
    n_views = 1 if views is None else views.shape[1]
    for start in range(0, len(images) * n_views, batch_size):
        rows = np.arange(start, min(start + batch_size, len(images) * n_views))
        batch = images[rows // n_views]
        if views is not None:
            batch = apply_views(batch, views[rows // n_views, rows % n_views])
        yield torch.from_numpy(batch)
