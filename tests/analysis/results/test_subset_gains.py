"""Reports of studies confirmed on several subsets of the long tail, against plain loops over the CSV files."""

import csv
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev

import pandas as pd
import pytest

from analysis.reading.study_data import StudyData
from analysis.reading.study_folder import load_study
from analysis.report import build_report
from analysis.results.accuracies import claims_by_subset, scores
from analysis.results.class_gains import class_gains, mean_recalls
from analysis.results.comparisons import claim_terms, primary_family
from analysis.results.findings import Findings, find
from analysis.results.ladder import ladder
from analysis.results.subset_gains import class_gains_over_subsets, subset_gains, subset_means, teacher_over_subsets
from analysis.search.importance import Importances
from analysis.stats.paired_tests import paired_interval
from search_spaces.acckd import ACCKD_SMOKE
from tests.analysis.simulation import RECALLS, drop_runs

#: The baselines in the words of a headline.
OF_LA = "logit adjustment (la)"
OF_KD = "logit adjustment with classic distillation (kd)"

Simulated = Callable[..., Path]
SMALL = {"n_trials": 4, "n_pruned": 0, "n_failed": 0, "seed_sd": 0.004, "cut_sd": 0.01}
#: What a study of few subsets and one of enough of them look like.
FEW, ENOUGH = {"n_cuts": 3, **SMALL}, {"n_cuts": 6, "n_seeds": 2, **SMALL}


def _find(study: StudyData) -> Findings:
    return find(study, Importances(pd.DataFrame(), 6, ()))


def _reference_differences(folder: Path, entry: str, baseline: str) -> dict[str, list[float]]:
    """Cut -> differences of test balanced accuracy, paired by seed."""
    with (folder / "confirm.csv").open(newline="") as lines:
        runs = {
            (row["entry"], row["data_seed"], row["seed"]): float(row["test_balanced_accuracy"])
            for row in csv.DictReader(lines)
        }
    found: dict[str, list[float]] = {}
    for (name, subset, seed), value in runs.items():
        if name == entry:
            found.setdefault(subset, []).append(value - runs[baseline, subset, seed])
    return found


@pytest.mark.parametrize("n_cuts", [1, 5])
def test_few_subsets_leave_the_claims_to_the_studys_own(simulated: Simulated, n_cuts: int) -> None:
    folder = simulated(**FEW | {"n_cuts": n_cuts})
    study = load_study(folder)
    assert not claims_by_subset(study)
    interval = primary_family(scores(study), claim_terms(study))[0].interval
    assert interval == paired_interval(_reference_differences(folder, "best1", "la")["0"])
    assert interval.n == 6


def test_six_subsets_carry_the_claims_each_counting_once(simulated: Simulated) -> None:
    folder = simulated(**ENOUGH)
    study = load_study(folder)
    assert claims_by_subset(study)
    means = [mean(values) for values in _reference_differences(folder, "best1", "kd").values()]
    comparison = next(item for item in primary_family(scores(study), claim_terms(study)) if item.baseline == "kd")
    assert comparison.interval.n == 6
    assert (comparison.interval.mean, comparison.interval.sd) == pytest.approx((mean(means), stdev(means)))


def test_six_subsets_of_which_a_baseline_misses_one_carry_none(simulated: Simulated) -> None:
    folder = simulated(**ENOUGH)
    drop_runs(folder, "entry = 'kd' AND data_seed = 5")
    assert not claims_by_subset(load_study(folder))


def test_a_run_that_one_side_misses_drops_its_pair_not_its_subset(simulated: Simulated) -> None:
    folder = simulated(**ENOUGH)
    expected = _reference_differences(folder, "best1", "la")
    expected["4"] = expected["4"][1:]
    drop_runs(folder, f"entry = 'la' AND seed = {4 * 10**13 + 1001}")
    study = load_study(folder)
    found = primary_family(scores(study), claim_terms(study))[0].interval
    assert found.mean == pytest.approx(mean(mean(values) for values in expected.values()))
    assert found.n == 6


def test_gains_stand_over_the_own_subset_and_over_all(simulated: Simulated) -> None:
    folder = simulated(**FEW)
    gains = {(gain.entry, gain.baseline): gain for gain in subset_gains(load_study(folder))}
    assert set(gains) == {(entry, "la") for entry in ("ce", "kd", "cckd", "acckd_no_fi", "acckd", "best1")} | {
        ("best1", "kd")
    }
    expected = _reference_differences(folder, "acckd", "la")
    means = [mean(values) for values in expected.values()]
    gain = gains["acckd", "la"]
    assert gain.own == paired_interval(expected["0"])
    assert (gain.subsets.over_subsets.n, gain.subsets.n_runs) == (3, 18)
    assert (gain.subsets.over_subsets.mean, gain.subsets.lowest, gain.subsets.highest) == pytest.approx(
        (mean(means), min(means), max(means))
    )


