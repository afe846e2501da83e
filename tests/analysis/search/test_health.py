"""Study health against independent references: enumeration, pandas' ranks, known coverage and edges."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
import optuna
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as some
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from analysis.search.health import (
    LEVEL,
    coverage,
    edges,
    expected_best,
    outlook,
    pair_coverage,
    rung_ranks,
    spearman,
)
from search_spaces.knob import Knob
from search_spaces.knobs import MIX_BALANCE, MIX_UNTIL, TAU_FROM_0

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


@pytest.mark.parametrize(
    ("spec", "cells"),
    [
        (IntDistribution(1, 8, log=True), 8),
        (IntDistribution(1, 8), 8),
        (IntDistribution(0, 90, step=30), 4),
        (FloatDistribution(0.0, 1.0, step=0.25), 5),
        (IntDistribution(1, 20, log=True), 9),  # no whole number has its place in the second tenth
        (IntDistribution(1, 12, log=True), 8),  # nor in the second and the fourth
        (IntDistribution(0, 200), 10),
        (IntDistribution(1, 10**9, log=True), 10),
    ],
)
def test_a_knob_whose_values_were_all_tried_is_covered(spec: IntDistribution | FloatDistribution, cells: int) -> None:
    knob = Knob("n", spec, "1", "a number", spec.low)
    n_values = min(1000, 1 + round((spec.high - spec.low) / (spec.step or 1)))
    values = [spec.low + k * (spec.step or 1) for k in range(n_values)]
    if spec.high > values[-1]:
        values = np.unique(np.geomspace(spec.low, spec.high, 1000).round().astype(int)).tolist()
    trials = [create_trial(value=0.5, params={"n": value}, distributions={"n": spec}) for value in values]
    (row,) = coverage(trials, [knob]).to_dict("records")
    assert (row["cells"], row["covered"]) == (cells, 1.0)
    assert pair_coverage(trials, [knob, replace(knob, name="m")])["n"].tolist() == [0]


#: As many numbers as `acckd_full` has.
NUMBERS = tuple(Knob(f"k{k}", FloatDistribution(0.0, 1.0), "1", "a number", 0.5) for k in range(11))


def _placed(x: np.ndarray, values: Sequence[float]) -> list[FrozenTrial]:
    specs = {knob.name: knob.distribution for knob in NUMBERS}
    params = [dict(zip(specs, row, strict=True)) for row in x.tolist()]
    return [
        create_trial(value=value, params=one, distributions=specs) for one, value in zip(params, values, strict=True)
    ]


def test_leading_trials_on_an_edge_are_compared_with_all_trials() -> None:
    """Of 50 trials the four best and four others lie on the upper edge; the fifth does not."""
    x = np.full((50, 11), 0.5)
    x[:4, 0] = x[20:24, 0] = 0.99
    trials = _placed(x, np.linspace(0.9, 0.5, 50).tolist())
    table = edges(trials, NUMBERS, trials[7]).set_index("knob")
    assert list(table.index) == [knob.name for knob in NUMBERS]
    row = table.loc["k0"]
    assert (row["edge"], row["end"], row["n_leading"], row["position"]) == ("upper", 1.0, 5, 0.5)
    assert (row["leading_on_edge"], row["trials_on_edge"]) == pytest.approx((4 / 5, 8 / 50))
    table_of_four = [[4, 1], [4, 41]]
    assert row["p"] == pytest.approx(22 * scipy.stats.fisher_exact(table_of_four, alternative="greater").pvalue)
    assert row["p"] < 0.05
    assert table.loc["k1", "edge"] == ""
    assert np.isnan(table.loc["k1", "p"])
    assert edges(trials, NUMBERS, None).empty


def test_an_edge_is_rarely_told_where_the_trials_lie_at_random() -> None:
    """Of 11 knobs a random best lies on an edge of one in 69 % of studies; told may be 5 %."""
    rng, told, best_on_edge = np.random.default_rng(0), 0, 0
    for _ in range(100):
        trials = _placed(rng.random((50, 11)), rng.normal(size=50).tolist())
        table = edges(trials, NUMBERS, max(trials, key=lambda trial: trial.value or 0.0))
        best_on_edge += bool((np.abs(table["position"] - 0.5) >= 0.45).any())
        told += bool((table["p"] <= LEVEL).any())
    assert best_on_edge > 50
    assert told <= 10  # 11 or more of 100 would have a chance of 1 %


def test_values_that_every_sampler_puts_on_an_end_are_no_finding() -> None:
    """Each of two whole numbers is an edge, and leading trials lie on one as all trials do."""
    knob = Knob("n", IntDistribution(1, 2), "1", "a number", 1)
    trials = [
        create_trial(value=1 - k / 40, params={"n": 1 + (k > 30)}, distributions={"n": knob.distribution})
        for k in range(40)
    ]
    (row,) = edges(trials, [knob], trials[0]).to_dict("records")
    assert (row["edge"], row["leading_on_edge"]) == ("lower", 1.0)
    assert row["p"] > 0.3


def test_a_legal_bound_is_not_tested_because_nothing_lies_beyond_it() -> None:
    """The reference of mix_balance is 1: classes cannot be drawn more than alike."""
    assert [MIX_BALANCE.widens, MIX_UNTIL.widens, TAU_FROM_0.widens] == [(False, False), (True, False), (False, True)]
    assert PLAIN.widens == LOG.widens == (True, True)
    spec = {"mix_balance": MIX_BALANCE.distribution}
    trials = [
        create_trial(value=1 - k / 40, params={"mix_balance": 1.0 if k < 5 else k / 50}, distributions=spec)
        for k in range(40)
    ]
    (row,) = edges(trials, [MIX_BALANCE], trials[0]).to_dict("records")
    assert (row["edge"], row["leading_on_edge"]) == ("upper", 1.0)
    assert np.isnan(row["p"])


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
