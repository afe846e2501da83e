"""A study folder, read without changing it: manifest, trials, confirmation and per-class counts."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from analysis.stats.paired_tests import Spread, spread
from search_spaces.space import Knob, SearchSpace
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
from study.schema import DATABASE, GROUPS, MANIFEST, SCHEMA_VERSION, TUNED_SUFFIX, links_out
from study.strategy.search_settings import SettingsError
from trainables.cckd.files.sealed import unsealed

#: The exceptions that content of a wrong type or range causes, also in Optuna's readers.
ODD_CONTENT = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)


class StudyFolderError(ValueError):
    """A folder that holds no readable study; `faults` holds one sentence per fault."""

    def __init__(self, *faults: str) -> None:
        self.faults = faults
        super().__init__("\n".join(faults))


@dataclass(frozen=True)
class FinalistResult:
    """A trial's configuration trained again by the selection.

    Attributes:
        trial: number of the trial.
        fresh: balanced accuracy on D_val over fresh seeds.
        searched: the single value on D_val that the trial had in the search.
    """

    trial: int
    fresh: Spread
    searched: float


@dataclass(frozen=True)
class StudyData:
    """Everything a report is made from.

    The tables have the columns of study/schema.py. They equal the CSV exports, but come from study.db alone.
    Accuracies are fractions 0-1, and a missing value is NaN.

    Attributes:
        folder: the study folder.
        manifest: study.json.
        space: the search space, rebuilt from the manifest.
        trials: Optuna's trials, a snapshot in order of number.
        measured: one row per trial, indexed by trial number; columns of TRIALS_HEAD, `config/<knob>`, TRIALS_TAIL.
        epochs: one row per (trial, epoch); columns of EPOCHS_HEAD, `loss_<term>`, EPOCHS_TAIL.
        baselines: one row per trial of a tuned baseline; empty where none is tuned.
        finalists: one row per (trial, seed) of the selection (columns of FINALISTS); empty without a selection.
        confirm: the confirmation on the study's own subset of the long tail, one row per (entry, seed), with the
            columns of CONFIRM; empty before the confirmation. The teacher's seed is NaN.
        classes: the same runs class by class, one row per (entry, seed, class), with the columns of CLASSES.
        confirm_all, classes_all: the same for every subset of the long tail; `data_seed` numbers the subsets.
        confusion: one row per (entry, seed, true class, predicted class), on the study's own subset (CONFUSION).
        separability: feature distances, one row per (entry, seed, class), on the study's own subset (SEPARABILITY).
            Both are empty where no run has them.
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
    confirm_all: pd.DataFrame
    classes_all: pd.DataFrame
    confusion: pd.DataFrame
    separability: pd.DataFrame

    @property
    def n_subsets(self) -> int:
        """Number of subsets of the long tail with a run of the confirmation."""
        return int(self.confirm_all["data_seed"].nunique())

    @property
    def every_subset(self) -> "StudyData":
        """The study with the rows of every subset in `confirm` and `classes`."""
        return replace(self, confirm=self.confirm_all, classes=self.classes_all)

    @property
    def knobs(self) -> tuple[Knob, ...]:
        """The searched knobs, in the space's order."""
        return self.space.tunable

    @property
    def complete(self) -> tuple[FrozenTrial, ...]:
        """The trials that ran to the end. Sensitivities and importances may use only these."""
        return tuple(trial for trial in self.trials if trial.state == TrialState.COMPLETE)

    @property
    def best(self) -> FrozenTrial | None:
        """The recommended trial: best1 once it is chosen, before that the highest single value on D_val."""
        chosen = self.manifest.get("confirm_entries", {}).get("best1")
        first = next(iter(self.ranked_finalists), None)
        number = chosen["trial"] if chosen else self.manifest.get("chosen_trial", first and first.trial)
        found = (trial for trial in self.complete if trial.number == number)
        return next(found, self._best_within_guards or self.highest_scoring)

    @property
    def _best_within_guards(self) -> FrozenTrial | None:
        keeping = (
            set(self.measured.index[self.measured["keeps_guards"] == 1]) if "keeps_guards" in self.measured else ()
        )
        within = [trial for trial in self.complete if trial.number in keeping]
        return max(within, key=lambda trial: (trial.value, -trial.number), default=None)

    @property
    def highest_scoring(self) -> FrozenTrial | None:
        """The complete trial with the highest single value on D_val, the earliest of equals."""
        return max(self.complete, key=lambda trial: (trial.value, -trial.number), default=None)

    def searched_value(self, entry: str, number: int) -> float | None:
        """Return the single value on D_val of a confirmed entry's trial in its search; None where it is not known."""
        if entry.endswith(TUNED_SUFFIX):
            of_baseline = self.baselines[self.baselines["baseline"] == entry.removesuffix(TUNED_SUFFIX)]
            found = of_baseline.loc[of_baseline["number"] == number, "val_balanced_accuracy_last"]
            return float(found.iloc[0]) if len(found) else None
        return next((trial.value for trial in self.complete if trial.number == number), None)

    @property
    def ranked_finalists(self) -> tuple["FinalistResult", ...]:
        """The finalists that have a run with every fresh seed, best mean first."""
        found = [
            FinalistResult(
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
        """Whether study.json says that a driver still works on this folder."""
        return bool(self.manifest["status"] == "running")

    @property
    def groups(self) -> dict[str, tuple[int, ...]]:
        """Group name -> class ids; a group may be empty."""
        return {name: tuple(ids) for name, ids in self.manifest["groups"].items()}


def load_study(folder: Path | str) -> StudyData:
    """Read a study folder, running or finished, without changing it.

    Raises:
        StudyFolderError: not a folder, no readable study.json or study.db, counts that no evaluation can give, or a
            study.db that another program holds locked.
    """
    folder = Path(folder)
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


def _read(folder: Path, manifest: Mapping[str, Any], space: SearchSpace, ledger: Ledger) -> StudyData:
    groups = {name: tuple(manifest["groups"][name]) for name in GROUPS}
    data, rows, runs = manifest["data"], ledger.rows(), ledger.runs.confirm_runs()
    _check_counts(folder / DATABASE, len(data["classes"]), ledger)
    confirm = _frame(confirm_table(runs, groups))
    classes = _frame(classes_table(runs, data["classes"], data["n_train"]))
    confusion, separability = _frame(confusion_table(runs)), _frame(separability_table(runs))
    return StudyData(
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
        confirm_all=confirm,
        classes_all=classes,
        confusion=confusion[confusion["data_seed"] == 0],
        separability=separability[separability["data_seed"] == 0],
    )


def _check_counts(database: Path, n_classes: int, ledger: Ledger) -> None:
    """Raise StudyFolderError where counts have another length than the classes, or more correct than seen."""
    faults = [
        f"{what} has counts that no evaluation of {n_classes} classes gives"
        for what, correct, seen in _counts(ledger)
        if not (len(correct) == len(seen) == n_classes and all(map(_possible, correct, seen)))
    ]
    if faults:
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        raise StudyFolderError(f"{database} must hold the counts that a study wrote: {faults[0]}{more}")


def _possible(correct: object, seen: object) -> bool:
    return type(correct) is int and type(seen) is int and 0 <= correct <= seen


def _counts(ledger: Ledger) -> Iterator[tuple[str, Sequence[int], Sequence[int]]]:
    """Yield every evaluation of a study and its tuned baselines: what it is of, correct and seen counts, (C,) each."""
    for name, search in {"": ledger, **ledger.baselines}.items():
        of = f" of baseline {name}" if name else ""
        for row in search.rows():
            for record in row.records:
                if record.val is not None:
                    yield f"trial {row.number}{of}, epoch {record.epoch},", record.val.correct, record.val.seen
        for run in search.runs.selection_runs():
            yield f"the selection's run of trial {run.trial}{of}, seed {run.seed},", run.val.correct, run.val.seen
    for confirmed in ledger.runs.confirm_runs():
        for part in ("test", "val"):
            if (counts := confirmed.record[part]) is not None:
                yield f"{confirmed.entry}, seed {confirmed.seed}, {part},", counts["correct"], counts["seen"]


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
    """Return a trial with its first objective alone, which every analysis uses; `measured` holds the second."""
    if trial.values is None or len(trial.values) < 2:
        return trial
    alone = copy(trial)
    alone.values = trial.values[:1]
    return alone


def _frame(table: Table) -> pd.DataFrame:
    """Return a table with NaN for a missing value; a column without any value becomes a column of floats."""
    frame = pd.DataFrame([dict(row) for row in table.rows], columns=list(table.columns))
    empty = [name for name in frame if frame[name].isna().all()]
    return frame.astype(dict.fromkeys(empty, float))
