"""Tuned baselines: searched by the same rules, confirmed beside the others."""

import csv
from dataclasses import replace

import pytest

from study import schema
from study.phases.baselines import tune_baselines
from study.phases.confirmation import confirm
from study.phases.state.study_in_progress import Study, StudyFailed
from study.records.ledger import Ledger
from tests.study.phases.played import (
    N_RUNS,
    N_SEEDS,
    N_TRIALS,
    OWN,
    WORKERS,
    PlayedRay,
    allow,
    good,
    nothing_more,
    play,
    selecting,
    then_ctrl_c,
)


def _tuning(study: Study, *names: str) -> None:
    """As if the study were confirmed with `--tuned-baselines`, a selection of two candidates and two seeds for each."""
    study.store.update_manifest(phase="selection")
    selecting(study)
    study.checked = replace(study.checked, plan=replace(study.checked.plan, tuned_baselines=names))


def test_a_baseline_is_tuned_by_the_rules_of_the_studied_method(searched: Study, ray: PlayedRay) -> None:
    _tuning(searched, "la", "kd")
    play(searched, tune_baselines)
    assert ray.opened_test is False
    own = searched.ledger
    for name, knobs in (("la", {"tau", "weight_decay"}), ("kd", {"tau", "temperature", "kd_weight"})):
        ledger = own.baselines[name]
        assert ledger.settings == own.settings
        assert ledger.counts() == own.counts()
        assert [row.kind for row in ledger.rows()] == [row.kind for row in own.rows()]
        assert set(ledger.space.distributions) == knobs, "--set lr=0.1 holds for every run, so la does not search it"
        assert ledger.rows()[0].params == ledger.space.reference_point()
        assert {run.trial for run in ledger.runs.selection_runs()} == {0, N_TRIALS - 2, N_TRIALS - 1}
        assert not {row.seed for row in ledger.rows()} & {row.seed for row in own.rows()}
    assert len(own.rows()) == N_TRIALS, "the study's own trials are what they were"
    assert {config["config"]["method"] for config in ray.configs} == {"la", "kd"}
    assert not any("feature_weight" in config["config"] for config in ray.configs)


def test_tuned_baselines_are_confirmed_on_the_seeds_of_all_others_and_told_in_the_tables(
    searched, ray: PlayedRay
) -> None:
    _tuning(searched, "la", "kd")
    play(searched, tune_baselines)
    confirm(searched, OWN, WORKERS, nothing_more)
    searched.ledger.close()
    searched.ledger = Ledger.open(searched.store.database)
    searched.export()
    runs = searched.ledger.runs.confirm_runs()
    assert len(runs) == N_RUNS + 2 * N_SEEDS + 1
    by_entry = {entry: {run.seed for run in runs if run.entry == entry} for entry in ("best1", "la_tuned", "kd_tuned")}
    assert len(set(map(frozenset, by_entry.values()))) == 1
    assert {run.record["selected_on"] for run in runs if run.entry == "kd_tuned"} == {"val"}
    assert {config["export"] for config in ray.configs} == {"best1", None}
    manifest = searched.store.manifest()
    assert manifest["confirm_entries"]["kd_tuned"]["config"]["method"] == "kd"
    assert manifest["tuned_baselines"]["la"]["chosen_trial"] == manifest["confirm_entries"]["la_tuned"]["trial"]
    with (searched.store.path / schema.BASELINES_CSV).open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert [row["baseline"] for row in rows] == ["la"] * N_TRIALS + ["kd"] * N_TRIALS
    assert [row["fresh_runs"] for row in rows] == ["2", "0", "2", "2"] * 2
    assert rows[0]["config/kd_weight"] == rows[-1]["config/weight_decay"] == ""
    with (searched.store.path / schema.TRIALS).open(newline="") as handle:
        assert len(list(csv.DictReader(handle))) == N_TRIALS


@pytest.mark.parametrize("stop_after", [0, 1, N_TRIALS - 1, N_TRIALS + 1])
def test_an_interrupted_tuning_goes_on_under_the_same_numbers(searched: Study, ray: PlayedRay, stop_after: int) -> None:
    """Within la's search, before it, or within its selection; the study is opened again each time."""
    _tuning(searched, "la")
    ray.outcome = then_ctrl_c(stop_after)
    with pytest.raises(KeyboardInterrupt):
        play(searched, tune_baselines)
    known = [(row.params, row.seed) for row in searched.ledger.baselines["la"].rows()]
    assert len(known) == min(stop_after + 1, N_TRIALS)
    searched.ledger.close()
    searched.ledger = Ledger.open(searched.store.database)
    assert [(row.params, row.seed) for row in searched.ledger.baselines["la"].rows()] == known
    ray.outcome = good
    play(searched, tune_baselines)
    again = searched.ledger.baselines["la"]
    assert [(row.params, row.seed) for row in again.rows()][: len(known)] == known
    assert again.counts() == searched.ledger.counts()
    assert len(again.runs.selection_runs()) == 6


def test_a_tuning_that_is_done_runs_nothing_and_an_extended_study_extends_it(searched: Study, ray: PlayedRay) -> None:
    _tuning(searched, "la")
    play(searched, tune_baselines)
    ray.configs = []
    play(searched, tune_baselines)
    assert ray.configs == []
    searched.ledger.close()
    searched.ledger = Ledger.open(searched.store.database, trials=N_TRIALS + 1)
    searched.checked = replace(searched.checked, plan=replace(searched.checked.plan, trials=N_TRIALS + 1))
    play(searched, tune_baselines)
    assert searched.ledger.baselines["la"].finished_total == N_TRIALS + 1
    assert searched.ledger.finished_total == N_TRIALS, "the study's own search is another phase's"


def test_a_baseline_that_fails_altogether_is_told_and_the_others_go_on(searched: Study, ray: PlayedRay) -> None:
    allow(searched, max_failures=N_TRIALS)
    _tuning(searched, "la", "kd")
    ray.outcome = lambda config: good(config) | ({"cause": "nan"} if config["config"]["method"] == "la" else {})
    play(searched, tune_baselines)
    ray.outcome = good
    confirm(searched, OWN, WORKERS, nothing_more)
    assert "la COULD NOT BE TUNED: no trial completed; causes: nan" in searched.progress._stream.getvalue()
    assert {"kd_tuned", "la"} <= set(searched.store.manifest()["confirm_entries"])
    assert "la_tuned" not in searched.store.manifest()["confirm_entries"]


def test_the_failures_of_baselines_count_with_the_others_and_are_remembered(searched: Study, ray: PlayedRay) -> None:
    allow(searched, max_failures=1)
    _tuning(searched, "la")
    ray.outcome = lambda config: good(config) | {"cause": "non-finite loss: nan"}
    with pytest.raises(StudyFailed, match="2 runs failed and --max-failures allows 1"):
        play(searched, tune_baselines)
    assert searched.ledger.causes_of_failure() == ["non-finite loss: nan"] * 2


def test_checkpoints_of_a_baselines_trials_lie_apart_and_are_swept(searched: Study, ray: PlayedRay) -> None:
    _tuning(searched, "la")
    play(searched, tune_baselines)
    checkpoints = searched.checkpoints_of("la")
    assert checkpoints.root == f"{searched.checkpoints.root}/search-la"
    for number in ("0", str(N_TRIALS)):
        checkpoints.workplace(number, "1").mkdir(parents=True)
    searched.export()
    assert checkpoints.runs() == [str(N_TRIALS)]
