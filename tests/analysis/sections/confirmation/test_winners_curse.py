"""The tables of the winner's curse in a report."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from analysis.page.writer import Writer
from analysis.reading.study_folder import load_study
from analysis.results.accuracies import training_noise
from analysis.sections.confirmation.winners_curse import best_subset_table, winners_curse_blocks
from analysis.stats.best_subset import best_subset
from analysis.stats.paired_tests import Spread
from search_spaces.acckd import ACCKD_FULL
from tests.analysis.simulation import fail_run
from tests.support.prose import long_sentences

SMALL = {"n_trials": 8, "n_pruned": 0, "n_failed": 0}


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


@pytest.mark.parametrize(
    ("entry", "seeds"), [("best1", (1003,)), ("best1", (1001, 1004)), ("la_tuned", (1002, 1003, 1006))]
)
def test_a_diverged_run_counts_on_validation_as_on_test(
    simulated: Callable[..., Path], tmp_path: Path, entry: str, seeds: tuple[int, ...]
) -> None:
    """Every run has 74 % on test and half a point more on validation; a diverged one has 10 % on both."""
    flat = dict.fromkeys(("la", "la_tuned", "kd", "best1"), (0.74, 0.74))
    folder = simulated(recalls=flat, seed_sd=0.0, **SMALL)
    for seed in seeds:
        fail_run(folder, entry, seed, "non-finite loss: it became nan")
    (table, *_) = winners_curse_blocks(load_study(folder), Writer(tmp_path))
    row = pd.read_csv(tmp_path / "tables" / "shrinkage.csv").set_index("entry").loc[entry]
    n = len(seeds)
    assert row["n"] == 6
    assert row["val_again"] == pytest.approx(((6 - n) * 0.745 + n * 0.1) / 6)
    assert row["test"] == pytest.approx(((6 - n) * 0.74 + n * 0.1) / 6)
    assert "A diverged run counts at chance on both sets." in table.caption


def test_both_tables_have_the_noise_of_the_finalists(simulated: Callable[..., Path], tmp_path: Path) -> None:
    finalists = {0: (0.66, 0.67, 0.68), 2: (0.70, 0.74, 0.66)}
    study = load_study(simulated(finalists=finalists, **SMALL))
    assert 100 * training_noise(study) < 2
    captions = [block.caption for block in winners_curse_blocks(study, Writer(tmp_path))]
    noise = ((0.01**2 + 0.04**2) / 2) ** 0.5
    said = f"Training seeds move one run by an sd of {100 * noise:.1f} points, pooled over the finalists' fresh runs."
    assert [caption.count(said) for caption in captions] == [1, 1]
    assert long_sentences(" ".join(captions)) == []
    # The mean of the largest of eight standard normals is 1.42 (Blom's approximation 1.43).
    assert f"lift the highest {100 * 1.434 * noise:.1f} points above its own mean." in captions[0]


@pytest.mark.parametrize("finalists", [{}, {0: (0.66,), 2: (0.7,)}])
def test_without_fresh_runs_the_noise_is_that_of_the_confirmation_and_says_so(
    simulated: Callable[..., Path], tmp_path: Path, finalists: dict[int, tuple[float, ...]]
) -> None:
    study = load_study(simulated(finalists=finalists, **SMALL))
    (table,) = winners_curse_blocks(study, Writer(tmp_path))
    noise = 100 * training_noise(study)
    assert f"an sd of {noise:.1f} points, pooled over the runs of each entry of the confirmation." in table.caption


def test_one_finalist_with_two_fresh_runs_knows_the_noise(simulated: Callable[..., Path], tmp_path: Path) -> None:
    (table,) = winners_curse_blocks(load_study(simulated(finalists={0: (0.66, 0.68)}, **SMALL)), Writer(tmp_path))
    assert "an sd of 1.4 points, pooled over the finalists' fresh runs." in table.caption
