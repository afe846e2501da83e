"""The one connection to study.db, which Optuna's storage and our own tables share.

Writes that belong together are one transaction: they reach the disk together or not at all, with one wait for the disk.
Such waits were a third of the bookkeeping of a trial. SQLite's write-ahead log waits once per transaction instead of
three times. Closing folds the log back into the one file.
"""

import errno
import math
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import optuna
from sqlalchemy import StaticPool

from study.strategy.optuna_private import SingleWriterStorage
from study.terminal.signals import uninterrupted

#: Errors of the operating system, and texts of SQLite, that mean a fault of the disk and not of the file.
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM)
_DISK_FAULTS = ("disk is full", "readonly database", "disk I/O error", "unable to open database file")

#: Seconds for which another program may hold study.db locked without a word to the user.
_PATIENCE_S = 30.0

#: The same for a reader, and the seconds after which it gives up: a report may be built where nobody reads the line.
_COPY_TIMEOUT_S, _COPY_PATIENCE_S = 5.0, 120.0

#: Seconds between two attempts where SQLite itself does not wait.
_PAUSE_S = 0.2


def disk_fault(error: BaseException | None) -> str | None:
    """Return the disk's fault if `error` or one of its causes is one; otherwise None."""
    while error is not None:
        of_system = isinstance(error, OSError) and error.errno in _DISK_ERRORS
        if of_system or any(fault in str(error) for fault in _DISK_FAULTS):
            return " ".join(str(error).split("\n")[0].split())
        error = error.__cause__ or error.__context__
    return None


class Database:
    """An open study.db.

    Attributes:
        storage: Optuna's storage in this file.
        connection: for our own tables. Every write to them stands in a `together` block.

    Args:
        path: the file.
        copied: read the file once into memory and open that copy. A driver may write to the file meanwhile and does
            not notice. Changes to the copy are lost when it is closed.

    Raises:
        sqlite3.Error: the file is not an intact database, or another program has locked it.
        SQLAlchemyError: the same faults, found by Optuna.
    """

    def __init__(self, path: Path, *, copied: bool = False) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._closed = False
        self.connection = _Connection(":memory:" if copied else path, timeout=_PATIENCE_S)
        self.connection.path = path
        try:
            if copied:
                _patiently(path, lambda: _copy(path, self.connection), _COPY_PATIENCE_S)
            _patiently(path, self._open)
            self.connection.execute("PRAGMA synchronous=FULL")
            pool = {"creator": lambda: self.connection, "poolclass": StaticPool, "pool_reset_on_return": None}
            with uninterrupted():
                self.storage = SingleWriterStorage("sqlite://", engine_kwargs=pool)
        except BaseException:
            self.connection.close()
            raise

    def _open(self) -> None:
        # SQLite notices a missing page only when it reads the page, which may be hours later.
        (verdict,) = self.connection.execute("PRAGMA integrity_check(1)").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)
        self.connection.execute("PRAGMA journal_mode=WAL")

    @contextmanager
    def together(self) -> Iterator[None]:
        """Make all writes of the block one transaction, undone if the block raises. An inner block joins the outer.

        A Ctrl-C takes effect behind it, or while it waits for another program. SQLAlchemy closes a connection whose
        query a Ctrl-C ends, and Optuna raises an error of its own in place of it.
        """
        if self.connection.held:
            yield
            return
        try:
            self.connection.hold()
            with uninterrupted():
                yield
                self.connection.release()
        except BaseException:
            self.connection.drop()
            raise

    def close(self, *, whole: bool = False) -> None:
        """Close the connection and leave one file behind; a second call does nothing.

        If another program reads the file now, or the disk is full, the log file stays beside it.

        Args:
            whole: raise an error in that case. For a file that is about to be moved away from its log.

        Raises:
            sqlite3.OperationalError: there are two files, and `whole` asks for one.
        """
        if self._closed:
            return
        with uninterrupted():
            self._closed = True
            self.storage.remove_session()
            try:
                with suppress(*(() if whole else (sqlite3.OperationalError,))):
                    self.connection.execute("PRAGMA journal_mode=DELETE")
            finally:
                self.storage.engine.dispose()
                self.connection.close()


def _patiently(path: Path | None, act: Callable[[], object], patience_s: float = math.inf) -> None:
    """Act on the file at `path`; while another program holds it locked say so once, and try again for so long."""
    told, limit = False, time.monotonic() + patience_s
    while True:
        try:
            act()
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > limit:
                raise
        if not told:
            print(f"NOTE     {path} is held locked by another program; waiting for it", flush=True)
        told = True
        time.sleep(_PAUSE_S)


def _copy(path: Path, target: sqlite3.Connection) -> None:
    """Copy the database, as its last transaction left it, through a read-only connection."""
    uri = f"{path.resolve().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, timeout=_COPY_TIMEOUT_S)) as source:
        # `backup` waits forever for a file that another program has locked. A query waits for `timeout` only, and its
        # transaction keeps other programs from locking the file until the copy is done.
        source.execute("BEGIN")
        source.execute("SELECT count(*) FROM sqlite_master").fetchone()
        source.backup(target)


class _Connection(sqlite3.Connection):
    """A connection that can hold a transaction open: Optuna commits after every value, which then does nothing."""

    held = False
    path: Path | None = None
    _undone = False

    def hold(self) -> None:
        """Begin a transaction that `commit` does not end; wait as long as another program holds the file locked."""
        _patiently(self.path, self._begin)
        self._undone = False

    def _begin(self) -> None:
        with uninterrupted():
            self.execute("BEGIN IMMEDIATE")
            self.held = True

    def release(self) -> None:
        """Commit the held transaction.

        Raises:
            sqlite3.IntegrityError: a part of the transaction was undone before, so all of it is.
        """
        if self._undone:
            self.drop()
            raise sqlite3.IntegrityError("a write was refused by the database")
        self.held = False
        try:
            super().commit()
        except BaseException:
            super().rollback()
            raise

    def drop(self) -> None:
        """Undo the held transaction."""
        self.held = False
        super().rollback()

    def commit(self) -> None:
        """Commit, unless held."""
        if not self.held:
            super().commit()

    def rollback(self) -> None:
        """Undo everything since the last real commit."""
        self._undone = True
        super().rollback()
