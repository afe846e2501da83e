"""Making a study.db with an empty search, and refusing one that cannot be used."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import optuna
from optuna.storages import BaseStorage

from search_spaces.space import SearchSpace
from study.records.connection import Database, disk_fault
from study.schema import METRIC, STUDY_NAME, is_search
from study.strategy.evidence import Evidence
from study.strategy.optuna_private import study_id
from study.strategy.search_settings import SearchSettings, SettingsError
from trainables.cckd.files.atomic import replacing


def search_names(storage: BaseStorage) -> list[str]:
    """Return the names of the searches in a study.db in the order of their creation; ignore other Optuna studies."""
    studies = sorted(storage.get_all_studies(), key=study_id)
    return [study.study_name for study in studies if is_search(study.study_name)]


def make_search(
    database: Path, space: SearchSpace, settings: SearchSettings, evidence: Sequence[Evidence] = ()
) -> None:
    """Make study.db with an empty search, completely or not at all.

    Raises:
        SettingsError: the file exists.
        Exception: an error of SQLite, SQLAlchemy, or Optuna if the disk is full.
    """
    if database.exists():
        raise SettingsError(f"a search is created once; {database} exists already")
    with replacing(database) as beside, ExitStack() as at_end:
        for kind in ("wal", "shm", "journal"):  # files that SQLite may leave beside a file that could not be made
            at_end.callback(beside.with_name(f"{beside.name}-{kind}").unlink, missing_ok=True)
        made = at_end.enter_context(closing(Database(beside)))
        with made.together():
            study = add_search(made, STUDY_NAME, space, settings)
            if evidence:
                study.set_user_attr("evidence", [trial.to_json() for trial in evidence])
        made.close(whole=True)


def add_search(database: Database, search: str, space: SearchSpace, settings: SearchSettings) -> optuna.Study:
    """Make an empty search in an open study.db, as part of the open transaction."""
    second = settings.second_objective
    study = optuna.create_study(
        study_name=search,
        storage=database.storage,
        directions=["maximize", *([second.direction] if second else [])],
    )
    with warnings.catch_warnings():
        # Experimental since Optuna 3.2. It only names the axes in dashboards and plots.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names([METRIC, *([second.column] if second else [])])
    study.set_user_attr("space", space.to_json())
    study.set_user_attr("settings", settings.to_json())
    return study


@contextmanager
def opening(database: Path) -> Iterator[None]:
    """Turn the errors of a missing or damaged file, or of a full disk, into one error that names the file.

    Raises:
        SettingsError: the file is missing or damaged, cannot be written, or another program holds it locked.
    """
    if not database.exists():
        raise SettingsError(f"there is no search to open; {database} does not exist")
    try:
        yield
    except SettingsError:
        raise
    except Exception as error:  # SQLite, SQLAlchemy, and Optuna raise many kinds of errors on a damaged file
        if fault := disk_fault(error):
            raise SettingsError(f"{database} must be a file that can be written; {fault}") from error
        if "database is locked" in str(error):
            raise SettingsError(f"{database} must be free to read; another program holds it locked") from error
        raise SettingsError(
            f"{database} must be a study's intact database; opening it gave {type(error).__name__}"
        ) from error
