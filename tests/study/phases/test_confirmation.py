"""What a confirmation asks for, what it files, and how it ends."""

from dataclasses import replace
from typing import Any

import pytest

from study.phases import confirmation, search
from study.phases.confirmation import confirm, twins_of
from study.phases.drive import _note_teacher
from study.phases.reruns import Rerun
from study.phases.state.study_in_progress import Study, StudyFailed
from study.planning.checked import Checked
from study.records.trial_rows import Finalist
from tests.study.phases.played import (
    EPOCHS,
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
)
from trainables.cckd.methods import LADDER


def test_the_confirmation_files_every_entry_and_the_teacher(searched: Study, ray: PlayedRay) -> None:
    confirm(searched, OWN, WORKERS, nothing_more)
    runs = searched.ledger.runs.confirm_runs()
    assert ray.opened_test is True
    assert len(runs) == N_RUNS + 1
    teacher = next(run for run in runs if run.entry == "teacher")
    assert (teacher.seed, teacher.trial, teacher.val, teacher.epochs) == (None, None, None, ())
    students = [run for run in runs if run.entry != "teacher"]
    assert {tuple(record.epoch for record in run.epochs) for run in students} == {tuple(range(1, EPOCHS + 1))}
    assert all(run.val == run.epochs[-1].val for run in students)
    assert all(config["curve"] for config in ray.configs)
    assert {run.record["selected_on"] for run in runs if run.entry == "best1"} == {"val"}
    assert {run.record["selected_on"] for run in runs if run.entry in LADDER} == {"reference"}
    assert searched.store.manifest()["teacher"]["forward_passes"] == 407
    assert set(searched.store.manifest()["confirm_entries"]) == {"best1", *LADDER}


def test_the_rungs_keep_their_references_though_the_searched_method_has_a_knob_set(searched, ray: PlayedRay) -> None:
    confirm(searched, OWN, WORKERS, nothing_more)
    by_entry = {config["number"].split("-")[0]: config["config"] for config in ray.configs}
    assert by_entry["best1"]["feature_weight"] == 0.5
    assert "feature_weight" not in by_entry["acckd"]
    assert all(config["lr"] == 0.1 for config in by_entry.values())


def test_the_best_trial_is_the_one_with_the_best_validation(searched: Study, ray: PlayedRay) -> None:
    confirm(searched, OWN, WORKERS, nothing_more)
    assert searched.store.manifest()["confirm_entries"]["best1"]["trial"] == N_TRIALS - 1  # `good` gets better


def test_a_confirmation_that_is_done_opens_nothing_again(searched: Study, ray: PlayedRay) -> None:
    confirm(searched, OWN, WORKERS, nothing_more)
    before, ray.configs = searched.ledger.runs.confirm_runs(), []
    confirm(searched, OWN, WORKERS, nothing_more)
    assert ray.configs == []
    assert searched.ledger.runs.confirm_runs() == before
    assert searched.store.manifest()["teacher"]["forward_passes"] == 407


@pytest.mark.parametrize("stop_after", [1, N_RUNS - 2])
def test_an_interrupted_confirmation_goes_on_seed_by_seed(searched: Study, ray: PlayedRay, stop_after: int) -> None:
    ray.stop_after = stop_after
    with pytest.raises(KeyboardInterrupt):
        confirm(searched, OWN, WORKERS, nothing_more)
    ray.stop_after = None
    confirm(searched, OWN, WORKERS, nothing_more)
    assert len(ray.configs) == N_RUNS - stop_after
    assert len(searched.ledger.runs.confirm_runs()) == N_RUNS + 1


def test_more_seeds_only_add_runs(searched: Study, ray: PlayedRay, checked: Checked) -> None:
    confirm(searched, OWN, WORKERS, nothing_more)
    before = searched.ledger.runs.confirm_runs()
    searched.checked = replace(checked, plan=replace(checked.plan, confirm_seeds=N_SEEDS + 1))
    confirm(searched, OWN, WORKERS, nothing_more)
    assert len(ray.configs) == len(LADDER) + 1
    assert searched.ledger.runs.confirm_runs()[: len(before)] == before


