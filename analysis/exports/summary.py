"""What every place is told of a study: its result in numbers, and each trial's course."""

from collections.abc import Iterator
from contextlib import contextmanager
from math import isfinite
from typing import Any

import pandas as pd
from optuna.trial import FrozenTrial

from analysis.reading.study_data import Study, StudyFolderError
from analysis.results.ladder import BASELINES, BEST, ladder, paired_gain, rivals, scores


@contextmanager
def needing(package: str) -> Iterator[None]:
    """Around the import of a package that only one export needs.

    Raises:
        StudyFolderError: it is not installed; the message says what to install.
    """
    try:
        yield
    except ImportError as error:
        raise StudyFolderError(f"this export needs the package {package}: pip install {package}") from error


def results(study: Study) -> dict[str, float]:
    """Return test accuracies and gains (fractions) by name, e.g. 'best1/test_all', 'best1/over_la_low'."""
    found: dict[str, float] = {}
    for row in ladder(study):
        for column in ("all", "many", "medium", "few"):
            found[f"{row.entry}/test_{column}"] = row.cells[column].mean
        found[f"{row.entry}/n_seeds"] = float(row.n_seeds)
    table = scores(study)
    present = set(table["entry"])
    for baseline in dict.fromkeys((*BASELINES, *rivals(present))) if BEST in present else ():
        gain = paired_gain(table, BEST, baseline)
        found |= {f"{BEST}/over_{baseline}": gain.mean, f"{BEST}/over_{baseline}_low": gain.low}
        found[f"{BEST}/over_{baseline}_high"] = gain.high
    return {name: float(value) for name, value in found.items() if isfinite(value)}


def about(study: Study) -> dict[str, str]:
    """Return what the study was run on, as short texts."""
    data, teacher = study.manifest["data"], study.manifest["teacher"] or {}
    facts = {
        "space": study.space.name,
        "method": study.space.method,
        "data": data["spec"],
        "teacher": teacher.get("name"),
        "student": study.manifest.get("student", {}).get("name"),
        "status": study.manifest["status"],
        "command": study.manifest.get("command"),
        "git_commit": study.manifest.get("git_commit"),
    }
    return {name: str(value)[:500] for name, value in facts.items() if value}


def about_trial(trial: FrozenTrial) -> dict[str, str]:
    """Return a trial's state, what proposed it, and why it failed."""
    facts = {"state": trial.state.name, "kind": trial.user_attrs.get("kind"), "cause": trial.user_attrs.get("cause")}
    return {name: str(value)[:500] for name, value in facts.items() if value}


def course(table: pd.DataFrame, number: int) -> list[tuple[int, dict[str, float]]]:
    """Return (epoch, its finite numbers by column) of a trial, ascending."""
    rows = table[table["number"] == number].sort_values("epoch").to_dict("records")
    return [(int(row["epoch"]), _numbers(row)) for row in rows]


def _numbers(row: dict[Any, Any]) -> dict[str, float]:
    rest = {str(name): float(value) for name, value in row.items() if name not in ("number", "epoch")}
    return {name: value for name, value in rest.items() if isfinite(value)}
