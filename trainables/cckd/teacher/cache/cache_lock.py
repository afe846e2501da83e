"""Who uses a teacher cache: readers share it, a builder or a remover has it alone.

`flock` on a file beside the cache's folder, dropped by the operating system with its holder, so never stale. Two
hosts exclude each other only on file systems that carry flock (NFS 4 does).
"""

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

#: How often who waits to have a cache alone looks again.
_POLL_S = 0.1


class Claim:
    """A hold on one cache. It lasts until `release`, the end of a `with` block, or of the process."""

    def __init__(self, folder: Path) -> None:
        """Hold nothing yet.

        Args:
            folder: of the cache; need not exist.
        """
        self._path = folder.with_name(f"{folder.name}.lock")
        self._handle: int | None = None

    def share(self, on_wait: Callable[[], None]) -> None:
        """Become one of its readers; where somebody has it alone, call `on_wait` and wait."""
        if not self._try(fcntl.LOCK_SH):
            on_wait()
            self._lock(fcntl.LOCK_SH)

    def take(self, on_wait: Callable[[], None], *, unless: Callable[[], bool]) -> bool:
        """Have it alone; where somebody uses it, call `on_wait` and wait until that ends or `unless` comes true.

        Readers hold a cache for as long as their study lasts. Who waits to build it must therefore look, again and
        again, whether one of them has done so: a plain lock would wait for the end of that study.

        Returns:
            Whether it is had. Where it is not, nothing is held.
        """
        told = False
        while not self.try_take():
            if unless():
                return False
            if not told:
                on_wait()
                told = True
            time.sleep(_POLL_S)
        return True

    def try_take(self) -> bool:
        """Have it alone, unless somebody else uses it; return whether that was so."""
        return self._try(fcntl.LOCK_EX)

    def release(self) -> None:
        """Let go of it."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def remove_file(self) -> None:
        """Remove the lock's own file, which only who has the cache alone may do; whoever waits for it starts anew."""
        assert self._handle is not None, "only the holder may remove the lock"
        self._path.unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
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
        """Let go of what is held, then lock the file that lies at the path once the lock is had."""
        self.release()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                fcntl.flock(handle, how)
                if _lies_at(handle, self._path):
                    self._handle = handle
                    return
            finally:
                if self._handle is None:
                    os.close(handle)


def _lies_at(handle: int, path: Path) -> bool:
    """Whether the open file is still the one at `path`: while we waited, it may have been removed with its cache."""
    try:
        there = os.stat(path)
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(handle), there)
