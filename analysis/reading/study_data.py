"""A study folder, read without touching it: manifest, trials, confirmation and per-class counts."""

from collections.abc import Mapping
from contextlib import closing
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from analysis.stats.paired_tests import Spread, spread
from search_spaces.knob import Knob
from search_spaces.space import SearchSpace
from study.records.csv_tables import (
    Table,
    baselines_table,
    classes_table,
    confirm_table,
    confusion_table,
    epochs_table,
    finalists_table,
    separability_table,
    trials_table,
)
from study.records.ledger import Ledger
from study.schema import DATABASE, MANIFEST, SCHEMA_VERSION, TUNED_SUFFIX, links_out
from study.strategy.search_settings import SettingsError
from trainables.cckd.files.sealed import unsealed

#: What content of a wrong type or range leads to, in Optuna's readers too.
ODD_CONTENT = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)


class StudyFolderError(ValueError):
    """A folder that holds no readable study; `faults` holds one sentence per fault."""

    def __init__(self, *faults: str) -> None:
        self.faults = faults
        super().__init__("\n".join(faults))


@dataclass(frozen=True)
class Finalist:
    """A trial's configuration trained again: balanced accuracies on D_val over fresh seeds, and the search's own."""

    trial: int
    fresh: Spread
    searched: float


@dataclass(frozen=True)
class Study:
    """Everything a report is made from.

    The tables are those that the study exports as CSV, with the columns of study/schema.py, but made from study.db.

    Attributes:
        manifest: study.json.
        space: the search space, rebuilt from the manifest.
        trials: Optuna's trials, a snapshot in order of number.
        measured: one row per trial, indexed by trial number.
        epochs: one row per (trial, epoch).
        baselines: one row per trial of a tuned baseline; empty where none is tuned.
        finalists: one row per (trial, seed) of the selection; empty before it, or where there was none.
        confirm: the confirmation on the study's own cut of the long tail, one row per (entry, seed); empty before the
            confirmation. The teacher's seed is NaN.
        classes: the same runs class by class, one row per (entry, seed, class).
        confirm_cuts, classes_cuts: the same of every cut, told apart by `data_seed`.
        confusion, separability: confusion counts and feature distances on the study's own cut; empty where no run has
            them.
    """

    folder: Path
    manifest: Mapping[str, Any]
    space: SearchSpace
    trials: tuple[FrozenTrial, ...]
    measured: pd.DataFrame
    epochs: pd.DataFrame
    baselines: pd.DataFrame
    finalists: pd.DataFrame
    confirm: pd.DataFrame
    classes: pd.DataFrame
    confirm_cuts: pd.DataFrame
    classes_cuts: pd.DataFrame
    confusion: pd.DataFrame
    separability: pd.DataFrame

    @property
    def n_cuts(self) -> int:
        """Cuts of the long tail on which anything was confirmed."""
        return int(self.confirm_cuts["data_seed"].nunique())

    @property
    def every_cut(self) -> "Study":
        """The study with every cut's rows in `confirm` and `classes`."""
        return replace(self, confirm=self.confirm_cuts, classes=self.classes_cuts)

    @property
    def knobs(self) -> tuple[Knob, ...]:
        """The searched knobs, in the space's order."""
        return self.space.tunable

    @property
    def complete(self) -> tuple[FrozenTrial, ...]:
        """The trials that ran to the end; the only ones sensitivities and importances may use."""
        return tuple(trial for trial in self.trials if trial.state == TrialState.COMPLETE)

    @property
    def best(self) -> FrozenTrial | None:
        """The trial that stands for the search: best1 where it is chosen, else the highest single value on D_val."""
        chosen = self.manifest.get("confirm_entries", {}).get("best1")
        first = next(iter(self.chosen_from), None)
        number = chosen["trial"] if chosen else self.manifest.get("chosen_trial", first and first.trial)
        found = (trial for trial in self.complete if trial.number == number)
        return next(found, self._best_within_guards or self.luckiest)

    @property
    def _best_within_guards(self) -> FrozenTrial | None:
        keeping = (
            set(self.measured.index[self.measured["keeps_guards"] == 1]) if "keeps_guards" in self.measured else ()
        )
        within = [trial for trial in self.complete if trial.number in keeping]
        return max(within, key=lambda trial: (trial.value, -trial.number), default=None)

    @property
    def luckiest(self) -> FrozenTrial | None:
        """The complete trial with the highest single value on D_val, the earliest of equals."""
        return max(self.complete, key=lambda trial: (trial.value, -trial.number), default=None)

    def searched_value(self, entry: str, number: int) -> float | None:
        """The one value on D_val that the search of a confirmed entry gave its trial; None where it is not known."""
        if entry.endswith(TUNED_SUFFIX):
            of_baseline = self.baselines[self.baselines["baseline"] == entry.removesuffix(TUNED_SUFFIX)]
            found = of_baseline.loc[of_baseline["number"] == number, "val_balanced_accuracy_last"]
            return float(found.iloc[0]) if len(found) else None
        return next((trial.value for trial in self.complete if trial.number == number), None)

    @property
    def chosen_from(self) -> tuple["Finalist", ...]:
        """The finalists that have every fresh seed, best mean first."""
        found = [
            Finalist(
                int(runs["trial"].iloc[0]),
                spread(runs["val_balanced_accuracy"]),
                float(runs["search_val_balanced_accuracy"].iloc[0]),
            )
            for _, runs in self.finalists.groupby("trial")
        ]
        most = max((finalist.fresh.n for finalist in found), default=0)
        whole = [finalist for finalist in found if finalist.fresh.n == most]
        return tuple(sorted(whole, key=lambda finalist: (-finalist.fresh.mean, finalist.trial)))

    @property
    def running(self) -> bool:
        """Whether the driver still adds to this folder, by its own word."""
        return bool(self.manifest["status"] == "running")

    @property
    def groups(self) -> dict[str, tuple[int, ...]]:
        """Group name -> class ids; a group may be empty."""
        return {name: tuple(ids) for name, ids in self.manifest["groups"].items()}


