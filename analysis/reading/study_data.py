"""A study folder, read without touching it: manifest, trials, confirmation and per-class counts."""

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from analysis.stats.paired_tests import Spread, spread
from search_spaces.knob import Knob
from search_spaces.space import SearchSpace
from study import seals
from study.schema import (
    BASELINES_CSV,
    BASELINES_HEAD,
    BASELINES_TAIL,
    CLASSES,
    CLASSES_CSV,
    CONFIRM,
    CONFIRM_CSV,
    CONFUSION,
    CONFUSION_CSV,
    DATABASE,
    FINALISTS,
    FINALISTS_CSV,
    MANIFEST,
    SEPARABILITY,
    SEPARABILITY_CSV,
    STUDY_NAME,
    TRIALS,
    TRIALS_HEAD,
    TRIALS_TAIL,
    TUNED_SUFFIX,
    links_out,
)

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

    Attributes:
        manifest: study.json.
        space: the search space, rebuilt from the manifest.
        trials: Optuna's trials, a snapshot in order of number.
        measured: trials.csv indexed by trial number; empty where the file is absent.
        baselines: baselines.csv, a row a trial of a tuned baseline; empty where none is tuned.
        finalists: finalists.csv, a row a (trial, seed) of the selection; empty before it, or where there was none.
        confirm: the rows of confirm.csv on the study's own cut of the long tail, one an (entry, seed); empty before
            the confirmation. The teacher's seed is NaN.
        classes: those of classes.csv, one an (entry, seed, class); empty before the confirmation.
        confirm_cuts, classes_cuts: the same of every cut, told apart by `data_seed`.
        confusion, separability: the rows of confusion.csv and separability.csv on the study's own cut; empty where
            no run has them.
    """

    folder: Path
    manifest: Mapping[str, Any]
    space: SearchSpace
    trials: tuple[FrozenTrial, ...]
    measured: pd.DataFrame
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
        StudyFolderError: not a folder, no readable study.json or study.db, or a table without its columns.
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
    confirm, classes = _table_of_cuts(folder / CONFIRM_CSV, CONFIRM), _table_of_cuts(folder / CLASSES_CSV, CLASSES)
    confusion = _table(folder / CONFUSION_CSV, list(CONFUSION))
    separability = _table(folder / SEPARABILITY_CSV, list(SEPARABILITY))
    return Study(
        folder=folder,
        manifest=manifest,
        space=space,
        trials=_trials(folder / DATABASE),
        measured=_table(folder / TRIALS, ["number"]).set_index("number"),
        baselines=_table(folder / BASELINES_CSV, [*BASELINES_HEAD, *TRIALS_HEAD, *TRIALS_TAIL, *BASELINES_TAIL]),
        finalists=_table(folder / FINALISTS_CSV, list(FINALISTS)),
        confirm=confirm[confirm["data_seed"] == 0],
        classes=classes[classes["data_seed"] == 0],
        confirm_cuts=confirm,
        classes_cuts=classes,
        confusion=confusion[confusion["data_seed"] == 0],
        separability=separability[separability["data_seed"] == 0],
    )


def _manifest(path: Path) -> Mapping[str, Any]:
    try:
        manifest = seals.unsealed(path.read_bytes())
    except ValueError as error:
        raise StudyFolderError(
            f"{path} must be as the study wrote it: {error}; `python -m study.resume {path.parent}` restores it"
        ) from error
    needed = ("name", "status", "space", "plan", "data", "groups", "teacher")
    absent = [key for key in needed if not isinstance(manifest, dict) or key not in manifest]
    if absent:
        raise StudyFolderError(f"{path} is not a study's manifest: it has no {', '.join(absent)}")
    return dict(manifest)


def _trials(database: Path) -> tuple[FrozenTrial, ...]:
    try:
        return tuple(_by_first_objective(trial) for trial in seals.sealed_trials(database))
    except Exception as error:  # a damaged file makes SQLite, SQLAlchemy and Optuna stumble in many ways
        raise StudyFolderError(f"{database} holds no intact Optuna study {STUDY_NAME!r}: {error}") from error


def _by_first_objective(trial: FrozenTrial) -> FrozenTrial:
    """A trial of a search of two objectives as one of the first, which every analysis is of; both are in trials.csv."""
    if trial.values is None or len(trial.values) < 2:
        return trial
    alone = copy(trial)
    alone.values = trial.values[:1]
    return alone


def _table_of_cuts(path: Path, columns: Mapping[str, str]) -> pd.DataFrame:
    """Read a table of the confirmation; one from before there were other cuts is of the study's own."""
    table = _table(path, [name for name in columns if name != "data_seed"])
    return table if "data_seed" in table else table.assign(data_seed=0)


def _table(path: Path, needed: list[str]) -> pd.DataFrame:
    """Read a CSV whose only missing value is the empty field, so that a class may be called 'NA'."""
    if not path.is_file():
        return pd.DataFrame(columns=needed)
    texts = dict.fromkeys(("entry", "baseline", "class_name", "selected_on", "state", "cause"), "str")
    try:
        table = pd.read_csv(path, dtype=texts, keep_default_na=False, na_values=[""])
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise StudyFolderError(f"{path} is not a readable table: {error}") from error
    if "class_name" in table:
        table["class_name"] = table["class_name"].fillna("")
    absent = [name for name in needed if name not in table]
    if absent:
        raise StudyFolderError(f"{path} lacks the columns {', '.join(absent)}")
    return table
