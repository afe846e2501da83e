"""A lock on a folder that studies share, a teacher cache or an image store: readers share it, a writer holds it alone.

The lock is `flock` on a file beside the folder. The operating system releases it when its holder ends, so it is never
stale. Two machines exclude each other only on file systems that support flock, such as NFS 4. Other users of the
machine may take the lock too: a reader needs no right to write, and everybody may write the lock's file.
"""

import fcntl
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self

#: Seconds between two attempts to hold a folder alone.
_POLL_S = 0.1
#: Mode of the lock's file. It holds nothing, and NFS grants an exclusive lock only to who may write.
_MODE = 0o666


class CacheLock:
    """A lock on one folder. It lasts until `release`, the end of a `with` block, or the end of the process."""

    def __init__(self, folder: Path) -> None:
        """Prepare the lock without taking it.

        Args:
            folder: a teacher cache or an image store; it need not exist.
        """
        self._path = folder.with_name(f"{folder.name}.lock")
        self._handle: int | None = None

    def share(self, on_wait: Callable[[], None]) -> None:
        """Take the lock as a reader. If another process holds it alone, call `on_wait` and wait."""
        if not self._try(fcntl.LOCK_SH):
            on_wait()
            self._lock(fcntl.LOCK_SH)

    def take(self, on_wait: Callable[[], None], *, unless: Callable[[], bool]) -> bool:
        """Take the lock alone. If another process holds it, call `on_wait` and wait until it is free or `unless()`.

        Readers hold the lock as long as their study lasts. A process that waits to build in the folder must therefore
        check repeatedly whether another one has done so: a plain lock would wait for the end of that study.

        Returns:
            Whether the lock was taken. If not, nothing is held.
        """
        reported = False
        while not self.try_take():
            if unless():
                return False
            if not reported:
                on_wait()
                reported = True
            time.sleep(_POLL_S)
        return True

    def try_take(self) -> bool:
        """Take the lock alone unless another process holds it; return whether it was taken."""
        return self._try(fcntl.LOCK_EX)

    def release(self) -> None:
        """Release the lock."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def remove_file(self) -> None:
        """Remove the lock's own file; only the exclusive holder may do so. Waiting processes then create a new file."""
        assert self._handle is not None, "only the holder may remove the lock"
        self._path.unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def __del__(self) -> None:
        self.release()

    def _try(self, how: int) -> bool:
        try:
            self._lock(how | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _lock(self, how: int) -> None:
        """Release any lock, then lock the file. Repeat if the file at the path was replaced meanwhile."""
        self.release()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            handle = _opened(self._path, os.O_RDONLY if how & fcntl.LOCK_SH else os.O_RDWR)
            try:
                fcntl.flock(handle, how)
                if _lies_at(handle, self._path):
                    self._handle = handle
                    return
            finally:
                if self._handle is None:
                    os.close(handle)


def _opened(path: Path, flags: int) -> int:
    """Open the lock's file; make it where it is absent, whatever the umask, so that every user may write it."""
    try:
        return os.open(path, flags)
    except FileNotFoundError:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, _MODE)
        with suppress(PermissionError):  # another user has made it meanwhile
            os.fchmod(handle, _MODE)
        return handle


def _lies_at(handle: int, path: Path) -> bool:
    """Return whether the open file is still the one at `path`. Both may have been removed during the wait."""
    try:
        there = os.stat(path)
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(handle), there)
