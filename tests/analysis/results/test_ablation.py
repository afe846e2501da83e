"""What an ablation says of each setting and each part: what counts, what is left out, and what is compared."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis.exports.tidy import dictionary, tidy
from analysis.reading.study_folder import StudyFolderError, load_study
from analysis.results.ablation import ablations, bought_table, learns_no_outputs, without_teacher
from analysis.stats.many_to_one import differences
from study.records.ledger import Ledger
from study.records.run_tables import AblationRun
from study.schema import ABLATION
from tests.analysis.simulation import ABLATION_SEEDS, rewriting
from trainables.cckd.methods import CLASS_CONDITIONAL, PARTS
from trainables.cckd.records import ClassCounts

Simulated = Callable[..., Path]
BEST, KNOB, PART = ("best1", "best1"), ("knob", "temperature"), ("part", "imitation")
RUNS: dict[tuple[str, str], tuple[float | str, ...]] = {
    BEST: (0.80, 0.81, 0.79, 0.80, 0.81, 0.79),
    KNOB: (0.79, 0.80, 0.78),
    PART: (0.70, 0.71, 0.69),
}
SMALL: dict[str, Any] = {"n_trials": 4, "n_pruned": 0, "n_failed": 0, "n_seeds": 1}


def test_each_change_is_compared_with_best1(simulated: Simulated) -> None:
    study = load_study(simulated(ablation=RUNS, **SMALL))
    (found,) = ablations(study)
    assert (found.judged_on, found.best.n, found.n_diverged, found.n_lost) == ("val", 6, 0, 0)
    assert study.best is not None
    assert found.trial == study.best.number
    by_hand = differences(RUNS[BEST], {change: RUNS[change] for change in (KNOB, PART)})
    assert [(row.kind, row.change) for row in found.bought] == [KNOB, PART]
    for row in found.bought:
        assert row.gain.mean == pytest.approx(by_hand[row.kind, row.change].mean)
        assert row.gain.p == pytest.approx(by_hand[row.kind, row.change].p, abs=1e-6)
    knob, part = found.bought
    assert (knob.value, knob.reference) == (study.best.params["temperature"], 2.0)
    assert (knob.text, part.text) == ("temperature", "feature imitation")
    assert pd.isna(part.value)
    table = bought_table(found)
    assert table["gain"].tolist() == [row.gain.mean for row in found.bought]


def test_a_diverged_run_counts_at_chance_and_a_lost_run_does_not_count(simulated: Simulated) -> None:
    runs = RUNS | {KNOB: (0.79, "non-finite loss: it", "worker killed: by the night"), PART: ("lost node: n",) * 3}
    (found,) = ablations(load_study(simulated(ablation=runs, **SMALL)))
    knob, part = found.bought
    assert (found.n_diverged, found.n_lost) == (1, 4)
    assert (knob.accuracy.n, knob.accuracy.mean) == (2, pytest.approx((0.79 + 0.1) / 2))
    assert part.accuracy.n == part.gain.n == 0
    assert part.gain.p != part.gain.p


@pytest.mark.parametrize("runs", [{}, {BEST: RUNS[BEST]}, {KNOB: RUNS[KNOB]}, {BEST: ("lost node: n",), KNOB: (0.7,)}])
def test_without_best1_or_without_a_change_there_is_no_ablation(simulated: Simulated, runs: dict) -> None:
    assert ablations(load_study(simulated(ablation=runs, **SMALL))) == ()


def test_of_another_best1_there_is_no_ablation_until_it_has_one(simulated: Simulated) -> None:
    folder = simulated(ablation=RUNS, **SMALL)
    manifest = json.loads((folder / "study.json").read_text())
    former = manifest["confirm_entries"]["best1"]["trial"]
    manifest["confirm_entries"]["best1"]["trial"] = next(n for n in range(SMALL["n_trials"]) if n != former)
    (folder / "study.json").write_text(json.dumps(manifest))
    study = load_study(folder)
    assert set(study.ablation["trial"]) == {former}
    assert ablations(study) == ()


def test_each_set_of_judgement_stands_alone_and_a_former_best1_is_not_shown(simulated: Simulated) -> None:
    folder = simulated(ablation=RUNS, ablated_on="test", **SMALL)
    study = load_study(folder)
    trial = int(study.ablation["trial"].iloc[0])
    counts = ClassCounts((50,) * 10, (100,) * 10)
    with rewriting(folder) as ledger:
        for key in (BEST, PART):
            for seed in ABLATION_SEEDS[:3]:
                ledger.runs.add_ablation_run(AblationRun(trial, *key, seed, "val", counts))
                ledger.runs.add_ablation_run(AblationRun(trial + 1, *key, seed, "val", counts))
    again = load_study(folder)
    on_val, on_test = ablations(again)
    assert ([row.change for row in on_val.bought], on_val.best.mean) == (["imitation"], 0.5)
    assert [row.gain for row in on_test.bought] == [row.gain for row in ablations(study)[0].bought]
    assert set(again.ablation["trial"]) == {trial}
    written = pd.read_csv(folder / "ablation.csv")
    assert list(written) == list(ABLATION)
    assert written["balanced_accuracy"].tolist() == again.ablation["balanced_accuracy"].tolist()


def test_the_tidy_table_and_its_dictionary_hold_every_run(simulated: Simulated) -> None:
    study = load_study(simulated(ablation=RUNS | {KNOB: (0.79, "non-finite loss: it", 0.78)}, **SMALL))
    rows = tidy(study).query("table == 'ablation'")
    accuracies = rows[rows["variable"] == "balanced_accuracy"]
    assert len(accuracies) == 6 + 2 + 3
    assert set(accuracies["change"]) == {"best1", "temperature", "imitation"}
    assert set(accuracies["judged_on"]) == {"val"}
    assert rows.loc[rows["variable"] == "cause", "text"].tolist() == ["non-finite loss: it"]
    assert dictionary(study)["ablation"] == ABLATION


def test_a_folder_from_before_there_was_an_ablation_is_read_without_one(simulated: Simulated) -> None:
    folder = simulated(**SMALL)
    ledger = Ledger.open(folder / "study.db")
    with ledger._database.together():
        ledger._database.connection.execute("DROP TABLE ablation_runs")
    ledger.close()
    before = (folder / "study.db").read_bytes()
    study = load_study(folder)
    assert list(study.ablation.columns) == list(ABLATION)
    assert study.ablation.empty
    assert (folder / "study.db").read_bytes() == before


def test_counts_that_no_evaluation_gives_are_refused_by_name(simulated: Simulated) -> None:
    folder = simulated(ablation=RUNS, **SMALL)
    with rewriting(folder) as ledger:
        impossible = ClassCounts((7,) * 10, (5,) * 10)
        ledger.runs.add_ablation_run(AblationRun(0, *PART, 1, "val", impossible))
    with pytest.raises(StudyFolderError, match="the run ablation-val-part-imitation-trial0-seed1, has counts"):
        load_study(folder)


@pytest.mark.parametrize(("overrides", "learns_none"), [({}, True), ({"use_kd": True}, False)])
def test_without_its_own_part_and_without_use_kd_nothing_learns_from_the_teachers_outputs(
    simulated: Simulated, overrides: dict[str, bool], learns_none: bool
) -> None:
    own = {BEST: RUNS[BEST], PART: RUNS[PART], ("part", CLASS_CONDITIONAL): RUNS[PART]}
    study = load_study(simulated(ablation=own, **SMALL))
    assert study.best is not None
    study.best.params.pop("use_kd", None)
    study.manifest["plan"]["overrides"] = overrides
    (found,) = ablations(study)
    assert learns_no_outputs(study, found) is learns_none
    others = tuple(row for row in found.bought if row.change != CLASS_CONDITIONAL)
    assert not learns_no_outputs(study, replace(found, bought=others))


@pytest.mark.parametrize(
    ("overrides", "changes"),
    [
        ({}, []),  # features are imitated
        ({"feature_weight": 0.0}, [CLASS_CONDITIONAL]),
        ({"feature_weight": 0.0, "use_kd": True, "kd_weight": 1.0}, []),
        ({"cckd_weight": 0.0, "cckd_mix_weight": 0.0}, ["imitation"]),
        ({"feature_weight": 0.0, "cckd_weight": 0.0}, ["mixing", CLASS_CONDITIONAL]),
        ({"feature_weight": 0.0, "cckd_weight": 0.0, "cckd_mix_weight": 0.0}, []),  # nor does best1 read any
    ],
    ids=str,
)
def test_a_part_without_which_nothing_reads_the_teacher_is_found(
    simulated: Simulated, overrides: dict[str, Any], changes: list[str]
) -> None:
    parts = {("part", part.name): RUNS[PART] for part in PARTS}
    study = load_study(simulated(ablation={BEST: RUNS[BEST], KNOB: RUNS[KNOB], **parts}, **SMALL))
    assert study.best is not None
    for name in ("use_kd", "kd_weight", "feature_weight", "cckd_weight", "cckd_mix_weight"):
        study.best.params.pop(name, None)
    study.manifest["plan"]["overrides"] = overrides
    (found,) = ablations(study)
    assert sorted(row.change for row in without_teacher(study, found)) == sorted(changes)
