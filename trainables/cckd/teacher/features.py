"""Teacher features of images or of their views; the one place where cached features are computed."""

import numpy as np
import torch
from numpy.typing import NDArray

from trainables.cckd.data.views import apply_views
from trainables.cckd.teacher.backbone import Backbone


def extract(
    backbone: Backbone,
    images: NDArray[np.uint8],
    views: NDArray[np.int16] | None = None,
    *,
    batch_size: int = 64,
) -> NDArray[np.float16]:
    """Run the backbone once over every view of every image, or once over every image where `views` is None.

    Args:
        backbone: where it lives decides the device.
        images: uint8 (N, Ch, H, W).
        views: int16 (N, V, 5), or None.
        batch_size: images per forward pass.

    Returns:
        raw features, float16 (N, V, D), or (N, D) without views.
    """
    n_images = len(images)
    n_views = 1 if views is None else views.shape[1]
    device = backbone.mean.device
    features = np.empty((n_images * n_views, backbone.n_features), np.float16)
    for start in range(0, len(features), batch_size):
        rows = np.arange(start, min(start + batch_size, len(features)))
        batch = images[rows // n_views]
        if views is not None:
            batch = apply_views(batch, views[rows // n_views, rows % n_views])
        features[rows] = backbone(torch.from_numpy(batch).to(device)).cpu().numpy()
    return features if views is None else features.reshape(n_images, n_views, -1)
