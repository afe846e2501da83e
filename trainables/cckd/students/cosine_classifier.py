"""A classifier of scaled cosines, as margins between classes need it; exported as layers of torch's own."""

from copy import deepcopy
from math import sqrt
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: Added to the mean square of features that are normalised, so that features of zeros stay zeros.
_SMALLEST = 1e-24


class CosineClassifier(nn.Module):
    """Logits s cos(h, w_c): features and class weights are normalised, and there is no bias.

    As the normalised linear layer of LDAM's public code (Cao et al., NeurIPS 2019), with the scale s inside.
    """

    def __init__(self, n_features: int, n_classes: int, scale: float) -> None:
        """Draw class weights of random directions from torch's global generator; `scale` is s."""
        super().__init__()
        self.scale = scale
        self.weight = nn.Parameter(F.normalize(torch.empty(n_classes, n_features).uniform_(-1, 1), dim=1))

    def forward(self, features: Tensor) -> Tensor:
        """Return logits (N, C) in [-s, s] of features (N, D_s)."""
        return self.scale * F.linear(F.normalize(features, dim=1), F.normalize(self.weight, dim=1))


def fit_cosine_classifier(net: Any, scale: float) -> None:
    """Replace the linear classifier of a timm model by a cosine classifier of scale `scale`.

    Raises:
        TypeError: the model's classifier is no linear layer.
    """
    linear = net.get_classifier()
    if not isinstance(linear, nn.Linear):
        raise TypeError(f"a cosine classifier replaces a linear layer; the model has {type(linear).__name__}")
    net.set_submodule(_classifier_name(net), CosineClassifier(linear.in_features, linear.out_features, scale))


def has_cosine_classifier(net: Any) -> bool:
    """Return whether the classifier of a timm model is a `CosineClassifier`."""
    return isinstance(net.get_classifier(), CosineClassifier)


@torch.no_grad()
def folded(net: Any) -> Any:
    """Return a copy of a model with a cosine classifier that gives the same logits with torch's own layers alone.

    RMSNorm divides features by |h| / sqrt(D_s). The linear layer behind it has the weights s w_c / (|w_c| sqrt(D_s))
    and a bias of zeros, which can hold a correction of the logits.
    """
    own = net.get_classifier()
    n_classes, n_features = own.weight.shape
    norm = nn.RMSNorm(n_features, _SMALLEST, elementwise_affine=False)
    linear = nn.Linear(n_features, n_classes, device=own.weight.device)
    linear.bias.zero_()
    linear.weight.copy_(F.normalize(own.weight, dim=1) * (own.scale / sqrt(n_features)))
    plain = deepcopy(net)
    plain.set_submodule(_classifier_name(net), nn.Sequential(norm, linear))
    return plain


def folded_line(net: Any) -> str:
    """Return a line of Python that gives a new model from timm the classifier of `folded(net)`, without its weights."""
    n_classes, n_features = net.get_classifier().weight.shape
    norm = f"torch.nn.RMSNorm({n_features}, {_SMALLEST}, False)"
    layers = f"torch.nn.Sequential({norm}, torch.nn.Linear({n_features}, {n_classes}))"
    return f'net.set_submodule("{_classifier_name(net)}", {layers})'


def _classifier_name(net: Any) -> str:
    classifier = net.get_classifier()
    return next(name for name, module in net.named_modules() if module is classifier)
