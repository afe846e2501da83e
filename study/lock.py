"""One driver a study: a lock the operating system drops with its holder, so that it is never stale."""

import fcntl
import json
import os
import socket
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from trainables.cckd.errors import UsageError

#: The lock file of a study folder.
LOCK = ".lock"


class LockedError(UsageError):
    """Another driver works on this study; the message says which."""


class StudyLock:
    """Exclusive lock on a study folder, held from entering the `with` block to leaving it.

    The lock is `flock` on the file, not the file's existence: the file stays behind a killed driver, the lock
    does not. What the file says (host, pid, since) only names the holder in messages. Locks of two hosts
    exclude each other only on file systems that carry flock (NFS 4 does).

    Args:
        path: the lock file; made if absent, never removed, since a remover could race with the next holder.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle: int | None = None

    def __enter__(self) -> Self:
        """Take the lock.

        Raises:
            LockedError: somebody holds it.
            UsageError: the folder cannot be written, or the lock is a link.
        """
        assert self._handle is None, "the lock is not re-entrant"
        try:
            # A stranger's folder may hold a link in its place; what it points to is not ours to write.
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        except OSError as error:
            raise UsageError(f"a study folder must be one that can be written; {error}") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise LockedError(
                f"a study takes one driver at a time; {self._path.parent} is held by {_holder(self._path)}"
            ) from None
        with suppress(OSError):  # a full disk: the lock holds all the same, and whoever is refused learns no name
            os.ftruncate(handle, 0)
            os.pwrite(handle, json.dumps(_myself()).encode(), 0)
        self._handle = handle
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release the lock."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def check_free(folder: Path) -> None:
    """Refuse a study that another driver works on, at once: the packages a driver needs take seconds to import.

    Raises:
        LockedError: somebody holds the lock of the study in `folder`.
    """
    path = folder / LOCK
    if path.exists():
        with StudyLock(path):
            pass


def _myself() -> dict[str, str | int]:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    return {"host": socket.gethostname(), "pid": os.getpid(), "since": since}


def _holder(path: Path) -> str:
    try:
        holder = json.loads(path.read_text())
        return f"process {holder['pid']} on {holder['host']} since {holder['since']}"
    except (ValueError, KeyError, TypeError):
        # It took the lock a moment ago and has not written its name yet, or somebody wrote over it.
        return "a process that has just started"
