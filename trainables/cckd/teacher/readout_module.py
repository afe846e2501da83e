"""The readout as a torch module: the logits of features that are already standardised."""

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, normalize

from trainables.cckd.teacher.readout import Readout

_BUFFERS = ("weight", "bias", "feature_mean", "feature_std", "projection", "offset")


class ReadoutModule(nn.Module):
    """`Readout.logits` on the device of a trial; the cosines of raw features are formed from standardised ones too.

    Args:
        readout: of any form; its arrays are copied, because they may be read-only shared memory.
    """

    weight: Tensor
    bias: Tensor
    feature_mean: Tensor
    feature_std: Tensor
    projection: Tensor | None
    offset: Tensor | None

    def __init__(self, readout: Readout) -> None:
        super().__init__()
        self._scale = readout.scale
        for name in _BUFFERS:
            array = getattr(readout, name)
            self.register_buffer(name, None if array is None else torch.tensor(array), persistent=False)

    def standardise(self, raw: Tensor) -> Tensor:
        """Return raw features (..., D) standardised."""
        return (raw - self.feature_mean) / self.feature_std

    def forward(self, features: Tensor) -> Tensor:
        """Return raw logits z_t, float32 (..., C), of standardised features, float32 (..., D)."""
        if self._scale is None:
            return linear(features, self.weight, self.bias)
        place = features * self.feature_std + self.feature_mean
        if self.projection is not None:
            place = linear(place, self.projection, self.offset)
        return self._scale * linear(normalize(place, dim=-1), self.weight) + self.bias