def test_the_figures_numbers_are_a_row_a_subset_and_one_over_all(simulated: Simulated) -> None:
    folder = simulated(**FEW)
    rows = subset_means(load_study(folder))
    assert [None if pd.isna(subset) else subset for subset in rows["data_seed"]] == [0, 1, 2, None] * 2
    expected = _reference_differences(folder, "best1", "la")
    assert rows["gain"].tolist()[:3] == pytest.approx([mean(values) for values in expected.values()])
    assert rows["n"].tolist() == [6, 6, 6, 3] * 2


def test_class_gains_over_subsets_are_means_of_subset_means(simulated: Simulated) -> None:
    folder = simulated(**FEW)
    study = load_study(folder)
    with (folder / "classes.csv").open(newline="") as lines:
        recall = {
            (row["entry"], row["data_seed"], row["seed"]): int(row["n_correct"]) / int(row["n_test"])
            for row in csv.DictReader(lines)
            if row["class_id"] == "9"
        }
    means = [
        mean(recall[key] - recall["la", *key[1:]] for key in recall if key[:2] == ("best1", str(subset)))
        for subset in range(3)
    ]
    row = class_gains_over_subsets(study, entries=("best1",)).iloc[-1]
    assert (row["class_id"], row["n_cuts"], row["n_runs"], row["n_train"]) == (9, 3, 18, 4)
    assert (row["gain"], row["lowest"], row["highest"]) == pytest.approx((mean(means), min(means), max(means)))
    own = class_gains(study, entries=("best1",)).iloc[-1]
    assert own["gain"] == pytest.approx(means[0])


def test_recalls_are_those_that_the_claims_rest_on(simulated: Simulated) -> None:
    few = mean_recalls(load_study(simulated(**FEW)), entries=("best1", "teacher"))
    assert few["n_seeds"].tolist() == [6, 1] * 10


def test_recalls_of_enough_subsets_are_means_of_subset_means(simulated: Simulated) -> None:
    enough = mean_recalls(load_study(simulated(**ENOUGH)), entries=("best1", "teacher"))
    assert enough["n_seeds"].tolist() == [12, 6] * 10
    assert enough["sd"].notna().all(), "the teacher is fitted on every cut"


def test_the_teacher_has_a_result_a_subset(simulated: Simulated) -> None:
    assert teacher_over_subsets(load_study(simulated(**FEW))).n == 3


def test_a_few_subsets_are_described_and_said_to_carry_no_claim(simulated: Simulated) -> None:
    said = _find(load_study(simulated(**FEW))).sentences
    (over,) = [sentence for sentence in said if "subsets of the long tail" in sentence]
    assert over.startswith("On several subsets of the long tail, best1 has these mean differences: +")
    assert over.count(" over 3 subsets (95 % interval ") == 2
    assert "This is not tested" in over
    assert "A claim beyond it needs 6 subsets" in over
    assert "(mean of 6 seeds)" in said[0]
    assert said[-1].startswith("Every interval over seeds is conditional on one training subset")


def test_each_comparison_has_its_own_number_of_subsets(simulated: Simulated) -> None:
    folder = simulated(**FEW | {"n_cuts": 2})
    drop_runs(folder, "entry = 'kd' AND data_seed = 1")
    (over,) = [said for said in _find(load_study(folder)).sentences if said.startswith("On several subsets")]
    assert " points to la over 2 subsets (95 % interval " in over
    assert " points to kd over 1 subset (n too small for an interval; by subset +" in over


def test_equal_differences_are_no_certain_gain_over_subsets_either(simulated: Simulated) -> None:
    study = load_study(simulated(**FEW | {"seed_sd": 0.0, "cut_sd": 0.0}))
    classes = class_gains_over_subsets(study, entries=("best1",))
    for table in (subset_means(study), classes):
        assert (table["low"] < table["gain"]).all()
        assert (table["gain"] < table["high"]).all()
    assert all(gain.subsets.over_subsets.low < gain.subsets.over_subsets.mean for gain in subset_gains(study))


def test_enough_subsets_change_what_the_intervals_cover(simulated: Simulated) -> None:
    study = load_study(simulated(**ENOUGH))
    found = _find(study)
    assert found.headline == f"A gain over {OF_LA} and {OF_KD} at 20 epochs, not checked at more"
    assert "(mean of 6 subsets of the long tail)" in found.sentences[0]
    assert "conditional on one training subset" not in " ".join(found.sentences)
    assert "covers the chance of training (initial weights, order, mixing). It also covers" in found.sentences[-1]
    row = next(row for row in ladder(study) if row.entry == "best1")
    assert (row.n_subsets, row.n_seeds, row.cells["all"].n) == (6, 2, 6)


