"""The number format of a student's forward and backward pass, and where bfloat16 is faster than float32.

bfloat16 is faster on GPUs, on processors with matrix units for it (AMX: Intel Xeon from 2023 on), and on AMD
processors from Zen 5 on. On an Intel processor without AMX it is slower: every operation converts and none gets faster
(benchmarks/precision.py). Weights, losses and the optimiser stay in float32, as in torch's automatic mixed precision.
This module imports no torch, because the driver uses it at start-up.
"""

from pathlib import Path
from typing import Literal

Precision = Literal["float32", "bfloat16"]
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")

_CPU_INFO = Path("/proc/cpuinfo")
_MATRIX_UNITS = {"amx_tile", "amx_bf16"}
#: The "cpu family" of AMD's Zen 5. Earlier families were not available for measurement.
_ZEN_5 = 26


def fastest_precision(device: str) -> Precision:
    """Return the faster format on this machine's devices of a kind, "cpu" or "cuda"."""
    return "bfloat16" if device == "cuda" or _multiplies_bfloat16() else "float32"


def default_precision(device: str) -> Precision:
    """Return the format of a trainer that was given none: bfloat16 on a GPU, float32 on any CPU."""
    return "bfloat16" if device == "cuda" else "float32"


def _multiplies_bfloat16() -> bool:
    try:
        processor, *_ = _CPU_INFO.read_text().split("\n\n")
    except OSError:  # not Linux
        return False
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in processor.splitlines())}
    flags = set(fields.get("flags", "").split())
    is_zen_5 = fields.get("vendor_id") == "AuthenticAMD" and int(fields.get("cpu family", 0)) >= _ZEN_5
    return flags >= _MATRIX_UNITS or (is_zen_5 and "avx512_bf16" in flags)
