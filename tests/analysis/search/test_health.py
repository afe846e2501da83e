"""Study health against independent references: enumeration, pandas' ranks, known coverage and edges."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import optuna
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState

from analysis.search.health import (
    coverage,
    edges,
    expected_best,
    outlook,
    pair_coverage,
    rung_ranks,
    spearman,
)
from search_spaces.knob import Knob

LOG = Knob("weight", FloatDistribution(0.1, 10.0, log=True), "1", "a factor", 1.0)
PLAIN = Knob("ratio", FloatDistribution(0.0, 1.0), "1", "a share", 0.5)
CHOICE = Knob("op", CategoricalDistribution(("mixup", "cutmix")), "1", "a choice", "mixup")
KNOBS = (LOG, PLAIN, CHOICE)


def _trial(value: float | None, steps: Sequence[float] = (), state: TrialState | None = None, **params) -> FrozenTrial:
    kinds = {knob.name: knob.distribution for knob in KNOBS}
    return optuna.trial.create_trial(
        state=state or (TrialState.PRUNED if value is None else TrialState.COMPLETE),
        value=value,
        params=params,
        distributions={name: kinds[name] for name in params},
        intermediate_values=dict(enumerate(steps, start=1)),
    )


def test_coverage_counts_cells_on_the_knobs_own_scale() -> None:
    trials = [_trial(0.5, weight=w, ratio=r, op="mixup") for w, r in ((0.1, 0.05), (0.12, 0.95), (9.9, 0.5))]
    table = coverage(trials, KNOBS).set_index("knob")
    assert table.loc["weight", "covered"] == pytest.approx(0.2)  # two of ten factors of 10^0.2
    assert table.loc["ratio", "covered"] == pytest.approx(0.3)
    assert table.loc["op", "covered"] == 0.5
    assert table.loc["weight", "largest_gap"] == pytest.approx(np.log10(9.9 / 0.12) / 2)
    assert table.loc["ratio", "largest_gap"] == pytest.approx(0.45)


def test_a_conditional_knob_is_covered_by_the_trials_that_have_it() -> None:
    table = coverage([_trial(0.5, ratio=0.5), _trial(0.5, ratio=0.6, weight=1.0)], KNOBS).set_index("knob")
    assert table.loc["weight", "n"] == 1
    assert table.loc["op", "covered"] == 0.0
    assert list(pair_coverage([_trial(0.5, ratio=0.5)], (LOG, PLAIN))["covered"]) == [0.0]


def test_pairs_count_the_cells_of_the_heatmaps() -> None:
    trials = [_trial(0.5, weight=0.1, ratio=0.1), _trial(0.5, weight=0.11, ratio=0.1), _trial(0.5, weight=9, ratio=0.9)]
    (row,) = pair_coverage(trials, (LOG, PLAIN)).to_dict("records")
    assert (row["x"], row["y"], row["n"], row["cells"]) == ("weight", "ratio", 3, 9)
    assert row["covered"] == pytest.approx(2 / 9)


def test_the_best_on_an_edge_is_told_with_what_the_leading_trials_do() -> None:
    trials = [_trial(0.9 - 0.01 * i, weight=10.0 if i < 4 else 1.0, ratio=0.5) for i in range(12)]
    table = edges(trials, KNOBS, trials[0]).set_index("knob")
    assert list(table.index) == ["weight", "ratio"]
    assert table.loc["weight", "edge"] == "upper"
    assert table.loc["weight", "leading_on_edge"] == pytest.approx(4 / 5)
    assert table.loc["ratio", "edge"] == ""
    assert edges(trials, KNOBS, None).empty


@given(some.lists(some.floats(0, 1), min_size=4, max_size=12), some.integers(0, 2**32 - 1))
@settings(max_examples=60)
def test_rank_correlation_is_pandas(values: list[float], seed: int) -> None:
    first = np.round(values, 1)  # rounded, so that ties occur
    second = np.random.default_rng(seed).permutation(first)
    if np.ptp(first) == 0:
        assert np.isnan(spearman(first, second))
    else:
        assert spearman(first, second) == pytest.approx(pd.Series(first).corr(pd.Series(second), method="spearman"))


def test_rungs_are_judged_over_trials_that_have_both_values() -> None:
    rng = np.random.default_rng(0)
    final = rng.uniform(0.5, 0.9, 30)
    trials = [_trial(f, (rng.uniform(), f - 0.1, f), ratio=0.5) for f in final]
    trials.append(_trial(0.3, (0.9,), ratio=0.5))  # one without a second rung; its only step is its last
    table = rung_ranks(trials).set_index("epoch")
    assert list(table.index) == [1, 2]
    assert table.loc[2, "n"] == 30
    assert table.loc[2, "spearman"] == pytest.approx(1.0)
    assert table.loc[1, "n"] == 31
    assert abs(table.loc[1, "spearman"]) < 0.5
    assert table.loc[1, "low"] < table.loc[1, "spearman"] < table.loc[1, "high"]
    assert rung_ranks([]).empty


@given(some.lists(some.floats(0, 1), min_size=1, max_size=7))
@settings(max_examples=40)
def test_the_expected_best_is_the_mean_over_all_subsets(values: list[float]) -> None:
    found = expected_best(values)
    for m in range(1, len(values) + 1):
        assert found[m - 1] == pytest.approx(np.mean([max(some_of) for some_of in combinations(values, m)]))


def test_the_expected_best_of_many_stays_finite_and_rises() -> None:
    found = expected_best(np.random.default_rng(0).uniform(size=1500).tolist())
    assert np.isfinite(found).all()
    assert (np.diff(found) >= -1e-9).all()
    assert found[499] == pytest.approx(500 / 501, abs=0.002)  # the mean of the best of 500 uniform values


def test_the_outlook_falls_as_the_best_moves_away() -> None:
    rng = np.random.default_rng(1)
    usual = [_trial(float(v), ratio=0.5) for v in rng.normal(0.7, 0.02, 60)]
    near, far = (outlook([_trial(best, ratio=0.5), *usual]) for best in (0.74, 0.80))
    assert 0 < near.mean < 0.02
    assert near.chance > 0.4
    assert far.chance < 0.02
    assert far.mean < near.mean
    assert near.n_seen == 31


def test_pruned_trials_bring_nothing_and_few_trials_say_nothing() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(0.7, 0.02, 40).tolist()
    all_complete = outlook([_trial(v, ratio=0.5) for v in values])
    half_pruned = outlook([_trial(v if i % 2 else None, ratio=0.5) for i, v in enumerate(values)])
    assert half_pruned.chance < all_complete.chance
    assert np.isnan(outlook([_trial(0.5, ratio=0.5)] * 3).mean)
    assert np.isnan(outlook([]).mean)


def test_the_outlook_is_calibrated_on_a_search_without_memory() -> None:
    # 60 uniform values: a further 20 beat their best with probability 20/80; the smoothed bootstrap should be near.
    found = []
    for seed in range(40):
        values = np.random.default_rng(seed).normal(0.7, 0.02, 60)
        found.append(outlook([_trial(float(v), ratio=0.5) for v in values], n_bootstrap=400).chance)
    assert np.mean(found) == pytest.approx(20 / 80, abs=0.1)
