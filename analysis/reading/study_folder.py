"""Reading of a study folder: its manifest and study.db become StudyData, or one clear error."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from copy import copy
from pathlib import Path
from typing import Any

import pandas as pd
from optuna.trial import FrozenTrial

from analysis.reading.failed_runs import at_chance, failed_runs
from analysis.reading.study_data import StudyData
from search_spaces.space import SearchSpace
from study.records.csv_tables import (
    Table,
    ablation_table,
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
from study.records.run_tables import ConfirmRun, counts_of
from study.records.trial_rows import TrialRow
from study.schema import (
    ABLATED,
    COMPARED,
    DATABASE,
    EARLIER_SCHEMAS,
    GROUPS,
    MANIFEST,
    SCHEMA_VERSION,
    is_newer,
    links_out,
)
from study.strategy.search_settings import SettingsError
from trainables.cckd.files.sealed import unsealed

#: The exceptions that content of a wrong type or range causes, also in Optuna's readers.
ODD_CONTENT = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)


class StudyFolderError(ValueError):
    """A folder that holds no readable study, or cannot be written to; `faults` holds one sentence per fault."""

    def __init__(self, *faults: str) -> None:
        self.faults = faults
        super().__init__("\n".join(faults))


@contextmanager
def one_error(place: Path | str, activity: str) -> Iterator[None]:
    """Turn an exception that odd content causes in this block into one StudyFolderError on `place`.

    Args:
        place: the folder that is not as a study writes it, or words for it.
        activity: what the block does, e.g. 'reporting'.
    """
    try:
        yield
    except StudyFolderError:
        raise
    except ODD_CONTENT as error:
        cause = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise StudyFolderError(f"{place} is not as a study writes it; {activity} gave {cause}") from error


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
    with one_error(folder, "reading"):
        try:
            with closing(Ledger.read(folder / DATABASE)) as ledger:
                return _read(folder, manifest, space, ledger)
        except SettingsError as error:
            raise StudyFolderError(str(error)) from error


def _read(folder: Path, manifest: Mapping[str, Any], space: SearchSpace, ledger: Ledger) -> StudyData:
    groups = {name: tuple(manifest["groups"][name]) for name in GROUPS}
    data, rows, recorded = manifest["data"], ledger.rows(), ledger.runs.confirm_runs()
    _check_counts(folder / DATABASE, len(data["classes"]), ledger, rows, recorded)
    # All that a report says of the confirmation is on the study's own length; the runs at a longer one stand apart.
    runs = [run for run in recorded if run.epochs_factor == 1]
    longer = [run for run in recorded if run.epochs_factor > 1]
    failed = failed_runs(ledger.runs.rerun_attempts(), _trials_of_entries(manifest, recorded), recorded)
    chance = at_chance(failed, recorded, selected_on=str(data.get("selected_on")))
    confirm = _frame(confirm_table(runs, groups))
    diverged = _frame(confirm_table([run for run in chance if run.epochs_factor == 1], groups))
    classes = _frame(classes_table(runs, data["classes"], data["n_train"]))
    confusion, separability = _frame(confusion_table(runs)), _frame(separability_table(runs))
    return StudyData(
        folder=folder,
        manifest=manifest,
        space=space,
        trials=tuple(_by_first_objective(trial) for trial in ledger.trials),
        measured=_frame(trials_table(rows, space, groups)).set_index("number"),
        epochs=_frame(epochs_table(rows, (), groups)),
        curves=_frame(epochs_table((), recorded, groups)),
        longer=_frame(confirm_table(longer, groups)),
        baselines=_frame(baselines_table(ledger.baselines, groups)),
        finalists=_frame(finalists_table(ledger.runs.selection_runs(), rows)),
        confirm=confirm[confirm["data_seed"] == 0],
        classes=classes[classes["data_seed"] == 0],
        confirm_all=confirm,
        classes_all=classes,
        confusion=confusion[confusion["data_seed"] == 0],
        separability=separability[separability["data_seed"] == 0],
        ablation=_frame(
            ablation_table(ledger.runs.ablation_runs(), ledger.runs.rerun_attempts(), manifest.get(ABLATED), groups)
        ),
        failed=failed,
        diverged=diverged[diverged["data_seed"] == 0],
        diverged_all=diverged,
        diverged_longer=_frame(confirm_table([run for run in chance if run.epochs_factor > 1], groups)),
    )


def _trials_of_entries(manifest: Mapping[str, Any], recorded: Sequence[ConfirmRun]) -> dict[str, int | None]:
    """Return the entries of the confirmation with the trial of each; None for a rung of the ladder."""
    planned = manifest.get("confirm_entries") or {}
    return {
        **dict.fromkeys(COMPARED),
        **{run.entry: run.trial for run in recorded},
        **{str(entry): about.get("trial") for entry, about in planned.items()},
    }


def _check_counts(
    database: Path, n_classes: int, ledger: Ledger, rows: Sequence[TrialRow], confirmed: Sequence[ConfirmRun]
) -> None:
    """Raise StudyFolderError where counts have another length than the classes, or more correct than seen."""
    faults = [
        f"{what} has counts that no evaluation of {n_classes} classes gives"
        for what, correct, seen in _counts(ledger, rows, confirmed)
        if not (len(correct) == len(seen) == n_classes and all(map(_possible, correct, seen)))
    ]
    faults += [
        f"{run.entry}, seed {run.seed}, test, has bins of confidence that no evaluation gives"
        for run in confirmed
        if "bins" in run.record["test"]
        and not _possible_bins(**run.record["test"]["bins"], seen=run.record["test"]["seen"])
    ]
    if faults:
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        raise StudyFolderError(f"{database} must hold the counts that a study wrote: {faults[0]}{more}")


def _possible(correct: object, seen: object) -> bool:
    return type(correct) is int and type(seen) is int and 0 <= correct <= seen


def _possible_bins(n: Sequence[int], confidence: Sequence[float], correct: Sequence[int], seen: Sequence[int]) -> bool:
    """Whether bins hold all seen images, and in each bin a sum of confidences from 0 to their number."""
    in_bounds = all(_possible(c, k) and 0 <= p <= k + 1e-6 for k, p, c in zip(n, confidence, correct, strict=True))
    return in_bounds and sum(n) == sum(seen)


def _counts(
    ledger: Ledger, rows: Sequence[TrialRow], confirmed: Sequence[ConfirmRun]
) -> Iterator[tuple[str, Sequence[int], Sequence[int]]]:
    """Yield every evaluation of a study and its tuned baselines: what it is of, correct and seen counts, (C,) each."""
    searches = [("", ledger.runs, rows)]
    searches += [(f" of baseline {name}", search.runs, search.rows()) for name, search in ledger.baselines.items()]
    for of, runs, trials in searches:
        for row in trials:
            for record in row.records:
                if record.val is not None:
                    yield f"trial {row.number}{of}, epoch {record.epoch},", record.val.correct, record.val.seen
        for run in runs.selection_runs():
            yield f"the selection's run of trial {run.trial}{of}, seed {run.seed},", run.val.correct, run.val.seen
    for ablated in ledger.runs.ablation_runs():
        yield f"the run {ablated.name},", ablated.counts.correct, ablated.counts.seen
    for entered in confirmed:
        of, test = f"{entered.entry}, seed {entered.seed}", counts_of(entered.record["test"])
        found = {"test": test, "val": entered.val}
        found |= {f"val, epoch {record.epoch}": record.val for record in entered.epochs}
        for part, counts in found.items():
            if counts is not None:
                yield f"{of}, {part},", counts.correct, counts.seen


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
    readable = [*EARLIER_SCHEMAS, SCHEMA_VERSION]
    if (layout := manifest.get("schema")) not in readable:
        known = " and ".join(map(str, readable))
        newer = "; a newer version wrote it: upgrade" if is_newer(layout) else ""
        raise StudyFolderError(f"{path} is of layout {layout!r}; this version reads layouts {known}{newer}")
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
