"""A confirmation on several cuts of the long tail."""

from dataclasses import replace

import pytest

from study.phases.confirmation import confirm, confirm_seeds
from study.phases.state.study_in_progress import Study
from study.planning.tail_subsets import with_cuts
from tests.study.phases.played import (
    N_RUNS,
    N_SEEDS,
    OWN,
    WORKERS,
    PlayedRay,
    allow,
    good,
    nothing_more,
    of_cut,
    then_ctrl_c,
)
from trainables.cckd.methods import LADDER

N_CUTS = 3


@pytest.fixture
def recutting(searched: Study, ray: PlayedRay) -> Study:
    """A searched study that confirms on three cuts; its teacher is played on each."""
    plan = replace(searched.checked.plan, data_seeds=N_CUTS)
    searched.checked = with_cuts(replace(searched.checked, plan=plan), [])

    ray.prepare = lambda checked: of_cut(checked.cuts.index(checked.data.sha256))
    return searched


def test_every_cut_runs_every_entry_with_a_teacher_and_seeds_of_its_own(recutting: Study, ray: PlayedRay) -> None:
    confirm(recutting, OWN, WORKERS, nothing_more)
    runs = recutting.ledger.runs.confirm_runs()
    assert len(runs) == N_CUTS * (N_RUNS + 1)
    by_cut = [[run for run in runs if run.data_seed == cut] for cut in range(N_CUTS)]
    for each in by_cut:
        entries = [run.entry for run in each]
        assert entries.count("teacher") == 1
        assert {entries.count(entry) for entry in ("best1", *LADDER)} == {N_SEEDS}
    seeds = [{run.seed for run in each} - {None} for each in by_cut]
    assert len(set.union(*seeds)) == N_CUTS * N_SEEDS
    assert ray.bundles == [(OWN, False), (of_cut(1), True), (of_cut(2), True)], "each bundle in its turn"


def test_the_manifest_counts_the_passes_of_every_cut_and_describes_its_teacher(
    recutting: Study, ray: PlayedRay
) -> None:
    confirm(recutting, OWN, WORKERS, nothing_more)
    manifest = recutting.store.manifest()
    assert manifest["teacher"]["forward_passes"] == 7 + N_CUTS * 400 + (N_CUTS - 1) * 50
    assert manifest["recuts"]["2"] == {"sha256": recutting.checked.cuts[2], "teacher": {"name": "played"}}
    assert set(manifest["recuts"]) == {"1", "2"}


@pytest.mark.parametrize("whole_cuts", [0, 1, 2])
def test_an_interrupted_confirmation_goes_on_cut_by_cut(recutting: Study, ray: PlayedRay, whole_cuts: int) -> None:
    ray.outcome = then_ctrl_c(whole_cuts * N_RUNS + 3)
    with pytest.raises(KeyboardInterrupt):
        confirm(recutting, OWN, WORKERS, nothing_more)
    before = recutting.ledger.runs.confirm_runs()
    assert len(before) == whole_cuts * (N_RUNS + 1) + 1 + 3
    ray.outcome, ray.bundles = good, []
    confirm(recutting, OWN, WORKERS, nothing_more)
    assert len(ray.bundles) == N_CUTS - whole_cuts, "a cut that is done is not prepared again"
    assert recutting.ledger.runs.confirm_runs()[: len(before)] == before
    keys = {(run.entry, run.seed, run.data_seed) for run in recutting.ledger.runs.confirm_runs()}
    assert len(keys) == N_CUTS * (N_RUNS + 1)
    ray.bundles = []
    confirm(recutting, OWN, WORKERS, nothing_more)
    assert ray.bundles == []


def test_more_cuts_only_add_runs(searched: Study, recutting: Study, ray: PlayedRay) -> None:
    checked = recutting.checked
    recutting.checked = replace(checked, plan=replace(checked.plan, data_seeds=1))
    confirm(recutting, OWN, WORKERS, nothing_more)
    before = recutting.ledger.runs.confirm_runs()
    recutting.checked, ray.bundles = checked, []
    confirm(recutting, OWN, WORKERS, nothing_more)
    assert recutting.ledger.runs.confirm_runs()[: len(before)] == before
    assert [temporary for _, temporary in ray.bundles] == [True, True]


def test_a_failed_run_of_another_cut_is_named_with_its_cut(recutting: Study, ray: PlayedRay) -> None:
    broken = f"ce-seed{confirm_seeds(0, 1, 1)[0]}-cut1"
    ray.outcome = lambda config: None if config["number"] == broken else good(config)
    confirm(recutting, OWN, WORKERS, nothing_more)
    recutting.export()
    (failure,) = recutting.store.manifest()["failures"]
    assert failure.startswith(f"{broken}: exception: ")
    ray.outcome, ray.configs = good, []
    confirm(recutting, OWN, WORKERS, nothing_more)
    assert ray.configs == [], "a restart does not try for ever"
    allow(recutting, max_retries=3)
    confirm(recutting, OWN, WORKERS, nothing_more)
    recutting.export()
    assert [config["number"] for config in ray.configs] == [broken]
    assert recutting.store.manifest()["failures"] == []
