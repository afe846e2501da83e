"""What a study asks of the analysis: the commands give it the knobs that the report names."""

import json
from pathlib import Path

import pytest

from analysis.reading.study_folder import load_study
from analysis.search.importance import importances
from search_spaces.acckd import ACCKD_CORE
from study.entry.continuation import analyses, interrupted_early
from tests.analysis.simulation import Simulation, write_study
from trainables.cckd.files.sealed import sealed


@pytest.mark.parametrize(("n_trials", "named"), [(40, True), (11, False)])
def test_a_study_puts_the_knobs_back_that_its_report_names(tmp_path: Path, n_trials: int, named: bool) -> None:
    plan = Simulation(space=ACCKD_CORE, n_trials=n_trials, n_pruned=0, n_failed=0, n_seeds=0, status="running")
    folder = write_study(tmp_path / "study", plan)
    before = (folder / "study.db").read_bytes()
    screened = analyses().screened_knobs(folder)
    assert screened == importances(load_study(folder), n_samples=2).named("all")
    assert bool(screened) is named
    assert not named or screened[0] == "cckd_weight", "by far the largest effect of the simulation"
    assert (folder / "study.db").read_bytes() == before


@pytest.mark.parametrize(("address", "named"), [("head:6379", " --address head:6379"), ("auto", ""), ("local", "")])
def test_an_early_ctrl_c_names_the_cluster_where_the_study_ran(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], address: str, named: str
) -> None:
    (tmp_path / "study.json").write_text(json.dumps(sealed({"plan": {"address": address}})))
    assert interrupted_early(tmp_path) == 130
    assert f"  python -m study.resume {tmp_path}{named}" in capsys.readouterr().out.splitlines()