def test_a_finished_confirmation_is_a_look_and_more_seeds_are_another(
    searched: Study, ray: PlayedRay, checked: Checked
) -> None:
    def looks() -> list[tuple[int, int]]:
        return [(look["seeds"], look["trial"]) for look in searched.store.manifest()["looks"]]

    searched.store.update_manifest(looks=[])
    ray.stop_after = 1
    with pytest.raises(KeyboardInterrupt):
        confirm(searched, OWN, WORKERS, nothing_more)
    assert looks() == [], "a claim needs every run, so there was nothing to see"
    ray.stop_after = None
    for n_seeds in (N_SEEDS, N_SEEDS, N_SEEDS + 1):
        searched.checked = replace(checked, plan=replace(checked.plan, confirm_seeds=n_seeds))
        confirm(searched, OWN, WORKERS, nothing_more)
    assert looks() == [(N_SEEDS, N_TRIALS - 1), (N_SEEDS + 1, N_TRIALS - 1)]


def test_a_study_of_an_earlier_version_gets_no_list_of_looks(searched: Study, ray: PlayedRay) -> None:
    searched.store.update_manifest(looks=None)
    confirm(searched, OWN, WORKERS, nothing_more)
    assert searched.store.manifest()["looks"] is None


def test_only_the_rungs_of_the_plan_are_trained_and_more_of_them_only_add_runs(
    searched: Study, ray: PlayedRay, checked: Checked
) -> None:
    searched.checked = replace(checked, plan=replace(checked.plan, ladder=("cckd",)))
    confirm(searched, OWN, WORKERS, nothing_more)
    before, ray.configs = searched.ledger.runs.confirm_runs(), []
    assert {run.entry for run in before} == {"teacher", "best1", "la", "kd", "cckd"}
    searched.checked = replace(checked, plan=replace(checked.plan, ladder=("ce", "cckd")))
    confirm(searched, OWN, WORKERS, nothing_more)
    assert [config["config"]["method"] for config in ray.configs] == ["ce"] * N_SEEDS
    assert searched.ledger.runs.confirm_runs()[: len(before)] == before


def test_an_extended_study_with_another_best_forgets_the_former(
    searched: Study, ray: PlayedRay, checked: Checked
) -> None:
    confirm(searched, OWN, WORKERS, nothing_more)
    extended = replace(checked, plan=replace(checked.plan, trials=N_TRIALS + 1))
    searched.checked = extended
    searched.ledger.settings = replace(searched.ledger.settings, trials=N_TRIALS + 1)
    play(searched, search.search, search.studied_method(searched))
    confirm(searched, OWN, WORKERS, nothing_more)
    assert {config["number"].split("-")[0] for config in ray.configs} == {"best1"}
    runs = [run for run in searched.ledger.runs.confirm_runs() if run.entry == "best1"]
    assert [run.trial for run in runs] == [N_TRIALS] * N_SEEDS
    assert len(searched.ledger.runs.confirm_runs()) == N_RUNS + 1


def test_a_run_that_cannot_go_on_is_told_in_the_manifest_and_the_others_are_filed(searched, ray: PlayedRay) -> None:
    def outcome(config: dict[str, Any]) -> dict[str, Any] | None:
        if config["config"]["method"] == "kd":
            return None
        return good(config) | ({"cause": "became nan"} if config["config"]["method"] == "ce" else {})

    allow(searched, max_failures=2 * N_SEEDS)
    ray.outcome = outcome
    confirm(searched, OWN, WORKERS, nothing_more)
    searched.export()
    failures = searched.store.manifest()["failures"]
    assert "ce-seed1001: became nan" in failures
    assert "kd-seed1002: exception: OSError: lost" in failures
    assert len(failures) == 2 * N_SEEDS
    assert len(searched.ledger.runs.confirm_runs()) == N_RUNS + 1 - len(failures)
    attempts = {name: run.attempts for name, run in searched.ledger.runs.rerun_attempts().items()}
    assert (attempts["ce-seed1001"], attempts["kd-seed1002"], attempts["la-seed1001"]) == (1, 3, 1)


def test_more_failed_runs_than_allowed_end_the_confirmation_and_a_higher_limit_continues_it(searched, ray) -> None:
    allow(searched, max_failures=1)
    ray.outcome = lambda config: None if config["config"]["method"] == "kd" else good(config)
    with pytest.raises(StudyFailed, match=r"2 runs failed and --max-failures allows 1; most frequent cause \(2 of 2\)"):
        confirm(searched, OWN, WORKERS, nothing_more)
    assert len(searched.store.manifest()["failures"]) == N_SEEDS
    allow(searched, max_failures=2, max_retries=3)
    ray.outcome, ray.configs = good, []
    confirm(searched, OWN, WORKERS, nothing_more)
    assert {config["attempt"] for config in ray.configs if config["number"].startswith("kd")} == {4}
    assert len(searched.ledger.runs.confirm_runs()) == N_RUNS + 1


