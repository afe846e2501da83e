"""Kinds of machines: two of one kind compute equally fast, as far as their processors and torch decide it."""

import os
import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from trainables.cckd.files.digests import json_digest

_CPU_INFO = Path("/proc/cpuinfo")

#: Fields of /proc/cpuinfo that say which processor it is and which instructions it has, on x86 and on ARM. Others are
#: of one core or of the moment: its number, its clock, its microcode.
_FIELDS = (
    *("vendor_id", "cpu family", "model", "model name", "flags"),
    *("CPU implementer", "CPU architecture", "CPU variant", "CPU part", "Features"),
)

#: Variables that forbid torch's kernels some of the processor's instructions, or let them compute float32 in bfloat16.
_LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY", "ONEDNN_DEFAULT_FPMATH_MODE")


@dataclass(frozen=True)
class Machine:
    """A kind of machine: the name of its processor, and a digest of all that decides how fast torch computes on it."""

    processor: str
    digest: str


def this_machine() -> Machine:
    """Return the kind of the machine that this process runs on; torch is not imported."""
    found = _processor()
    try:
        torch = version("torch")
    except PackageNotFoundError:  # a torch without metadata; its version is then left out
        torch = ""
    limits = {name: os.environ[name] for name in _LIMITS if name in os.environ}
    name = found.get("model name") or platform.processor() or platform.machine()
    return Machine(name, json_digest({"processor": found, "torch": torch, "limits": limits}))


def _processor() -> dict[str, str]:
    """Return what the first core says of itself; a machine without /proc/cpuinfo says what Python knows of it."""
    try:
        core, *_ = _CPU_INFO.read_text(errors="replace").split("\n\n")
    except OSError:
        core = ""
    told = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in core.splitlines())}
    found = {field: told[field] for field in _FIELDS if field in told}
    for field in ("flags", "Features"):  # their order says nothing
        if field in found:
            found[field] = " ".join(sorted(found[field].split()))
    return found or {"processor": platform.processor(), "machine": platform.machine()}