def load_study(folder: Path) -> Study:
    """Read a study folder, running or finished.

    Raises:
        StudyFolderError: not a folder, no readable study.json or study.db, or a study.db that another
            program holds locked.
    """
    if not folder.is_dir():
        raise StudyFolderError(f"a study folder is needed; {folder} is not a folder")
    absent = [name for name in (MANIFEST, DATABASE) if not (folder / name).is_file()]
    if absent:
        raise StudyFolderError(f"{folder} is not a study folder: it has no {' and no '.join(absent)}")
    if strays := links_out(folder):
        raise StudyFolderError(f"{folder} is not as a study makes it: links lead out of it: {', '.join(strays[:5])}")
    manifest = _manifest(folder / MANIFEST)
    try:
        space = SearchSpace.from_json(manifest["space"])
    except ODD_CONTENT as error:
        raise StudyFolderError(f"{folder / MANIFEST}: its search space cannot be read: {error!r}") from error
    database = folder / DATABASE
    try:
        with closing(Ledger.read(database)) as ledger:
            return _read(folder, manifest, space, ledger)
    except SettingsError as error:
        raise StudyFolderError(str(error)) from error
    except ODD_CONTENT as error:
        raise StudyFolderError(f"{folder} is not as a study writes it; reading it gave {error!r}") from error


def _read(folder: Path, manifest: Mapping[str, Any], space: SearchSpace, ledger: Ledger) -> Study:
    groups = {name: tuple(manifest["groups"][name]) for name in ("many", "medium", "few")}
    data, rows, runs = manifest["data"], ledger.rows(), ledger.runs.confirm_runs()
    confirm, classes = (
        _frame(confirm_table(runs, groups)),
        _frame(classes_table(runs, data["classes"], data["n_train"])),
    )
    confusion, separability = _frame(confusion_table(runs)), _frame(separability_table(runs))
    return Study(
        folder=folder,
        manifest=manifest,
        space=space,
        trials=tuple(_by_first_objective(trial) for trial in ledger.trials),
        measured=_frame(trials_table(rows, space, groups)).set_index("number"),
        epochs=_frame(epochs_table(rows)),
        baselines=_frame(baselines_table(ledger.baselines, groups)),
        finalists=_frame(finalists_table(ledger.runs.selection_runs(), rows)),
        confirm=confirm[confirm["data_seed"] == 0],
        classes=classes[classes["data_seed"] == 0],
        confirm_cuts=confirm,
        classes_cuts=classes,
        confusion=confusion[confusion["data_seed"] == 0],
        separability=separability[separability["data_seed"] == 0],
    )


def _manifest(path: Path) -> Mapping[str, Any]:
    try:
        manifest = unsealed(path.read_bytes())
    except ValueError as error:
        raise StudyFolderError(
            f"{path} must be as the study wrote it: {error}; `python -m study.resume {path.parent}` restores it"
        ) from error
    needed = ("name", "status", "space", "plan", "data", "groups", "teacher")
    absent = [key for key in needed if not isinstance(manifest, dict) or key not in manifest]
    if absent:
        raise StudyFolderError(f"{path} is not a study's manifest: it has no {', '.join(absent)}")
    if manifest.get("schema") != SCHEMA_VERSION:
        raise StudyFolderError(
            f"{path} is of layout {manifest.get('schema')!r}; this version reads layout {SCHEMA_VERSION} only"
        )
    return dict(manifest)


def _by_first_objective(trial: FrozenTrial) -> FrozenTrial:
    """A trial of a search of two objectives as one of the first, which every analysis is of; `measured` has both."""
    if trial.values is None or len(trial.values) < 2:
        return trial
    alone = copy(trial)
    alone.values = trial.values[:1]
    return alone


def _frame(table: Table) -> pd.DataFrame:
    """Return a table with NaN for a missing value; a column without any value is one of numbers."""
    frame = pd.DataFrame([dict(row) for row in table.rows], columns=list(table.columns))
    empty = [name for name in frame if frame[name].isna().all()]
    return frame.astype(dict.fromkeys(empty, float))
