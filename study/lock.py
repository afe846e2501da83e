"""The lock of a study folder: one driver at a time. The operating system releases it with its holder."""

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from trainables.cckd.errors import UsageError

#: The lock file of a study folder.
LOCK = ".lock"

#: Tries to take the lock, and seconds between two of them.
_TRIES, _BETWEEN_S = 5, 0.05


class Holder(NamedTuple):
    """What a lock file says of the process that holds it: host, process id, and since when, ISO 8601 in UTC."""

    host: str
    pid: int
    since: str


class LockedError(UsageError):
    """Another driver holds the lock; the message says which."""


@contextmanager
def study_lock(path: Path) -> Iterator[None]:
    """Hold the exclusive lock of a study folder for the block.

    The lock is `flock` on the file, not the existence of the file: a killed driver leaves the file behind, but not the
    lock. The content of the file (host, pid, since) only names the holder in messages. Two hosts exclude each other
    only on file systems that carry flock (NFS 4 does).

    Args:
        path: the lock file. It is made if it does not exist and never removed, because a removal could race with the
            next holder.

    Raises:
        LockedError: another process holds it.
        UsageError: the folder cannot be written, its file system has no locks, or the lock is a link.
    """
    try:
        # A stranger's folder may hold a link in its place, which must not make us write to another file.
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    except OSError as error:
        raise UsageError(f"a study folder must be one that can be written; {error}") from error
    try:
        if not _taken(handle, path):
            raise LockedError(f"a study takes one driver at a time; {path.parent} is held by {_told(holder_of(path))}")
        with suppress(OSError):  # on a full disk the lock holds all the same, but it does not name its holder
            os.ftruncate(handle, 0)
            since = datetime.now(UTC).isoformat(timespec="seconds")
            holder = Holder(socket.gethostname(), os.getpid(), since)
            os.pwrite(handle, json.dumps(holder._asdict()).encode(), 0)
        yield
    finally:
        os.close(handle)


def check_free(folder: Path) -> None:
    """Refuse a study that another driver holds, before the packages of a driver are imported, which takes seconds.

    Raises:
        LockedError: another process holds the lock of the study in `folder`.
    """
    path = folder / LOCK
    if path.exists():
        with study_lock(path):
            pass


def _taken(handle: int, path: Path) -> bool:
    """Take the lock; return False if it stays held. Who only looks whether it is free holds it for an instant."""
    for _ in range(_TRIES):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_BETWEEN_S)
        except OSError as error:
            raise UsageError(
                f"a study folder must lie on a file system with locks, so that it has one driver; {path.parent} gives "
                f"{error.strerror}; choose another folder"
            ) from error
        else:
            return True
    return False


def holder_of(path: Path) -> Holder | None:
    """Return the process that holds the lock file, or held it last; None where the file names none."""
    try:
        holder = json.loads(path.read_text())
        return Holder(str(holder["host"]), int(holder["pid"]), str(holder["since"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def is_held(path: Path) -> bool:
    """Return whether a process holds the lock file, on this host or on another that shares its file system."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        # A shared lock is taken for an instant; a driver that starts in it tries again.
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return False
    finally:
        os.close(handle)
    return False


def _told(holder: Holder | None) -> str:
    # It has just taken the lock and not yet written its name, or another program has changed the file.
    return (
        f"process {holder.pid} on {holder.host} since {holder.since}" if holder else "a process that has just started"
    )
