import numpy as np
import pytest
import torch
from torch import nn

from trainables.cckd.data.images.crops import draw_crops
from trainables.cckd.data.images.image_files import ImageFiles
from trainables.cckd.data.images.view_stream import hold
from trainables.cckd.teacher.backbone import Backbone
from trainables.cckd.teacher.features import extract


class _Network(nn.Module):
    num_features = 6
    pretrained_cfg = {"mean": (0.5, 0.5, 0.5), "std": (0.2, 0.2, 0.2)}  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 6, 5, stride=4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.conv(images).relu().mean(dim=(2, 3))

    def forward_features(self, images: torch.Tensor) -> torch.Tensor:
        return self.conv(images).relu()

    def forward_head(self, maps: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        return maps.mean(dim=(2, 3))


@pytest.fixture
def backbone() -> Backbone:
    with torch.random.fork_rng():
        return Backbone(_Network(), size=24)


@pytest.mark.parametrize("with_views", [True, False])
def test_streamed_and_resident_files_give_the_same_bytes(
    image_files: ImageFiles, backbone: Backbone, with_views: bool
) -> None:
    views = draw_crops(image_files.sizes, 3, flip=True, seed=0) if with_views else None
    held = hold(image_files, workers=1)
    streamed = extract(backbone, image_files, views, batch_size=16, workers=2)
    assert streamed.shape == ((42, 3, 6) if with_views else (42, 6))
    assert streamed.dtype == np.float16
    assert streamed.tobytes() == extract(backbone, held, views, batch_size=16).tobytes()
    assert len(np.unique(streamed.reshape(-1, 6), axis=0)) > 40
    assert backbone.n_images_seen == 2 * len(streamed.reshape(-1, 6))


def test_the_teacher_reads_each_box_at_its_own_size(image_files: ImageFiles, backbone: Backbone) -> None:
    sizes: list[tuple[int, ...]] = []
    backbone.register_forward_pre_hook(lambda _, args: sizes.append(tuple(args[0].shape[1:])))
    extract(backbone, image_files.take(np.arange(3)))
    assert sizes == [(3, 24, 24)]
