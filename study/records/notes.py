"""Notes and attributes in study.db beside the search, written so that its seals hold: one lock, one transaction."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import optuna
from sqlalchemy.exc import SQLAlchemyError

from study import seals
from study.lock import LOCK, StudyLock
from study.records.connection import Database
from study.schema import DATABASE, STUDY_NAME
from trainables.cckd.errors import UsageError


class AnnotationError(Exception):
    """study.db cannot be written to: a driver holds it, it is damaged, or it was altered."""


def annotate(folder: Path, write: Callable[[optuna.Study], None]) -> None:
    """Let `write` set attributes of the study (not of its trials); all of them are kept, or none.

    Raises:
        AnnotationError: a driver works on the study, or study.db is not as it was written.
    """
    try:
        with StudyLock(folder / LOCK), closing(Database(folder / DATABASE)) as database, database.together():
            study = optuna.load_study(study_name=STUDY_NAME, storage=database.storage)
            there = seals.stored(database.connection)
            if there:
                computed = seals.computed(database.connection, seals.read_searches(database.storage))
                if broken := seals.broken(there, computed):
                    raise AnnotationError(f"altered after it was written: {', '.join(broken[:5])}")
            write(study)
            if there:
                seals.put(database.connection, seals.STUDY, _study_seal(study))
    except UsageError as error:
        raise AnnotationError(str(error)) from error
    except (sqlite3.Error, SQLAlchemyError, KeyError) as error:
        raise AnnotationError(f"{folder / DATABASE} is no intact database: {type(error).__name__}") from error


def _study_seal(study: optuna.Study) -> str:
    system_attrs = study._storage.get_study_system_attrs(study._study_id)
    return seals.of_study(study.directions, study.user_attrs, system_attrs)
