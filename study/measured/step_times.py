"""How long a step takes, in float32 and in bfloat16, kept per kind of machine and student.

Two measurements differ by some percent. A study that is started twice on one machine must have one number format, so
the first measurement is kept: one small sealed file per kind, in the user's own cache folder. It is written whole or
not at all.
"""

import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import Any

from study.measured.machine import Machine
from study.terminal.home import CACHE_VARIABLE
from trainables.cckd.files.atomic import write_first, write_json
from trainables.cckd.files.digests import json_digest
from trainables.cckd.files.sealed import sealed, unsealed
from trainables.cckd.precision import StepShape, StepTime

#: Increase it when steps are timed in another way, so that old times are not found.
_RECIPE = 3


@dataclass(frozen=True)
class StepTimeFile:
    """The file of one measurement; it need not be there."""

    machine: Machine
    shape: StepShape

    @property
    def path(self) -> Path:
        """Where it lies: a name that derives from all that the time depends on."""
        key = {"recipe": _RECIPE, "machine": self.machine.digest, "shape": asdict(self.shape)}
        return _cache_folder() / "step-times" / f"{json_digest(key)}.json"

    def read(self) -> StepTime | None:
        """Return the time, None where none is kept.

        Raises:
            ValueError: the file is damaged.
            OSError: it cannot be read.
        """
        try:
            content = unsealed(self.path.read_bytes(), required=True)
        except FileNotFoundError:
            return None
        return StepTime(float32_s=_positive(content, "float32_s"), gain=_positive(content, "gain"))

    def keep(self, time: StepTime) -> StepTime:
        """Keep a time, beside what it is of; return the one that is kept, another study's where that came first.

        Raises:
            OSError: the folder cannot be written.
        """
        content = {
            **asdict(time),
            "processor": self.machine.processor,
            "shape": asdict(self.shape),
            "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if write_first(self.path, sealed(content)):
            return time
        if (first := kept_time(self.machine, self.shape)) is not None:
            return first
        write_json(self.path, sealed(content))  # in place of a damaged one
        return time


def kept_time(machine: Machine, shape: StepShape) -> StepTime | None:
    """Return the time that is kept; None where there is none that can be read."""
    try:
        return StepTimeFile(machine, shape).read()
    except (OSError, ValueError):
        return None


def _positive(content: dict[str, Any], key: str) -> float:
    found = content.get(key)
    if not isinstance(found, float) or not isfinite(found) or found <= 0:
        raise ValueError(f"it holds no {key}")
    return found


def _cache_folder() -> Path:
    """Return the folder of what is kept for a user: a named one, or where freedesktop.org places such folders."""
    if named := os.environ.get(CACHE_VARIABLE):
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME", "")
    return Path(base if os.path.isabs(base) else os.path.join(os.path.expanduser("~"), ".cache")) / "cckd-study"
