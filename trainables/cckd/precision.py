"""The number format of a student's forward and backward pass, and where the narrower one is worth having.

On GPUs, and on processors with matrix units for it (AMX: Intel Xeon from 2023 on), bfloat16 is faster; on other
processors it loses, since every operation converts (benchmarks/precision.py). Weights, losses and the optimiser stay in
float32, as torch's automatic mixed precision has them. The driver asks before it imports torch.
"""

from pathlib import Path
from typing import Literal

Precision = Literal["float32", "bfloat16"]
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")

_CPU_INFO = Path("/proc/cpuinfo")
_MATRIX_UNITS = {"amx_tile", "amx_bf16"}


def fastest_precision(device: str) -> Precision:
    """The faster one on this machine's devices of a kind, "cpu" or "cuda"."""
    return "bfloat16" if device == "cuda" or _has_matrix_units() else "float32"


def default_precision(device: str) -> Precision:
    """That of a trainer which was not told: bfloat16 on a GPU; on a CPU float32, whatever the processor."""
    return "bfloat16" if device == "cuda" else "float32"


def _has_matrix_units() -> bool:
    try:
        lines = _CPU_INFO.read_text().splitlines()
    except OSError:  # not Linux
        return False
    flags = next((line for line in lines if line.startswith("flags")), "")
    return set(flags.split()) >= _MATRIX_UNITS
