"""The whole teacher as one frozen module, for images that are not in the cache (`mix_targets=forward`)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trainables.cckd.errors import TeacherError
from trainables.cckd.teacher.backbone import build_backbone
from trainables.cckd.teacher.readout import TeacherState
from trainables.cckd.teacher.readout_module import ReadoutModule
from trainables.cckd.teacher.teacher_file import TeacherFile
from trainables.cckd.teacher.weights import find_weights


class ForwardTeacher(nn.Module):
    """Backbone and readout; finds and verifies the backbone's weights on the machine it runs on.

    Args:
        state: the fitted teacher.
        shared: weights of the backbone from another process of this machine (`Backbone.share`). No file is then
            needed, and on the CPU no second copy is made.

    Raises:
        TeacherError: the weights are missing here, or are not those that the teacher was fitted on.
    """

    def __init__(self, state: TeacherState, shared: Mapping[str, NDArray[Any]] | None = None) -> None:
        super().__init__()
        file = (
            TeacherFile(state.name, Path(), "", features=state.features)
            if shared is not None
            else _verified_file(state)
        )
        self.backbone = build_backbone(file, size=state.size, shared=shared)
        self.readout = ReadoutModule(state)

    @torch.no_grad()
    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (N, C) and standardised features (N, D), float32, of images (N, Ch, H, W) in [0, 255]."""
        features = self.readout.standardise(self.backbone(images))
        return self.readout(features), features


def _verified_file(state: TeacherState) -> TeacherFile:
    file = find_weights(state.name, given=state.weights, size=state.size, features=state.features)
    if state.sha256 is not None and file.sha256 != state.sha256:
        raise TeacherError(
            f"{file.path} must be the file the teacher was fitted on, SHA-256 {state.sha256}; got {file.sha256}"
        )
    return file
