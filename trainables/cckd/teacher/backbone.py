"""The teacher's frozen backbone: images in, penultimate features out."""

import timm
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from trainables.cckd.errors import TeacherError
from trainables.cckd.teacher.spec import TeacherFile

_N_TENSORS = 296


class Backbone(nn.Module):
    """A timm model without its classifier, in eval mode for good, with its own preprocessing in front.

    `n_images_seen` counts the images that have passed, the price of a teacher.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, *, size: int) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last).requires_grad_(False).eval()
        self.size = size
        self.n_features: int = network.num_features  # type: ignore[assignment]
        self.n_images_seen = 0
        recipe: dict[str, tuple[float, ...]] = network.pretrained_cfg  # type: ignore[assignment]
        self.register_buffer("mean", torch.tensor(recipe["mean"]).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(recipe["std"]).view(1, 3, 1, 1), persistent=False)

    def train(self, mode: bool = True) -> "Backbone":
        """Stay in eval mode, also inside a parent that is set to train: a teacher's statistics are frozen."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Features of images (N, Ch, H, W) on the scale 0..255, of any dtype, Ch 1 or 3; float32 (N, D).

        Grey images fill all three channels; images are resized bilinearly to `size` x `size`, smoothed first
        where they shrink.
        """
        if images.shape[1] not in (1, 3):
            raise TeacherError(f"a teacher sees images of 1 or 3 channels; got {images.shape[1]}")
        self.n_images_seen += len(images)
        side = (self.size, self.size)
        shrinks = min(images.shape[2:]) > self.size
        resized = interpolate(images.float(), side, mode="bilinear", antialias=shrinks)
        pixels = (resized / 255 - self.mean) / self.std  # broadcasting makes three channels of one
        features: Tensor = self.network(pixels.contiguous(memory_format=torch.channels_last))
        return features


def build_backbone(file: TeacherFile, *, size: int, device: str = "cpu") -> Backbone:
    """Build the backbone from a verified weight file.

    The file's 296 tensors carry other names than timm's but stand in the same order and have the same shapes,
    so the two are zipped; both facts are checked.

    Raises:
        TeacherError: a file whose tensors do not fit.
    """
    with torch.random.fork_rng(devices=[]):  # its first weights are thrown away and must not cost anyone a draw
        network = timm.create_model(file.name, pretrained=False)
    slots = network.state_dict()
    tensors = list(torch.load(file.path, map_location="cpu", weights_only=True).values())
    if not len(tensors) == len(slots) == _N_TENSORS:
        raise TeacherError(
            f"{file.path} and timm's {file.name} must have {_N_TENSORS} tensors each; "
            f"got {len(tensors)} and {len(slots)}"
        )
    faults = [
        f"{file.path}: {name} must have shape {tuple(slot.shape)}; got {tuple(tensor.shape)}"
        for (name, slot), tensor in zip(slots.items(), tensors, strict=True)
        if slot.shape != tensor.shape
    ]
    if faults:
        raise TeacherError(faults)
    network.load_state_dict(dict(zip(slots, tensors, strict=True)))
    network.reset_classifier(0)
    return Backbone(network, size=size).to(device)
