"""What was luck: the set that holds the truly best, the test images' part, verdicts that pay for two comparisons."""

from collections.abc import Callable
from itertools import product
from math import isnan
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, create_trial

from analysis.reading.study_data import load_study
from analysis.results.accuracies import noise_degrees, scores
from analysis.results.comparisons import Comparison, primary_family
from analysis.stats.best_subset import best_subset, critical_distance
from analysis.stats.paired_tests import PairedInterval, SignFlip, paired_interval
from analysis.stats.test_set_bootstrap import image_part
from search_spaces.space import Knob

Simulated = Callable[..., Path]
KNOBS = (
    Knob("w", FloatDistribution(0.0, 1.0), "1", "a reason", 0.5),
    Knob("op", CategoricalDistribution(("a", "b")), "choice", "a reason", "a"),
)


def _trials(values: list[float]) -> list[FrozenTrial]:
    spec = {knob.name: knob.distribution for knob in KNOBS}
    points = [{"w": index / len(values), "op": "ab"[index % 2]} for index in range(len(values))]
    return [create_trial(params=at, distributions=spec, value=value) for at, value in zip(points, values, strict=True)]


def test_the_set_holds_the_scores_within_the_margin_and_the_ranges_of_their_knobs() -> None:
    margin = 0.01 * critical_distance(5, 30)
    found = best_subset(_trials([0.7, 0.7 - 0.9 * margin, 0.5, 0.7 - 1.1 * margin, 0.69]), KNOBS, noise=0.01, free=30)
    assert found is not None
    assert found.margin == pytest.approx(margin)
    ranges = found.ranges.set_index("knob")
    assert ranges.loc["w", ["low", "high", "n"]].tolist() == [0.0, 0.8, 3]
    assert ranges.loc["op", "low"] == "a, b"


def test_the_critical_distance_of_two_is_that_of_a_t_test_of_their_difference() -> None:
    # For two, d / sqrt(2) is the 95 % quantile of t; tables of Gupta (1965) give 2.33 for two and 3.6 for 50.
    assert critical_distance(2, 10**6) == pytest.approx(1.645 * 2**0.5, abs=0.02)
    assert critical_distance(2, 10) == pytest.approx(1.812 * 2**0.5, abs=0.02)


@pytest.mark.parametrize("gap", [0.0, 0.004, 0.05])
def test_the_truly_best_is_kept_as_often_as_promised(gap: float) -> None:
    rng = np.random.default_rng(0)
    true = np.array([0.7 + gap, *[0.7] * 39])
    margin = critical_distance(40, 35)
    kept = 0
    for _ in range(1000):
        seen = true + rng.normal(0, 0.012, 40)
        noise = 0.012 * np.sqrt(rng.chisquare(35) / 35)
        kept += seen[0] >= seen.max() - margin * noise
    assert kept / 1000 >= 0.93


@pytest.mark.parametrize(("noise", "free"), [(float("nan"), 10), (0.01, 0)])
def test_without_a_noise_to_judge_by_there_is_no_set(noise: float, free: int) -> None:
    assert best_subset(_trials([0.7, 0.6]), KNOBS, noise=noise, free=free) is None


def test_the_test_images_part_is_the_binomial_spread_of_both_entries() -> None:
    recall = {"best1": [0.9, 0.5], "la": [0.8, 0.4]}
    n_test = [300, 100]
    table = pd.DataFrame(
        [
            {"entry": entry, "class_id": c, "n_test": n_test[c], "recall": values[c] + shift}
            for (entry, values), c, shift in product(recall.items(), range(2), (-0.02, 0.02))
        ]
    )
    expected = (
        sum(p * (1 - p) / n for values in recall.values() for p, n in zip(values, n_test, strict=True)) ** 0.5 / 2
    )
    found = image_part(table, "best1", "la", n_draws=20_000)
    assert found.sd == pytest.approx(expected, rel=0.03)
    assert found.mean == pytest.approx(0.1, abs=0.002)
    assert isnan(image_part(table, "best1", "absent").sd)


def _comparison(interval: PairedInterval, p_holm: float) -> Comparison:
    return Comparison("best1", "la", interval, p_holm, SignFlip(6, 1 / 32, 1 / 32), 2 / 32, 2 / 32)


def test_the_verdict_pays_for_both_comparisons() -> None:
    clear = paired_interval([0.02, 0.01, 0.03, 0.015, 0.02, 0.001])
    assert clear.verdict == "gain"
    assert _comparison(clear, 0.04).verdict == "gain"
    assert _comparison(clear, 0.06).verdict == "unclear"
    lost = paired_interval([-0.02, -0.01, -0.03, -0.015, -0.02, -0.01])
    assert _comparison(lost, 0.01).verdict == "loss"
    assert _comparison(paired_interval([0.02, 0.021, 0.02]), 0.001).verdict == "too few"


@pytest.mark.parametrize(("n_seeds", "can"), [(6, False), (7, True)])
def test_six_pairs_leave_the_sign_flip_test_mute_after_holm_and_seven_do_not(
    simulated: Simulated, n_seeds: int, can: bool
) -> None:
    study = load_study(simulated(n_trials=4, n_pruned=0, n_failed=0, n_seeds=n_seeds))
    family = primary_family(scores(study))
    assert [item.smallest_flip_holm for item in family] == [2 * 2.0 ** (1 - n_seeds)] * 2
    assert all(item.flip_can_reject == can and item.flip_holm >= item.flip.p for item in family)
    assert noise_degrees(study) == 7 * (n_seeds - 1)


def test_the_report_shows_shrinkage_and_the_set(reported: Path) -> None:
    tables = reported / "report" / "tables"
    shrinkage, confirm = pd.read_csv(tables / "shrinkage.csv"), pd.read_csv(reported / "confirm.csv")
    runs = confirm[confirm["entry"] == "best1"]
    assert shrinkage["entry"].tolist() == ["best1"]
    assert shrinkage.loc[0, "val_again"] == pytest.approx(runs["val_balanced_accuracy"].mean())
    assert shrinkage.loc[0, "test"] == pytest.approx(runs["test_balanced_accuracy"].mean())
    kept = pd.read_csv(tables / "not_worse.csv")
    assert 1 <= kept["n_kept"].iloc[0] <= 16
    comparisons = pd.read_csv(tables / "comparisons.csv")
    assert {"p_holm", "smallest_p_sign_flip_holm", "sd_test_images", "verdict"} <= set(comparisons)
