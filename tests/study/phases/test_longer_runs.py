"""What is trained at a longer training, in which order, and how an interrupted phase goes on."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.phases.confirmation import confirm, confirm_reruns, confirm_seeds
from study.phases.longer_runs import longer_reruns, train_longer
from study.phases.state.study_in_progress import Study
from study.planning.checked import Checked
from study.planning.plan import StudyPlan
from tests.study.phases.played import (
    EPOCHS,
    N_RUNS,
    N_SEEDS,
    OWN,
    WORKERS,
    PlayedRay,
    good,
    nothing_more,
    play,
    then_ctrl_c,
)
from trainables.cckd.methods import LADDER

N_CHECKED = 3 * N_SEEDS


def _longer(study: Study, **changes: int) -> None:
    study.checked = replace(study.checked, plan=replace(study.checked.plan, **changes))


def _runs(plan: StudyPlan):
    best = [(3, {"method": "acckd", **plan.training}), (5, {"method": "acckd", **plan.training})][: plan.confirm_top]
    tuned = {f"{name}_tuned": (4, {"method": name, **plan.training}) for name in plan.tuned_baselines}
    return confirm_reruns(best, plan.ladder, plan.training, confirm_seeds(plan.seed, plan.confirm_seeds), 0, tuned)


def test_the_check_trains_the_claims_entries_at_twice_the_epochs_on_the_first_seeds(searched: Study, ray) -> None:
    confirm(searched, OWN, WORKERS, nothing_more)
    play(searched, train_longer)
    assert ray.opened_test is True
    assert {config["config"]["epochs"] for config in ray.configs} == {2 * EPOCHS}
    assert all(config["curve"] and config["export"] is None for config in ray.configs)
    longer = [run for run in searched.ledger.runs.confirm_runs() if run.epochs_factor == 2]
    seeds = confirm_seeds(searched.checked.plan.seed, N_SEEDS)
    assert {(run.entry, run.seed) for run in longer} == {(e, seed) for e in ("best1", "la", "kd") for seed in seeds}
    assert all(run.epochs for run in longer)
    assert len(searched.ledger.runs.confirm_runs()) == N_RUNS + 1 + N_CHECKED, "the runs at the length stay"


def test_a_length_that_would_not_fit_the_hours_is_left_out_and_trained_later(
    searched: Study, ray: PlayedRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    confirm(searched, OWN, WORKERS, nothing_more)
    _longer(searched, max_hours=2.0)
    asked: list[float] = []
    monkeypatch.setattr(searched, "has_time_for", lambda n_trials: asked.append(n_trials))
    play(searched, train_longer)
    assert asked == [2 * N_CHECKED], "a run at twice the epochs costs two trials"
    assert searched.cut == [f"{N_CHECKED} runs at 2 times the epochs"]
    monkeypatch.setattr(searched, "has_time_for", lambda n_trials: True)
    play(searched, train_longer)
    assert len(ray.configs) == N_CHECKED


def test_an_interrupted_phase_goes_on_and_a_finished_one_trains_nothing(searched: Study, ray: PlayedRay) -> None:
    confirm(searched, OWN, WORKERS, nothing_more)
    ray.outcome = then_ctrl_c(2)
    with pytest.raises(KeyboardInterrupt):
        play(searched, train_longer)
    before = searched.ledger.runs.confirm_runs()
    assert len(before) == N_RUNS + 1 + 2
    ray.outcome = good
    play(searched, train_longer)
    assert len(ray.configs) == N_CHECKED - 2
    assert searched.ledger.runs.confirm_runs()[: len(before)] == before
    ray.configs = []
    play(searched, train_longer)
    assert ray.configs == []


@pytest.mark.parametrize("none", [{"long_seeds": 0}, {"confirm_seeds": 0}])
def test_nothing_is_trained_where_the_plan_skips_it(searched: Study, ray: PlayedRay, none: dict[str, int]) -> None:
    _longer(searched, **none)
    ray.configs = []
    play(searched, train_longer)
    assert (ray.configs, searched.checked.plan.n_longer_runs) == ([], {})


def test_the_whole_ladder_at_a_factor_adds_to_the_check(searched: Study, ray: PlayedRay) -> None:
    confirm(searched, OWN, WORKERS, nothing_more)
    play(searched, train_longer)
    _longer(searched, epochs_factor=3)
    play(searched, train_longer)
    assert {config["config"]["epochs"] for config in ray.configs} == {3 * EPOCHS}
    assert len(ray.configs) == N_RUNS
    _longer(searched, epochs_factor=2)
    play(searched, train_longer)
    assert len(ray.configs) == N_RUNS - N_CHECKED, "the runs of the check count"
    found = {(run.entry, run.epochs_factor) for run in searched.ledger.runs.confirm_runs()}
    assert found == {("teacher", 1), *((entry, factor) for entry in ("best1", *LADDER) for factor in (1, 2, 3))}


def test_a_former_best_trial_loses_its_longer_runs_too(searched: Study, ray: PlayedRay) -> None:
    confirm(searched, OWN, WORKERS, nothing_more)
    play(searched, train_longer)
    searched.ledger.runs.drop_confirm_runs("best1", but_of=99)
    confirm(searched, OWN, WORKERS, nothing_more)
    play(searched, train_longer)
    assert {config["number"].split("-")[0] for config in ray.configs} == {"best1"}
    assert len(ray.configs) == N_SEEDS


@given(
    seeds=st.integers(1, 8),
    long_seeds=st.integers(0, 9),
    factor=st.integers(1, 4),
    tuned=st.sets(st.sampled_from(("la", "kd", "cckd"))),
    top=st.integers(1, 2),
)
def test_the_plan_counts_the_runs_and_every_run_has_its_counterpart_at_the_length(
    checked: Checked, seeds: int, long_seeds: int, factor: int, tuned: set[str], top: int
) -> None:
    plan = replace(
        checked.plan,
        confirm_seeds=seeds,
        long_seeds=long_seeds,
        epochs_factor=factor,
        tuned_baselines=tuple(sorted(tuned)),
        confirm_top=top,
    )
    runs = _runs(plan)
    longer = longer_reruns(runs, plan)
    names = [run.name for run in longer]
    assert len(set(names)) == len(names)
    assert not set(names) & {run.name for run in runs}
    counted = {k: sum(run.epochs_factor == k for run in longer) for k in {run.epochs_factor for run in longer}}
    assert counted == plan.n_longer_runs
    assert plan.confirm_cost == len(runs) + sum(run.epochs_factor for run in longer)
    at_length = {(run.entry, run.seed): run for run in runs}
    for run in longer:
        assert run.config == at_length[run.entry, run.seed].config | {"epochs": run.epochs_factor * EPOCHS}
    for entry in ("best1", "la", "kd", *(f"{name}_tuned" for name in tuned & {"la", "kd"})):
        least = min(long_seeds, seeds) if factor != 2 else seeds
        assert sum(run.entry == entry and run.epochs_factor == 2 for run in longer) == least