LONGER = {name: RECALLS[name] for name in ("la", "kd", "best1")}


def test_beside_a_claim_over_subsets_a_fate_is_said_to_be_of_the_own_subset(simulated: Simulated) -> None:
    study = load_study(simulated(**ENOUGH, longer=LONGER | {"best1": (0.83, 0.56)}))
    found = _find(study)
    own = "on the study's own subset"
    assert found.headline.endswith(f" at 40 epochs {own}")
    assert "; shrinks at 40 epochs, own subset)" in found.sentences[0]
    told = [said for said in found.sentences if said.startswith("The gain over ")]
    assert len(told) == 2
    assert all(f" at 40 epochs {own}: " in said for said in told)


def test_a_study_of_one_subset_does_not_speak_of_its_own(simulated: Simulated) -> None:
    alone = _find(load_study(simulated(**ENOUGH | {"n_cuts": 1, "n_seeds": 6}, longer=LONGER)))
    assert "own subset" not in " ".join([alone.headline, *alone.sentences])


@pytest.mark.parametrize("own_gain", [-0.001, 0.0, -0.02])
def test_a_claim_over_subsets_stands_beside_an_own_subset_without_a_gain(simulated: Simulated, own_gain: float) -> None:
    study = load_study(simulated(**ENOUGH | {"cut_sd": 0.002}, longer=LONGER))
    tables = {}
    for name in ("confirm", "confirm_all"):
        table = getattr(study, name).copy()
        own = (table["data_seed"] == 0, table["entry"])
        la = table.loc[own[0] & (own[1] == "la"), "test_balanced_accuracy"].to_numpy()
        table.loc[own[0] & (own[1] == "best1"), "test_balanced_accuracy"] = la + own_gain
        tables[name] = table
    study = replace(study, **tables)
    found = _find(study)
    assert "beats logit adjustment (la)" in found.sentences[0]
    (of_la,) = (said for said in found.sentences if said.startswith("The claimed gain over la "))
    assert of_la.startswith("The claimed gain over la is the mean over all subsets. The study's own, which alone is")
    assert "that a longer training could take" not in " ".join(found.sentences)


def test_subsets_that_disagree_take_the_claim_back(simulated: Simulated) -> None:
    """Six seeds of one subset would claim this gain; six subsets show that it hangs on the images."""
    wide = {"cut_sd": 0.15, "n_seeds": 6}
    study = load_study(simulated(**ENOUGH | wide))
    assert _find(study).headline == f"No gain shown over {OF_LA} and {OF_KD}"


@pytest.mark.parametrize("kind", [FEW, ENOUGH])
def test_the_report_shows_the_subsets_with_a_csv_beside_each_figure(
    simulated: Simulated, kind: dict, request: pytest.FixtureRequest
) -> None:
    if kind is FEW:  # it has every figure of the other, and one more
        request.getfixturevalue("drawn")
    page = build_report(simulated(**kind, space=ACCKD_SMOKE))
    report = (page.parent / "report.md").read_text()
    figures = {path.stem for path in (page.parent / "figures").glob("*.png")}
    assert {"cuts", "class_gains", "class_recalls"} <= figures
    assert ("class_gains_cuts" in figures) == (kind is FEW)
    assert all((page.parent / "tables" / f"{name}.csv").is_file() for name in (*figures, "cuts_gains"))
    assert ("carry no claim" in report) == (kind is FEW)
    assert ("subsets × seeds" in report) == (kind is ENOUGH)
    assert report.count("| best1 − la |") + report.count("| **best1 − la** |") == 2


def test_a_database_from_before_there_were_subsets_is_of_the_studys_own(simulated: Simulated) -> None:
    folder = simulated(**FEW | {"n_cuts": 1})
    new = load_study(folder)
    with closing(sqlite3.connect(folder / "study.db")) as database, database:
        database.execute("DROP INDEX one_confirm_run_a_length")
        database.execute("ALTER TABLE confirm_runs DROP COLUMN epochs_factor")
        database.execute("ALTER TABLE confirm_runs DROP COLUMN data_seed")
    old = load_study(folder)
    assert (old.n_subsets, old.confirm["data_seed"].unique().tolist()) == (1, [0])
    assert subset_gains(old) == ()
    assert ladder(old) == ladder(new)
    assert _find(old) == _find(new)
