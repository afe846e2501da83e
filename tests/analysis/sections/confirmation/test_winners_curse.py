"""The tables of the winner's curse in a report."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from analysis.page.writer import Writer
from analysis.reading.study_folder import load_study
from analysis.sections.confirmation.winners_curse import best_subset_table, winners_curse_blocks
from analysis.stats.best_subset import best_subset
from analysis.stats.paired_tests import Spread
from search_spaces.acckd import ACCKD_FULL


def test_the_report_shows_shrinkage(reported: Path) -> None:
    tables = reported / "report" / "tables"
    shrinkage, confirm = pd.read_csv(tables / "shrinkage.csv"), pd.read_csv(reported / "confirm.csv")
    runs = confirm[confirm["entry"] == "best1"]
    assert shrinkage["entry"].tolist() == ["best1"]
    assert shrinkage.loc[0, "val_again"] == pytest.approx(runs["val_balanced_accuracy"].mean())
    assert shrinkage.loc[0, "test"] == pytest.approx(runs["test_balanced_accuracy"].mean())
    comparisons = pd.read_csv(tables / "comparisons.csv")
    assert {"p_holm", "smallest_p_sign_flip_holm", "sd_test_images", "verdict"} <= set(comparisons)


def test_the_set_rests_on_the_fresh_runs_of_the_finalists(simulated: Callable[..., Path], tmp_path: Path) -> None:
    finalists = {0: (0.66, 0.67, 0.68), 2: (0.70, 0.71, 0.69)}
    study = load_study(simulated(finalists=finalists, n_trials=8, n_pruned=0, n_failed=0))
    table = winners_curse_blocks(study, Writer(tmp_path))[-1]
    kept = pd.read_csv(tmp_path / "tables" / "not_worse.csv")
    assert 1 <= kept["n_kept"].iloc[0] <= 8
    # Four degrees of freedom, an sd of a point, two finalists: 2.776 times the error of a mean of three less one run.
    assert kept["highest"].iloc[0] == pytest.approx(0.70, abs=1e-6)
    assert kept["margin"].iloc[0] == pytest.approx(0.01 * 2.776 * (4 / 3) ** 0.5, abs=1e-4)
    assert "cannot be told from the best on this D_val" in table.caption


def test_a_conditional_knob_that_no_kept_trial_has_is_shown_as_a_dash(
    simulated: Callable[..., Path], tmp_path: Path
) -> None:
    folder = simulated(space=ACCKD_FULL, finalists={}, n_trials=30, n_pruned=0, n_failed=0, n_seeds=0)
    study = load_study(folder)
    for trial in study.complete:
        trial.values = [0.5 if trial.params["use_kd"] else 0.7 + 0.001 * trial.number]
    best, second = [trial.number for trial in study.complete if not trial.params["use_kd"]][-2:]
    fresh = {best: Spread(3, 0.72, 0.005), second: Spread(3, 0.72, 0.005)}
    kept = best_subset(study.complete, study.knobs, fresh=fresh)
    assert kept is not None
    table = best_subset_table(study, kept, Writer(tmp_path))
    shown = {row[0]: row[2] for row in table.rows}
    assert (shown["kd_weight"], shown["use_kd"]) == ("–", "False")
    assert " to " in shown["tau"]


@pytest.mark.parametrize("finalists", [{}, {0: (0.66, 0.67)}, {0: (0.66,), 2: (0.7,)}])
def test_without_fresh_runs_of_two_finalists_no_set_is_shown(
    simulated: Callable[..., Path], tmp_path: Path, finalists: dict[int, tuple[float, ...]]
) -> None:
    winners_curse_blocks(
        load_study(simulated(finalists=finalists, n_trials=8, n_pruned=0, n_failed=0)), Writer(tmp_path)
    )
    assert not (tmp_path / "tables" / "not_worse.csv").exists()
