"""The ladder's numbers against plain loops over the CSV files."""

import csv
import json
from collections.abc import Callable
from math import isnan
from pathlib import Path
from statistics import harmonic_mean, mean, stdev

import pytest

from analysis.reading.study_folder import load_study
from analysis.results.accuracies import class_recalls, scores, training_noise
from analysis.results.comparisons import claim_terms, paired_gain, primary_family
from analysis.results.ladder import ladder
from analysis.stats.paired_tests import paired_interval
from tests.analysis.simulation import drop_runs, fail_run, rewriting

Simulated = Callable[..., Path]
SMALL = {"n_trials": 4, "n_pruned": 0, "n_failed": 0}


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_a_row_has_the_mean_and_sd_over_seeds(simulated: Simulated) -> None:
    folder = simulated(**SMALL)
    expected = [float(row["test_few"]) for row in _rows(folder / "confirm.csv") if row["entry"] == "kd"]
    row = next(row for row in ladder(load_study(folder)) if row.entry == "kd")
    assert row.n_seeds == 6
    assert (row.cells["few"].mean, row.cells["few"].sd) == pytest.approx((mean(expected), stdev(expected)))


def test_terciles_are_means_of_class_recalls(simulated: Simulated) -> None:
    folder = simulated(**SMALL)
    study = load_study(folder)
    lowest = set(map(str, study.groups["tercile_low"]))
    per_seed: dict[str, list[float]] = {}
    for row in _rows(folder / "classes.csv"):
        if row["entry"] == "la" and row["class_id"] in lowest:
            per_seed.setdefault(row["seed"], []).append(int(row["n_correct"]) / int(row["n_test"]))
    expected = mean(mean(recalls) for recalls in per_seed.values())
    row = next(row for row in ladder(study) if row.entry == "la")
    assert row.cells["tercile_low"].mean == pytest.approx(expected)


def test_worst_harmonic_and_ece_are_means_over_seeds_of_what_each_run_reached(simulated: Simulated) -> None:
    folder = simulated(**SMALL)
    recalls: dict[str, list[float]] = {}
    for row in _rows(folder / "classes.csv"):
        if row["entry"] == "kd":
            recalls.setdefault(row["seed"], []).append(int(row["n_correct"]) / int(row["n_test"]))
    row = next(row for row in ladder(load_study(folder)) if row.entry == "kd")
    assert row.cells["worst"].mean == pytest.approx(mean(map(min, recalls.values())))
    assert row.cells["harmonic"].mean == pytest.approx(mean(map(harmonic_mean, recalls.values())))
    # The simulated students are sure of every image by 90 %.
    assert row.cells["ece"].mean == pytest.approx(mean(abs(mean(values) - 0.9) for values in recalls.values()))


def test_runs_of_an_earlier_version_have_no_calibration_error(simulated: Simulated) -> None:
    folder = simulated(**SMALL)
    with rewriting(folder) as ledger:
        ledger._database.connection.execute("UPDATE confirm_runs SET record = json_remove(record, '$.test.bins')")
    cells = ladder(load_study(folder))[1].cells
    assert (cells["ece"].n, cells["worst"].n) == (0, 6)


def test_entries_stand_in_the_ladders_order(simulated: Simulated) -> None:
    entries = [row.entry for row in ladder(load_study(simulated(**SMALL)))]
    assert entries == ["teacher", "ce", "la", "kd", "cckd", "acckd_no_fi", "acckd", "best1"]


def test_la_and_the_teacher_have_no_gain_over_la(simulated: Simulated) -> None:
    without = [row.entry for row in ladder(load_study(simulated(**SMALL))) if "la" not in row.gains]
    assert without == ["teacher", "la"]


def test_gains_are_paired_by_seed_not_by_row(simulated: Simulated) -> None:
    table = scores(load_study(simulated(**SMALL)))
    shuffled = table.sample(frac=1, random_state=1)
    ours, expected = paired_gain(shuffled, "best1", "la"), paired_gain(table, "best1", "la")
    assert (ours.mean, ours.sd) == pytest.approx((expected.mean, expected.sd))


def test_a_seed_that_only_one_side_has_is_left_out(simulated: Simulated) -> None:
    table = scores(load_study(simulated(**SMALL)))
    cut = table[~((table["entry"] == "la") & (table["seed"] == 1001))]
    assert paired_gain(cut, "best1", "la").n == 5


