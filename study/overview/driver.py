"""The driver of a study, named by the study's lock, and when it last wrote."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from study import schema
from study.lock import LOCK, holder_of, is_held

#: Files that a driver writes while it works.
_WRITTEN = (schema.MANIFEST, schema.DATABASE, f"{schema.DATABASE}-wal", schema.LOG)


@dataclass(frozen=True)
class Driver:
    """The process that holds a study, or held it last.

    Attributes:
        host, pid: of the process.
        since: when it took the lock, ISO 8601 in UTC.
        alive: whether it holds the lock now.
    """

    host: str
    pid: int
    since: str
    alive: bool


def driver_of(folder: Path) -> Driver | None:
    """Return the driver of the study in `folder`; None where no lock names one."""
    holder = holder_of(folder / LOCK)
    return None if holder is None else Driver(*holder, alive=is_held(folder / LOCK))


def last_sign(folder: Path) -> datetime | None:
    """Return when a driver last wrote to the study in `folder`, in UTC; None where nothing is written."""
    times = []
    for name in _WRITTEN:
        with suppress(OSError):
            times.append((folder / name).stat().st_mtime)
    return datetime.fromtimestamp(max(times), UTC) if times else None
