"""The whole teacher as one frozen module, for images that no cache holds (`mix_targets=forward`)."""

import torch
from torch import Tensor, nn

from trainables.cckd.bundle import TeacherState
from trainables.cckd.teacher.backbone import build_backbone
from trainables.cckd.teacher.spec import TeacherSpec, check_teacher


class ForwardTeacher(nn.Module):
    """Backbone and probe; finds and verifies the backbone's weights on the machine it runs on.

    Raises:
        TeacherError: the weights are missing or altered here.
    """

    weight: Tensor
    bias: Tensor
    feature_mean: Tensor
    feature_std: Tensor

    def __init__(self, state: TeacherState) -> None:
        super().__init__()
        self.backbone = build_backbone(check_teacher(TeacherSpec(name=state.name)), size=state.size)
        for name in ("weight", "bias", "feature_mean", "feature_std"):
            # A copy: the arrays may be read-only, lent from shared memory.
            self.register_buffer(name, torch.tensor(getattr(state, name)), persistent=False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (N, C) and standardised features (N, D), float32, of images (N, Ch, H, W) in [0, 255]."""
        features = (self.backbone(images) - self.feature_mean) / self.feature_std
        return features @ self.weight.T + self.bias, features
