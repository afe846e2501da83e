"""The one connection to study.db: several writes become one transaction, whoever makes them.

Optuna's storage and our own tables write through the same connection, so that what belongs together reaches the disk
together or not at all, with one wait for the disk (a third of a trial's bookkeeping was such waits). SQLite's
write-ahead log waits once a transaction instead of three times; closing folds it back into the one file.
"""

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import optuna
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.storages import RDBStorage
from optuna.storages._rdb.models import TrialParamModel
from sqlalchemy import StaticPool
from sqlalchemy.orm import Session

#: What the system, and what SQLite says where the disk is at fault, not the file.
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM)
_DISK_FAULTS = ("disk is full", "readonly database", "disk I/O error", "unable to open database file")

#: Seconds that a reader waits for a study.db that another program has locked.
_COPY_TIMEOUT_S = 5.0


def disk_fault(error: BaseException | None) -> str | None:
    """What the disk did not let us do, where that is behind `error` or what caused it; None where it is not."""
    while error is not None:
        of_system = isinstance(error, OSError) and error.errno in _DISK_ERRORS
        if of_system or any(fault in str(error) for fault in _DISK_FAULTS):
            return " ".join(str(error).split("\n")[0].split())
        error = error.__cause__ or error.__context__
    return None


class OneWritersStorage(RDBStorage):
    """Optuna's storage where nobody else writes and a search's space never changes.

    A knob of a trial is one row, without looking first whether the trial may be written to and another trial's knob of
    that name had the same distribution: these queries were a third of what a trial cost the driver.
    """

    def _set_trial_param_without_commit(
        self,
        session: Session,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
        previous_distribution: BaseDistribution | None = None,
    ) -> None:
        session.add(
            TrialParamModel(
                trial_id=trial_id,
                param_name=param_name,
                param_value=param_value_internal,
                distribution_json=distribution_to_json(distribution),
            )
        )


class Database:
    """An open study.db.

    Attributes:
        storage: Optuna's view of it.
        connection: for our own tables; every write of theirs stands in a `together` block.

    Args:
        path: the file.
        copied: read the file once into memory and open that copy. A driver may be writing to the file. Neither the
            driver nor the file notices, and what is written to the copy is lost when it is closed.

    Raises:
        sqlite3.Error: the file is no intact database, or another program holds it.
        SQLAlchemyError: the same, met by Optuna.
    """

    def __init__(self, path: Path, *, copied: bool = False) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._closed = False
        self.connection = _Connection(":memory:" if copied else path, timeout=30.0)
        try:
            if copied:
                _copy(path, self.connection)
            # SQLite meets a missing page only when it reads it, which may be after hours.
            (verdict,) = self.connection.execute("PRAGMA integrity_check(1)").fetchone()
            if verdict != "ok":
                raise sqlite3.DatabaseError(verdict)
            self.connection.execute("PRAGMA journal_mode=WAL")
            self.connection.execute("PRAGMA synchronous=FULL")
            pool = {"creator": lambda: self.connection, "poolclass": StaticPool, "pool_reset_on_return": None}
            self.storage = OneWritersStorage("sqlite://", engine_kwargs=pool)
        except BaseException:
            self.connection.close()
            raise

    @contextmanager
    def together(self) -> Iterator[None]:
        """Make all writes of the block one transaction; undo them all where it raises. A block within joins it."""
        if self.connection.held:
            yield
            return
        self.connection.hold()
        try:
            yield
        except BaseException:
            self.connection.drop()
            raise
        self.connection.release()

    def close(self, *, whole: bool = False) -> None:
        """Close the connection and leave one file behind; a second time does nothing.

        Where that cannot be, since somebody reads it just now or the disk is full, the log stays beside it.

        Args:
            whole: raise then; for a file that is about to be moved away from its log.

        Raises:
            sqlite3.OperationalError: there are two files, and `whole` asks for one.
        """
        if self._closed:
            return
        self._closed = True
        self.storage.remove_session()
        try:
            with suppress(*(() if whole else (sqlite3.OperationalError,))):
                self.connection.execute("PRAGMA journal_mode=DELETE")
        finally:
            self.storage.engine.dispose()
            self.connection.close()


def _copy(path: Path, target: sqlite3.Connection) -> None:
    """Copy the database, as its last transaction left it, through a connection that can only read."""
    uri = f"{path.resolve().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, timeout=_COPY_TIMEOUT_S)) as source:
        # `backup` waits for ever for a file that another program has locked. A read that comes first waits for
        # `timeout` only, and its transaction keeps the lock away until the copy is done.
        source.execute("BEGIN")
        source.execute("SELECT count(*) FROM sqlite_master").fetchone()
        source.backup(target)


class _Connection(sqlite3.Connection):
    """Commits when it is told to, and while it is held, only at the end: Optuna commits after every value."""

    held = False
    _undone = False

    def hold(self) -> None:
        """Begin a transaction that `commit` does not end."""
        self.execute("BEGIN IMMEDIATE")
        self.held, self._undone = True, False

    def release(self) -> None:
        """Commit the held transaction.

        Raises:
            sqlite3.IntegrityError: a part of it was undone on the way, and with it the whole.
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
