"""The published tables, with the columns that study/schema.py names: first as rows, then as files."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import Any

from search_spaces.space import SearchSpace
from study import schema
from study.records.rerun_names import ablation_name
from study.records.run_tables import AblationRun, ConfirmRun, RerunAttempts, SelectionRun, counts_of
from study.records.search_reader import SearchReader
from study.records.trial_rows import TrialRow
from trainables.cckd.confidence import ConfidenceBins, expected_calibration_error
from trainables.cckd.files.atomic import replacing, write_text
from trainables.cckd.losses.terms import LOSSES
from trainables.cckd.metrics import accuracy, balanced_accuracy, group_accuracy, harmonic_mean, worst_recall
from trainables.cckd.records import ClassCounts, EpochRecord

_INTEGERS = {"number", "epoch", "seed", "data_seed", "epochs_factor"}
_TEXTS = {"entry"}

Groups = Mapping[str, Sequence[int]]


@dataclass(frozen=True)
class Table:
    """Column names in order, and rows with these keys; a missing key is a missing value."""

    columns: tuple[str, ...]
    rows: tuple[Mapping[str, Any], ...]


def trials_table(rows: Sequence[TrialRow], space: SearchSpace, groups: Groups) -> Table:
    """Return trials.csv: one row per trial; the field of an inactive knob is empty."""
    knobs = [schema.KNOB_PREFIX + name for name in space.distributions]
    guarded = schema.TRIALS_GUARDED if any(row.keeps_guards is not None for row in rows) else {}
    columns = (*schema.TRIALS_HEAD, *knobs, *schema.TRIALS_TAIL, *guarded)
    return Table(columns, tuple(_trial(row, groups) for row in rows))


def epochs_table(rows: Sequence[TrialRow], runs: Sequence[ConfirmRun], groups: Groups) -> Table:
    """Return epochs.parquet: one row per epoch of a trial, then of a run of the confirmation.

    It has one column per loss term of any of them.
    """
    known: list[tuple[dict[str, Any], Sequence[EpochRecord]]] = [({"number": row.number}, row.records) for row in rows]
    known += [({**_run_key(run), "epochs_factor": run.epochs_factor}, run.epochs) for run in runs]
    found = {term for _, records in known for record in records for term in record.losses} | {"total"}
    terms = [*(term for term in LOSSES if term in found), *sorted(found - LOSSES.keys())]
    columns = (*schema.EPOCHS_HEAD, *(schema.LOSS_PREFIX + term for term in terms), *schema.EPOCHS_TAIL)
    entries = [
        {
            **key,
            "epoch": record.epoch,
            **{schema.LOSS_PREFIX + term: value for term, value in record.losses.items()},
            "lr": record.lr,
            **_rates(record.val, groups, "val_", "val_balanced_accuracy"),
            "train_s": record.train_s,
            "eval_s": record.eval_s,
        }
        for key, records in known
        for record in records
    ]
    return Table(columns, tuple(entries))


def finalists_table(runs: Sequence[SelectionRun], rows: Sequence[TrialRow]) -> Table:
    """Return finalists.csv: one row per selection run, with the value of its trial in the search."""
    searched = {row.number: balanced_accuracy(row.val) for row in rows if row.val is not None}
    entries = [(run.trial, run.seed, balanced_accuracy(run.val), searched.get(run.trial)) for run in runs]
    return _table(schema.FINALISTS, entries)


def baselines_table(ledgers: Mapping[str, SearchReader], groups: Groups) -> Table:
    """Return baselines.csv: one row per trial of a tuned baseline, with the results of its selection runs."""
    entries: list[dict[str, Any]] = []
    for baseline, ledger in ledgers.items():
        fresh: dict[int, list[float]] = {}
        for run in ledger.runs.selection_runs():
            fresh.setdefault(run.trial, []).append(balanced_accuracy(run.val))
        for row in ledger.rows():
            again = fresh.get(row.number, [])
            mean = sum(again) / len(again) if again else None
            known = {"fresh_val_balanced_accuracy": mean, "fresh_runs": len(again)}
            entries.append({"baseline": baseline, **_trial(row, groups), **known})
    names = dict.fromkeys(name for ledger in ledgers.values() for name in ledger.space.distributions)
    guarded = schema.TRIALS_GUARDED if any("keeps_guards" in entry for entry in entries) else {}
    head = (*schema.BASELINES_HEAD, *schema.TRIALS_HEAD, *(schema.KNOB_PREFIX + name for name in names))
    return Table((*head, *schema.TRIALS_TAIL, *guarded, *schema.BASELINES_TAIL), tuple(entries))


def confirm_table(runs: Sequence[ConfirmRun], groups: Groups) -> Table:
    """Return confirm.csv. A run's record holds `test` ({correct, seen}), `selected_on`, and its epochs.

    `test` also holds `bins`, the fields of ConfidenceBins, except in runs of earlier versions.
    """
    return Table(tuple(schema.CONFIRM), tuple(_confirmed(run, groups) for run in runs))


def classes_table(runs: Sequence[ConfirmRun], class_names: Sequence[str], n_train: Sequence[int]) -> Table:
    """Return classes.csv: one row per (entry, seed, class) with the confirmation's test counts."""
    entries = [
        (run.entry, run.seed, run.data_seed, class_id, *of_class, run.epochs_factor)
        for run in runs
        for class_id, of_class in enumerate(
            zip(class_names, n_train, run.record["test"]["seen"], run.record["test"]["correct"], strict=True)
        )
    ]
    return _table(schema.CLASSES, entries)


