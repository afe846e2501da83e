"""numpy arrays as torch tensors, without a copy where none is needed."""

import warnings

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def resident(array: NDArray[np.generic], device: torch.device) -> Tensor:
    """Return `array` as a tensor on `device`. On the CPU both share one memory, so the tensor must only be read."""
    with warnings.catch_warnings():
        # torch has no read-only tensors and warns about read-only arrays; Ray's object store lends such arrays.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array).to(device)
