"""One random stream per purpose, derived from a seed and a name, so that nothing depends on what ran before.

Streams have no state to save: (seed, stream, epoch) always gives the same numbers. Importing this does not
import torch.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

Part = int | float | str | bool | None | Mapping[str, Any]


def derive_seed(*parts: Part) -> int:
    """Return 63 bits of the SHA-256 of the canonical JSON of `parts`: the same on every machine.

    The order of a mapping's keys does not matter; 1, 1.0, True and "1" are four different parts.

    Raises:
        TypeError, ValueError: a part JSON has no form for (an array, NaN).
    """
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), allow_nan=False, default=_as_dict)
    return int.from_bytes(sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, stream: str, *index: int) -> np.random.Generator:
    """Return a fresh generator of the stream `stream`, at `index` (an epoch, a block) within it.

    Choices are drawn by numpy on the host, so that they are the same on every device.
    """
    return np.random.default_rng(derive_seed(seed, stream, *index))


@contextmanager
def torch_stream(seed: int, stream: str, *index: int, device: "torch.device | None" = None) -> Iterator[None]:
    """Seed torch's global generators inside the block (initialisation, dropout) and restore them after it."""
    import torch  # here, because the driver imports this module and should not wait seconds for torch

    devices = [device] if device is not None and device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.default_generator.manual_seed(derive_seed(seed, stream, *index))
        if devices:
            torch.cuda.manual_seed(derive_seed(seed, stream, *index))
        yield


def _as_dict(part: object) -> dict[str, Any]:
    if isinstance(part, Mapping):
        return dict(part)
    raise TypeError(f"a seed derives from numbers, strings and mappings; got {type(part).__name__}")
