"""The history of a search: one row per trial with the best value so far, counts by state, causes of failure."""

from collections import Counter
from collections.abc import Iterable

import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from analysis.reading.study_data import StudyData
from study.strategy.samplers import OPENINGS

STATES = ("COMPLETE", "PRUNED", "FAIL", "RUNNING")

_UNKNOWN = "no cause recorded"

#: Kinds of trial that are spread evenly over the space.
SPREAD = frozenset(OPENINGS) - {"reference"}


def history(study: StudyData) -> pd.DataFrame:
    """Return number, state, kind, value, epoch, best_so_far, duration_s, spent_s; one row per trial.

    `value` is the validation balanced accuracy after the last evaluated epoch (`epoch`), NaN before the first;
    `best_so_far` counts complete trials only, in order of trial number. `spent_s` is the training and evaluation time
    of all trials up to this one, whatever their state.
    """
    rows = []
    best = float("nan")
    for trial in study.trials:
        epoch, value = _last_value(trial)
        if trial.state == TrialState.COMPLETE:
            best = value if best != best else max(best, value)
        kind = str(trial.user_attrs.get("kind", ""))
        rows.append((trial.number, trial.state.name, kind, value, epoch, best, _duration(trial)))
    columns = ["number", "state", "kind", "value", "epoch", "best_so_far", "duration_s"]
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(spent_s=table["duration_s"].fillna(0.0).cumsum())


def time_to_best(table: pd.DataFrame) -> float:
    """Return the seconds spent until the best so far of a `history` was within 0.01 of its last value."""
    best = table["best_so_far"]
    return float(table.loc[best >= best.max() - 0.01, "spent_s"].min())


def state_counts(study: StudyData) -> dict[str, int]:
    """Return the number of trials in each of STATES."""
    counts = Counter(trial.state.name for trial in study.trials)
    return {state: counts[state] for state in STATES}


def failure_causes(study: StudyData) -> list[tuple[str, list[str]]]:
    """Return (cause, trial numbers), the most frequent cause first."""
    failed = [trial for trial in study.trials if trial.state == TrialState.FAIL]
    return _by_cause((str(trial.user_attrs.get("cause", _UNKNOWN)), str(trial.number)) for trial in failed)


def failed_runs(study: StudyData) -> list[tuple[str, list[str]]]:
    """Return (cause, names of runs) of the later phases, the most frequent cause first."""
    failures = study.manifest.get("failures")
    parts = [str(failure).partition(": ") for failure in failures] if isinstance(failures, list) else []
    return _by_cause((cause or _UNKNOWN, name) for name, _, cause in parts)


def pruned_at(study: StudyData) -> list[tuple[int, int]]:
    """Return (epoch, number of trials the pruner stopped there), earliest first."""
    epochs = Counter(
        trial.last_step for trial in study.trials if trial.state == TrialState.PRUNED and trial.last_step is not None
    )
    return sorted(epochs.items())


def _by_cause(failures: Iterable[tuple[str, str]]) -> list[tuple[str, list[str]]]:
    causes: dict[str, list[str]] = {}
    for cause, name in failures:
        causes.setdefault(cause, []).append(name)
    return sorted(causes.items(), key=lambda item: -len(item[1]))


def _last_value(trial: FrozenTrial) -> tuple[int | None, float]:
    last = trial.last_step
    if trial.state == TrialState.COMPLETE and trial.value is not None:
        return last, trial.value
    return last, trial.intermediate_values[last] if last is not None else float("nan")


def _duration(trial: FrozenTrial) -> float:
    recorded = trial.user_attrs.get("duration_s")
    if recorded is not None:
        return float(recorded)
    return trial.duration.total_seconds() if trial.duration is not None else float("nan")
