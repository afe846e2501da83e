"""Notes and attributes in study.db beside the search, written under the driver's lock in one transaction."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import optuna
from sqlalchemy.exc import SQLAlchemyError

from study.lock import LOCK, study_lock
from study.records.connection import Database
from study.schema import DATABASE, STUDY_NAME
from trainables.cckd.errors import UsageError


class AnnotationError(Exception):
    """study.db cannot be written: a driver holds its lock, or it is damaged."""


def annotate(folder: Path, write: Callable[[optuna.Study], None]) -> None:
    """Call `write`, which sets attributes of the study (not of its trials); keep all of them or none.

    Raises:
        AnnotationError: a driver holds the lock, or study.db is damaged.
    """
    try:
        with study_lock(folder / LOCK), closing(Database(folder / DATABASE)) as database, database.together():
            write(optuna.load_study(study_name=STUDY_NAME, storage=database.storage))
    except UsageError as error:
        raise AnnotationError(str(error)) from error
    except (sqlite3.Error, SQLAlchemyError, KeyError) as error:
        raise AnnotationError(f"{folder / DATABASE} is no intact database: {type(error).__name__}") from error
