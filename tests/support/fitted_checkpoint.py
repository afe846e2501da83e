"""A timm checkpoint whose classifier was fitted to a few images, by least squares on the features of random weights."""

from pathlib import Path

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from trainables.cckd.teacher.backbone import Backbone

#: The model of timm that it is of.
MODEL = "test_resnet"


def write_fitted(path: Path, images: NDArray[np.uint8], outputs: NDArray[np.int64]) -> int:
    """Write a checkpoint that gives image i, of (N, 3, H, H), the output `outputs[i]`; return its features."""
    torch.manual_seed(0)
    network = timm.create_model(MODEL, num_classes=0)
    features = Backbone(network, size=images.shape[-1])(torch.from_numpy(images))
    n_outputs = int(outputs.max()) + 1
    rows = torch.cat([features, torch.ones(len(features), 1)], dim=1)
    fitted = torch.linalg.lstsq(rows, torch.eye(n_outputs)[outputs]).solution
    network.requires_grad_(True).reset_classifier(n_outputs)
    classifier = network.get_classifier()
    with torch.no_grad():
        classifier.weight.copy_(fitted[:-1].T)
        classifier.bias.copy_(fitted[-1])
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, path)
    return int(features.shape[1])
