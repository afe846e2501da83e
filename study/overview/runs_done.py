"""What study.db holds of every phase, read with SQLite alone: importing Optuna would take a second.

The tables `studies`, `trials`, `trial_values` and `trial_user_attributes` are Optuna's, in the layout that it has had
since version 3. The others are those of `study.records.run_tables`.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, stdev

from study.records.rerun_names import ablation_name, candidate_entry, phase_of, rerun_name
from study.schema import BASELINE_PREFIX, KIND, STUDY_NAME, PhaseName, is_search, search_table, tuning_phase

#: Seconds to wait for a study.db that another program has locked.
_TIMEOUT_S = 2.0


@dataclass(frozen=True)
class Best:
    """The best configuration so far, judged on D_val.

    Attributes:
        trial: its Optuna trial number.
        value: mean balanced accuracy over its runs, a fraction.
        standard_error: of that mean; None for a single run.
        runs: fresh runs behind the mean; 0 where it is the trial's own value, the largest of many and so too high.
    """

    trial: int
    value: float
    standard_error: float | None
    runs: int


@dataclass
class RunsDone:
    """What a study.db holds.

    Attributes:
        done, failed: phase -> recorded runs (pruned trials too), and runs given up.
        unfinished: name -> epochs recorded, of each run that was started and has not ended: 'search-la trial 3', or a
            run of a later phase, whose epochs are not known before its end (None).
        best: None before a trial is complete.
    """

    done: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    unfinished: dict[str, int | None] = field(default_factory=dict)
    best: Best | None = None


def runs_done(database: Path, chosen: int | None) -> RunsDone:
    """Read a study.db in which a driver may write meanwhile.

    Args:
        database: the file.
        chosen: trial number of best1; None before the selection.

    Raises:
        sqlite3.Error: the file is missing, damaged, of another layout, or locked by another program.
    """
    with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True, timeout=_TIMEOUT_S)) as file:
        file.execute("BEGIN")  # one state of all tables
        return _read(file, chosen)


def _read(file: sqlite3.Connection, chosen: int | None) -> RunsDone:
    found = RunsDone()
    tables = {name for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    recorded: set[str] = set()
    for search in _searches(file):
        _read_trials(file, search, tables, found)
        selection = search_table("selection_runs", search)
        if selection in tables:
            keys = file.execute(f"SELECT seed, trial FROM {selection}").fetchall()
            recorded |= {rerun_name(candidate_entry(search), *key) for key in keys}
            found.done += Counter({_tuning(search) or PhaseName.SELECTION: len(keys)})
    if "confirm_runs" in tables:
        # A study of an earlier version confirmed on one cut, or at one length.
        known = {column[1] for column in file.execute("PRAGMA table_info(confirm_runs)")}
        of_cut = "data_seed" if "data_seed" in known else "0"
        of_length = "epochs_factor" if "epochs_factor" in known else "1"
        for entry, seed, trial, cut, factor in file.execute(
            f"SELECT entry, seed, trial, {of_cut}, {of_length} FROM confirm_runs WHERE seed IS NOT NULL"
        ):
            recorded.add(rerun_name(entry, seed, trial, cut, factor))
            found.done[PhaseName.LONGER if factor > 1 else PhaseName.CONFIRMATION] += 1
    if "ablation_runs" in tables:
        keys = file.execute("SELECT trial, kind, change, seed, judged_on FROM ablation_runs").fetchall()
        recorded |= {ablation_name(*key) for key in keys}
        found.done += Counter({PhaseName.ABLATION: sum(trial == chosen for trial, *_ in keys)})
    if "rerun_attempts" in tables:
        for name, failed in file.execute("SELECT name, failed FROM rerun_attempts"):
            if failed:
                found.failed[phase_of(name)] += 1
            elif name not in recorded:
                found.unfinished[name] = None
    found.best = _best(file, chosen)
    return found


def _read_trials(file: sqlite3.Connection, search: str, tables: set[str], found: RunsDone) -> None:
    phase = _tuning(search) or PhaseName.SEARCH
    epochs: Mapping[int, int] = {}
    if (records := search_table("epoch_records", search)) in tables:
        epochs = dict(file.execute(f"SELECT number, max(epoch) FROM {records} GROUP BY number"))
    for number, (_, state) in enumerate(_trials(file, search)):
        if state in ("COMPLETE", "PRUNED"):
            found.done[phase] += 1
        elif state == "FAIL":
            found.failed[phase] += 1
        else:
            found.unfinished[f"{phase} trial {number}"] = epochs.get(number, 0)


def _best(file: sqlite3.Connection, chosen: int | None) -> Best | None:
    """Return best1 with its fresh runs; before the selection, the complete trial with the highest value."""
    if chosen is not None:
        records = file.execute("SELECT record FROM selection_runs WHERE trial = ?", (chosen,)).fetchall()
        if values := [_balanced_accuracy(json.loads(record)) for (record,) in records]:
            error = stdev(values) / len(values) ** 0.5 if len(values) > 1 else None
            return Best(chosen, mean(values), error, len(values))
    values_of = dict(file.execute("SELECT trial_id, value FROM trial_values WHERE objective = 0"))
    complete = [
        (values_of[trial], -number)
        for number, (trial, state) in enumerate(_trials(file, STUDY_NAME))
        if state == "COMPLETE" and trial in values_of and chosen in (None, number)
    ]
    if not complete:
        return None
    value, number = max(complete)
    return Best(-number, value, standard_error=None, runs=0)


def _trials(file: sqlite3.Connection, search: str) -> list[tuple[int, str]]:
    """Return ID and state of each trial of a search, by our number; trials of other programs lack KIND."""
    return file.execute(
        "SELECT trial_id, state FROM trials JOIN studies USING (study_id) JOIN trial_user_attributes USING (trial_id) "
        "WHERE study_name = ? AND key = ? ORDER BY number",
        (search, KIND),
    ).fetchall()


def _searches(file: sqlite3.Connection) -> Iterator[str]:
    for (name,) in file.execute("SELECT study_name FROM studies ORDER BY study_id"):
        if is_search(name):  # its name becomes a part of names of tables
            yield name


def _tuning(search: str) -> str | None:
    """Return the phase that tunes the baseline of a search; None for the search of the studied method."""
    return None if search == STUDY_NAME else tuning_phase(search.removeprefix(BASELINE_PREFIX))


def _balanced_accuracy(counts: Mapping[str, list[int]]) -> float:
    pairs = zip(counts["correct"], counts["seen"], strict=True)
    return mean(correct / seen for correct, seen in pairs if seen)