def test_an_empty_group_is_nan_with_n_0(simulated: Simulated) -> None:
    study = load_study(simulated(classes=("a", "b", "c"), counts=(90, 60, 30), **SMALL))
    cell = ladder(study)[2].cells["few"]
    assert cell.n == 0
    assert isnan(cell.mean)


def test_the_primary_family_needs_the_searched_entry(simulated: Simulated) -> None:
    study = load_study(simulated(**SMALL))
    table, terms = scores(study), claim_terms(study)
    assert [item.baseline for item in primary_family(table, terms)] == ["la", "kd"]
    assert primary_family(table[table["entry"] != "best1"], terms) == ()


@pytest.mark.parametrize("dropped", ["", "entry = 'ce' AND seed > 1002", "entry IN ('kd', 'la') AND seed > 1001"])
def test_training_noise_is_pooled_over_the_entries_by_their_degrees(simulated: Simulated, dropped: str) -> None:
    folder = simulated(**SMALL)
    if dropped:
        drop_runs(folder, dropped)
    by_entry: dict[str, list[float]] = {}
    for row in _rows(folder / "confirm.csv"):
        if row["entry"] != "teacher":
            by_entry.setdefault(row["entry"], []).append(float(row["val_balanced_accuracy"]))
    known = [values for values in by_entry.values() if len(values) > 1]
    squares = sum((len(values) - 1) * stdev(values) ** 2 for values in known)
    expected = (squares / sum(len(values) - 1 for values in known)) ** 0.5
    assert training_noise(load_study(folder)) == pytest.approx(expected)


def test_a_class_without_test_images_has_no_recall(simulated: Simulated) -> None:
    folder = simulated(**SMALL)
    with rewriting(folder) as ledger:
        record = ledger.runs.confirm_runs()[0].record
        record["test"]["seen"][0] = record["test"]["correct"][0] = 0
        del record["test"]["bins"]  # they hold the images of this class too
        ledger._database.connection.execute("UPDATE confirm_runs SET record = ? WHERE rowid = 1", (json.dumps(record),))
    assert class_recalls(load_study(folder))["recall"].isna().sum() == 1


def test_an_entry_that_lost_its_run_on_the_own_subset_keeps_its_row(simulated: Simulated) -> None:
    folder = simulated(n_cuts=6, n_seeds=1, **SMALL)
    drop_runs(folder, "entry = 'ce' AND data_seed = 0")
    (row,) = (row for row in ladder(load_study(folder)) if row.entry == "ce")
    assert (row.n_subsets, row.n_missing, row.selected_on) == (5, 1, "reference")


def test_equal_differences_of_a_group_have_the_resolution_of_its_counts(simulated: Simulated) -> None:
    study = load_study(simulated(seed_sd=0.0, **SMALL))
    table, n_few = scores(study), len(study.groups["few"])
    gain = paired_gain(table, "best1", "la", column="few")
    rounding = (2 / 12 / n_few) ** 0.5 / 300  # of two means over the classes, each of 300 test images
    assert gain == paired_interval([gain.mean] * 6, resolution=rounding)
    assert gain.low < gain.mean < gain.high


def test_a_diverged_run_counts_at_chance_in_its_row_and_a_lost_one_is_missing(simulated: Simulated) -> None:
    folder = simulated(**SMALL)
    finished = [float(row["test_few"]) for row in _rows(folder / "confirm.csv") if row["entry"] == "kd"]
    kept = [value for value, seed in zip(finished, range(1001, 1007), strict=True) if seed != 1002]
    fail_run(folder, "kd", 1002, "non-finite loss: it became nan")
    fail_run(folder, "best1", 1004, "hung: no report in 1800 s")
    drop_runs(folder, "entry = 'ce' AND seed > 1004")
    rows = {row.entry: row for row in ladder(load_study(folder))}
    noted = {name: (row.n_seeds, row.n_diverged, row.n_missing) for name, row in rows.items()}
    assert noted["kd"] == (6, 1, 0)
    assert noted["best1"] == (5, 0, 1)
    assert noted["ce"] == (4, 0, 2)
    assert {noted[name] for name in ("la", "cckd", "acckd")} == {(6, 0, 0)}
    assert noted["teacher"] == (1, 0, 0)
    assert rows["kd"].cells["few"].mean == pytest.approx(mean([*kept, 0.1]))
    assert rows["kd"].cells["tercile_low"].sd > 0.1
    assert rows["kd"].gains["la"].n == 6
    assert rows["kd"].cells["ece"].n == 5, "chance has no confidence"
