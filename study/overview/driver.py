"""The driver of a study, named by the study's lock, and when it last wrote."""

import fcntl
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from study import schema
from study.lock import LOCK

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
    """Return the driver of the study in `folder`; None where no lock names one.

    A lock file that cannot be opened counts as held by nobody.
    """
    path = folder / LOCK
    try:
        holder = json.loads(path.read_text())
        return Driver(str(holder["host"]), int(holder["pid"]), str(holder["since"]), is_held(path))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def is_held(path: Path) -> bool:
    """Return whether a process holds the lock file `path`, on this host or on another that shares its file system."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        # A shared lock is taken for an instant; a driver that starts in it tries again (`study.lock`).
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return False
    finally:
        os.close(handle)
    return False


def last_sign(folder: Path) -> datetime | None:
    """Return when a driver last wrote to the study in `folder`, in UTC; None where nothing is written."""
    times = []
    for name in _WRITTEN:
        with suppress(OSError):
            times.append((folder / name).stat().st_mtime)
    return datetime.fromtimestamp(max(times), UTC) if times else None
