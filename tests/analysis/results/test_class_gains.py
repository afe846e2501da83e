"""Class gains against plain loops over the CSV files."""

import csv
from collections.abc import Callable
from pathlib import Path
from statistics import mean

import pytest

from analysis.reading.study_folder import load_study
from analysis.results.class_gains import class_gains, mean_recalls

Simulated = Callable[..., Path]

SMALL = {"n_trials": 4, "n_pruned": 0, "n_failed": 0}


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_class_gains_are_paired_differences_of_recall_largest_class_first(simulated: Simulated) -> None:
    folder = simulated(**SMALL)
    gains = class_gains(load_study(folder), entries=("best1", "acckd"))
    assert gains["n_train"].tolist() == sorted(gains["n_train"], reverse=True)
    recall = {
        (row["entry"], row["seed"]): int(row["n_correct"]) / int(row["n_test"])
        for row in _rows(folder / "classes.csv")
        if row["class_id"] == "9"
    }
    seeds = {seed for entry, seed in recall if entry == "la"}
    expected = mean(recall["best1", seed] - recall["la", seed] for seed in seeds)
    row = gains[(gains["entry"] == "best1") & (gains["class_id"] == 9)].iloc[0]
    assert row["gain"] == pytest.approx(expected)
    assert row["low"] < row["gain"] < row["high"]
    assert row["group"] == "few"


def test_absent_entries_give_no_gains(simulated: Simulated) -> None:
    study = load_study(simulated(n_seeds=0, **SMALL))
    assert class_gains(study, entries=("best1",)).empty
    assert mean_recalls(study, entries=("best1",)).empty


def test_the_teachers_recall_has_no_spread(simulated: Simulated) -> None:
    recalls = mean_recalls(load_study(simulated(**SMALL)), entries=("teacher",))
    assert len(recalls) == 10
    assert recalls["sd"].isna().all()
    assert (recalls["n_seeds"] == 1).all()
