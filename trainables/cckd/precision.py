"""The number format of a student's forward and backward pass, and where the narrower one is worth having.

On GPUs, on processors with matrix units for it (AMX: Intel Xeon from 2023 on) and on AMD's from Zen 5 on bfloat16 is
faster; on an Intel without AMX it loses, since every operation converts and none gets faster (benchmarks/precision.py).
Weights, losses and the optimiser stay in float32, as torch's automatic mixed precision has them. The driver asks before
it imports torch.
"""

from pathlib import Path
from typing import Literal

Precision = Literal["float32", "bfloat16"]
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")

_CPU_INFO = Path("/proc/cpuinfo")
_MATRIX_UNITS = {"amx_tile", "amx_bf16"}
#: The family, as the processor calls it, of AMD's Zen 5; earlier ones were not at hand to be measured.
_ZEN_5 = 26


def fastest_precision(device: str) -> Precision:
    """The faster one on this machine's devices of a kind, "cpu" or "cuda"."""
    return "bfloat16" if device == "cuda" or _multiplies_bfloat16() else "float32"


def default_precision(device: str) -> Precision:
    """That of a trainer which was not told: bfloat16 on a GPU; on a CPU float32, whatever the processor."""
    return "bfloat16" if device == "cuda" else "float32"


def _multiplies_bfloat16() -> bool:
    try:
        processor, *_ = _CPU_INFO.read_text().split("\n\n")
    except OSError:  # not Linux
        return False
    told = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in processor.splitlines())}
    flags = set(told.get("flags", "").split())
    is_zen_5 = told.get("vendor_id") == "AuthenticAMD" and int(told.get("cpu family", 0)) >= _ZEN_5
    return flags >= _MATRIX_UNITS or (is_zen_5 and "avx512_bf16" in flags)