def confusion_table(runs: Sequence[ConfirmRun]) -> Table:
    """Return confusion.csv: one row per (entry, seed, true class, predicted class) of the runs that have it."""
    entries = [
        (run.entry, run.seed, run.data_seed, *cell, run.epochs_factor)
        for run in runs
        for cell in run.record["test"].get("confusion", ())
    ]
    return _table(schema.CONFUSION, entries)


def separability_table(runs: Sequence[ConfirmRun]) -> Table:
    """Return separability.csv: one row per (entry, seed, class) of the runs that have such distances."""
    entries = [
        (run.entry, run.seed, run.data_seed, class_id, *distances, run.epochs_factor)
        for run in runs
        if (found := run.record.get("separability"))
        for class_id, distances in enumerate(zip(found["deviation"], found["intra"], found["inter"], strict=True))
    ]
    return _table(schema.SEPARABILITY, entries)


def ablation_table(
    runs: Sequence[AblationRun],
    attempts: Mapping[str, RerunAttempts],
    ablated: Mapping[str, Any] | None,
    groups: Groups,
) -> Table:
    """Return ablation.csv: the ended runs of the best1 ablated last, change by change, then seed by seed.

    Args:
        runs: of every best1.
        attempts: at the runs, by name.
        ablated: what is trained, as study.json has it under `schema.ABLATED`; None where nothing is.
        groups: name -> class ids.
    """
    plan = ablated or {"trial": None, "changes": (), "seeds": ()}
    trial = plan["trial"]
    found = {run.name: run for run in runs if run.trial == trial}
    changes = ({"kind": schema.BEST, "name": schema.BEST, "value": None, "reference": None}, *plan["changes"])
    entries = []
    for judged_on in ("val", "test"):
        for change in changes:
            for seed in plan["seeds"]:
                key = {"kind": change["kind"], "change": change["name"], "seed": seed, "judged_on": judged_on}
                name = ablation_name(trial, **key)
                run, attempt = found.get(name), attempts.get(name, RerunAttempts())
                if run is not None or attempt.failed:
                    cause = attempt.cause if run is None else None
                    rates = {} if run is None else _rates(run.counts, groups, "", "balanced_accuracy")
                    of_knob = {"value": change["value"], "reference": change["reference"]}
                    entries.append({**key, **rates, "cause": cause, "trial": trial, **of_knob})
    return Table(tuple(schema.ABLATION), tuple(entries))


def write_csv(path: Path, table: Table) -> None:
    """Write `table` as CSV; a missing value or NaN is an empty field, and numbers have full precision."""
    text = io.StringIO()
    writer = csv.DictWriter(text, table.columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _field(value) for key, value in row.items()} for row in table.rows)
    write_text(path, text.getvalue())


def write_parquet(path: Path, table: Table) -> None:
    """Write a `table` as Parquet; a missing value is null, and a NaN (a diverged loss) stays NaN."""
    import pyarrow as pa
    from pyarrow import parquet

    known = {**dict.fromkeys(_INTEGERS, pa.int64()), **dict.fromkeys(_TEXTS, pa.string())}
    kinds = {name: known.get(name, pa.float64()) for name in table.columns}
    columns = {name: pa.array([row.get(name) for row in table.rows], type=kind) for name, kind in kinds.items()}
    with replacing(path) as beside:
        parquet.write_table(pa.table(columns), beside)


def _table(columns: Iterable[str], entries: Iterable[tuple[Any, ...]]) -> Table:
    """Return a table whose entries have a value for every column, in order."""
    names = tuple(columns)
    return Table(names, tuple(dict(zip(names, entry, strict=True)) for entry in entries))


def _trial(row: TrialRow, groups: Groups) -> dict[str, Any]:
    return {
        "number": row.number,
        "state": row.state,
        "cause": row.cause,
        **{schema.KNOB_PREFIX + name: value for name, value in row.params.items()},
        "epochs": len(row.records),
        **_rates(row.val, groups, "val_", "val_balanced_accuracy_last"),
        "duration_s": row.duration_s,
        "attempts": row.attempts,
        "seed": row.seed,
        "stopped": row.stopped,
        "pruned_value": row.verdict.value if row.verdict else None,
        "pruned_threshold": row.verdict.threshold if row.verdict else None,
        **({} if row.keeps_guards is None else {"keeps_guards": int(row.keeps_guards)}),
    }


def _confirmed(run: ConfirmRun, groups: Groups) -> dict[str, Any]:
    test, val = counts_of(run.record["test"]), run.val
    bins = run.record["test"].get("bins")
    return {
        **_run_key(run),
        **_rates(test, groups, "test_", "test_balanced_accuracy"),
        "test_accuracy": accuracy(test),
        "selected_on": run.record["selected_on"],
        "val_balanced_accuracy": None if val is None else balanced_accuracy(val),
        "trial": run.trial,
        "test_worst": worst_recall(test),
        "test_harmonic": harmonic_mean(test),
        "test_ece": None if bins is None else expected_calibration_error(ConfidenceBins(**bins)),
        "epochs_factor": run.epochs_factor,
    }


def _run_key(run: ConfirmRun) -> dict[str, Any]:
    return {"entry": run.entry, "seed": run.seed, "data_seed": run.data_seed}


def _rates(counts: ClassCounts | None, groups: Groups, prefix: str, balanced: str) -> dict[str, float | None]:
    """Return the balanced accuracy and the mean recall of each group; None for a group without classes."""
    if counts is None:
        return {}
    by_group = {f"{prefix}{name}": group_accuracy(counts, ids).value for name, ids in groups.items()}
    rates = {balanced: balanced_accuracy(counts), **by_group}
    return {name: None if isnan(rate) else rate for name, rate in rates.items()}


def _field(value: Any) -> Any:
    return "" if value is None or (isinstance(value, float) and isnan(value)) else value