def test_no_confirmation_where_none_was_asked_for(searched: Study, ray: PlayedRay, checked: Checked) -> None:
    ray.configs = []
    searched.checked = replace(checked, plan=replace(checked.plan, confirm_seeds=0))
    confirm(searched, OWN, WORKERS, nothing_more)
    assert (ray.configs, searched.ledger.runs.confirm_runs()) == ([], [])


def test_the_model_that_a_run_exported_lies_in_the_study_folder_afterwards(searched: Study, ray: PlayedRay) -> None:
    confirm(searched, OWN, WORKERS, nothing_more)
    kept = searched.store.models / "best1.safetensors"
    assert kept.read_text() == next(config["number"] for config in ray.configs if config["export"])
    assert searched.checkpoints.runs() == []


def test_the_teachers_passes_add_up_over_starts(searched: Study) -> None:
    teacher = {"name": "x", "form": "ncm", "val_balanced_accuracy": 0.5, "train_accuracy": 0.5, "forward_passes": 5}
    searched.store.update_manifest(teacher=None)
    _note_teacher(searched, teacher)
    assert searched.store.manifest()["teacher"] == teacher
    _note_teacher(searched, teacher | {"forward_passes": 0, "name": "y"})
    assert searched.store.manifest()["teacher"] == teacher | {"name": "y"}


@pytest.fixture
def kept(searched: Study, monkeypatch: pytest.MonkeyPatch) -> Study:
    """The searched study where its reference point, trial 0, is the best, and no knob of the method is fixed."""
    allow(searched, overrides={"lr": 0.1})
    first = Finalist(0, searched.checked.space.reference_point(), 0.5)
    monkeypatch.setattr(confirmation, "ranked", lambda ledger, plan: [first])
    return searched


def _entries(ray: PlayedRay) -> set[str]:
    return {config["number"].split("-")[0] for config in ray.configs}


def test_a_best_trial_at_the_references_is_trained_once_for_itself_and_its_rung(kept: Study, ray: PlayedRay) -> None:
    confirm(kept, OWN, WORKERS, nothing_more)
    assert len(ray.configs) == N_RUNS - N_SEEDS
    assert _entries(ray) == {"best1", *LADDER} - {"acckd"}
    runs = kept.ledger.runs.confirm_runs()
    assert len(runs) == N_RUNS + 1
    for seed in {run.seed for run in runs if run.entry == "best1"}:
        best, rung = ({run.entry: run for run in runs if run.seed == seed}[name] for name in ("best1", "acckd"))
        assert (rung.epochs, rung.record["test"]) == (best.epochs, best.record["test"])
        assert (rung.trial, rung.record["selected_on"]) == (None, "reference")
        assert (best.trial, best.record["selected_on"]) == (0, "val")
    confirm(kept, OWN, WORKERS, nothing_more)
    assert kept.ledger.runs.confirm_runs() == runs


def test_a_rung_takes_the_results_that_an_earlier_start_recorded(kept: Study, ray: PlayedRay) -> None:
    ray.stop_after = 1
    with pytest.raises(KeyboardInterrupt):
        confirm(kept, OWN, WORKERS, nothing_more)
    assert _entries(ray) == {"best1"}
    ray.stop_after = None
    confirm(kept, OWN, WORKERS, nothing_more)
    assert "acckd" not in _entries(ray)
    assert len(kept.ledger.runs.confirm_runs()) == N_RUNS + 1


def test_a_rung_whose_twin_cannot_be_trained_is_trained_itself(kept: Study, ray: PlayedRay) -> None:
    allow(kept, max_retries=0, max_failures=N_RUNS)
    ray.outcome = lambda config: None if config["number"].startswith("best1") else good(config)
    confirm(kept, OWN, WORKERS, nothing_more)
    confirm(kept, OWN, WORKERS, nothing_more)
    assert _entries(ray) == {"acckd"}
    assert len(kept.ledger.runs.confirm_runs()) == N_RUNS - N_SEEDS + 1


def test_twins_share_all_that_decides_a_training() -> None:
    best = Rerun("best1", 1, 0, {"method": "acckd", "mix_ratio": 0.5, "lr": 0.1}, export=False)
    rung = replace(best, entry="acckd", trial=None, config={"method": "acckd", "lr": 0.1})
    assert twins_of([best, rung]) == [(rung, best)]
    for other in ({"seed": 2}, {"data_seed": 1}, {"epochs_factor": 2}, {"config": {"method": "acckd", "lr": 0.2}}):
        assert twins_of([best, replace(rung, **other)]) == []
