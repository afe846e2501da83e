"""One random stream per purpose, derived from a seed and a name: no number depends on what ran before.

Streams have no state to save: (seed, stream, epoch) always gives the same numbers. Importing this module does not
import torch.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from trainables.cckd.files.digests import json_digest

if TYPE_CHECKING:
    import torch

SeedPart = int | float | str | bool | None | Mapping[str, Any]


def derive_seed(*parts: SeedPart) -> int:
    """Return 63 bits of the SHA-256 of the canonical JSON of `parts`: the same on every machine.

    The order of a mapping's keys does not matter; 1, 1.0, True and "1" are four different parts.

    Raises:
        TypeError, ValueError: a part that JSON has no form for (an array, NaN).
    """
    return int(json_digest(parts, allow_nan=False)[:16], base=16) >> 1


def generator(seed: int, stream: str, *index: int) -> np.random.Generator:
    """Return a fresh generator of the stream `stream`, at `index` (an epoch, a block) within it.

    numpy draws on the host, so that the numbers are the same on every device.
    """
    return np.random.default_rng(derive_seed(seed, stream, *index))


@contextmanager
def torch_stream(seed: int, stream: str, *index: int, device: "torch.device | None" = None) -> Iterator[None]:
    """Seed torch's global generators inside the block (for initialisation, dropout) and restore them after it."""
    import torch  # the driver imports this module and should not wait seconds for torch

    devices = [device] if device is not None and device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.default_generator.manual_seed(derive_seed(seed, stream, *index))
        if devices:
            torch.cuda.manual_seed(derive_seed(seed, stream, *index))
        yield
