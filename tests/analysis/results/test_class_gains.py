"""Class gains against plain loops over the CSV files."""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analysis.reading.study_folder import load_study
from analysis.results.class_gains import (
    class_gains,
    count_bins,
    gains_by_count,
    mean_recalls,
    recalls_by_count,
    with_verdicts,
)

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


def _holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p of each, by his definition: the largest of (m - j + 1) p_(j) up to its own rank."""
    ranked = sorted(p_values)
    m = len(ranked)
    return [min(1.0, max((m - j) * ranked[j] for j in range(ranked.index(p) + 1))) for p in p_values]


def test_verdicts_rest_on_p_adjusted_over_the_classes_of_an_entry(simulated: Simulated) -> None:
    gains = class_gains(load_study(simulated(seed_sd=0.05, **SMALL)), entries=("best1", "acckd"))
    for _, rows in gains.groupby("entry"):
        expected = _holm(rows["p"].tolist())
        assert rows["p_holm"].tolist() == pytest.approx(expected)
        found = [
            "unclear" if p > 0.05 else "gain" if gain > 0 else "loss"
            for p, gain in zip(expected, rows["gain"], strict=True)
        ]
        assert rows["verdict"].tolist() == found
        assert set(found) >= {"gain", "unclear"}


def test_an_interval_that_excludes_0_is_not_enough_among_many_classes() -> None:
    p = stats.t.sf(3.0, 5) * 2
    gains = pd.DataFrame({"entry": "best1", "n": 6, "gain": 0.05, "p": [p, *[0.5] * 99]})
    assert p < 0.05
    assert set(with_verdicts(gains, pairs="n")["verdict"]) == {"unclear"}
    assert with_verdicts(gains.head(1), pairs="n")["verdict"].tolist() == ["gain"]


@pytest.mark.parametrize("n_seeds", [1, 2, 5])
def test_too_few_seeds_tell_no_class_apart(simulated: Simulated, n_seeds: int) -> None:
    gains = class_gains(load_study(simulated(n_seeds=n_seeds, **SMALL)), entries=("best1",))
    assert set(gains["verdict"]) == {"too few"}


@given(st.lists(st.tuples(st.integers(0, 5000), st.sampled_from(["many", "medium", "few", ""])), min_size=1))
def test_every_class_is_in_one_bin_of_its_group_with_all_classes_of_its_count(classes: list[tuple[int, str]]) -> None:
    counts, groups = zip(*classes, strict=True)
    bins = count_bins(counts, groups)
    assert sorted(class_id for one in bins for class_id in one.class_ids) == list(range(len(classes)))
    for one in bins:
        assert {groups[class_id] for class_id in one.class_ids} == {one.group}
        assert {counts[class_id] for class_id in one.class_ids} >= {one.n_from, one.n_to}
        assert all(one.n_from <= counts[class_id] <= one.n_to for class_id in one.class_ids)
        assert one.n_to / max(one.n_from, 1) < 2
    places = {(counts[class_id], one.group): one for one in bins for class_id in one.class_ids}
    assert len(places) == len(set(classes))
    assert [one.n_to for one in bins] == sorted((one.n_to for one in bins), reverse=True)


def test_the_gain_of_a_bin_is_that_of_the_mean_recall_of_its_classes(simulated: Simulated) -> None:
    folder = simulated(counts=(200, 190, 180, 54, 50, 22, 14, 9, 5, 4), **SMALL)
    study = load_study(folder)
    gains, recalls = gains_by_count(study, entries=("best1",)), recalls_by_count(study, entries=("best1", "teacher"))
    assert gains[["n_from", "n_to", "n_classes"]].to_numpy().tolist() == [
        [180, 200, 3], [50, 54, 2], [22, 22, 1], [14, 14, 1], [9, 9, 1], [4, 5, 2],
    ]  # fmt: skip
    recall = {
        (row["entry"], row["seed"], row["class_id"]): int(row["n_correct"]) / int(row["n_test"])
        for row in _rows(folder / "classes.csv")
    }
    seeds = sorted({seed for entry, seed, _ in recall if entry == "la"})
    means = {name: [mean(recall[name, seed, c] for c in "012") for seed in seeds] for name in ("best1", "la")}
    expected = stats.ttest_rel(means["best1"], means["la"])
    bounds = expected.confidence_interval()
    row = gains.iloc[0]
    assert row[["gain", "low", "high", "p"]].tolist() == pytest.approx(
        [np.mean(means["best1"]) - np.mean(means["la"]), bounds.low, bounds.high, expected.pvalue]
    )
    assert recalls.iloc[0][["recall", "sd"]].tolist() == pytest.approx(
        [np.mean(means["best1"]), np.std(means["best1"], ddof=1)]
    )
    assert recalls[recalls["entry"] == "teacher"]["sd"].isna().all()
