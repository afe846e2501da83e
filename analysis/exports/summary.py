"""The content that exports share: the result of a study in numbers, its facts, and the epochs of each trial."""

from math import isfinite
from typing import Any

import pandas as pd
from optuna.trial import FrozenTrial

from analysis.reading.study_data import StudyData
from analysis.reading.wording import stamp
from analysis.results.accuracies import scores
from analysis.results.claim_sentences import fate_text
from analysis.results.comparisons import paired_gain
from analysis.results.entries import BASELINES, BEST, compared_entries
from analysis.results.ladder import ladder
from analysis.results.training_length import check_length
from study.schema import GROUPS


def results(study: StudyData) -> dict[str, float]:
    """Return test accuracies and gains (fractions) by name, e.g. 'best1/test_all', 'best1/over_la_low'.

    'best1/over_la_longer' is the gain at the longer training of 'longer_epochs' epochs, where there is one.
    """
    found: dict[str, float] = {}
    for row in ladder(study):
        for column in ("all", *GROUPS):
            found[f"{row.entry}/test_{column}"] = row.cells[column].mean
        found[f"{row.entry}/n_seeds"] = float(row.n_seeds)
    table = scores(study)
    present = set(table["entry"])
    for baseline in dict.fromkeys((*BASELINES, *compared_entries(present))) if BEST in present else ():
        gain = paired_gain(table, BEST, baseline)
        found |= {f"{BEST}/over_{baseline}": gain.mean, f"{BEST}/over_{baseline}_low": gain.low}
        found[f"{BEST}/over_{baseline}_high"] = gain.high
    check = check_length(study)
    if check.factor > 1:
        found["longer_epochs"] = float(check.longer_epochs)
    for longer in check.gains:
        name = f"{longer.entry}/over_{longer.baseline}_longer"
        found |= {name: longer.longer.mean, f"{name}_low": longer.longer.low, f"{name}_high": longer.longer.high}
    return {name: float(value) for name, value in found.items() if isfinite(value)}


def about(study: StudyData) -> dict[str, str]:
    """Return the facts of the study's setup as short texts, and what limits its numbers."""
    check = check_length(study)
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
        "stamp": stamp(study.manifest),
        "still_climbs": ", ".join(check.climbing()),
        **{
            f"gain_over_{gain.baseline}": fate_text(gain, check)
            if check.claims(gain.baseline)
            else "no gain is claimed"
            for gain in check.gains
        },
    }
    return {name: str(value)[:500] for name, value in facts.items() if value}


def about_trial(trial: FrozenTrial) -> dict[str, str]:
    """Return a trial's state, the kind of its proposal, and the cause of its failure."""
    facts = {"state": trial.state.name, "kind": trial.user_attrs.get("kind"), "cause": trial.user_attrs.get("cause")}
    return {name: str(value)[:500] for name, value in facts.items() if value}


def epochs_of(table: pd.DataFrame, number: int) -> list[tuple[int, dict[str, float]]]:
    """Return (epoch, its finite numbers by column) of a trial, in ascending order."""
    rows = table[table["number"] == number].sort_values("epoch").to_dict("records")
    return [(int(row["epoch"]), _numbers(row)) for row in rows]


def _numbers(row: dict[Any, Any]) -> dict[str, float]:
    rest = {str(name): float(value) for name, value in row.items() if name not in ("number", "epoch")}
    return {name: value for name, value in rest.items() if isfinite(value)}
