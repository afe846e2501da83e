"""The surrogate finds what is there, says how much it explains, and uses what pruned trials and fresh runs tell."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from analysis.search.interactions import interactions
from analysis.search.surrogate import MIN_TRIALS, Shape, Surrogate, fit_surrogate
from analysis.search.trial_matrix import trial_matrix
from search_spaces.knob import Knob

_KNOBS = (
    *(Knob(name, FloatDistribution(0.0, 1.0), "1", "a reason", 0.5) for name in ("peak", "slope", "idle", "child")),
    Knob("op", CategoricalDistribution(("a", "b", "c")), "choice", "a reason", "a"),
)
_SPECS: dict[str, Any] = {knob.name: knob.distribution for knob in _KNOBS}
_NOISE = 0.005
_SHAPE = Shape(("peak", "slope", "op"))


def _truth(params: dict[str, Any]) -> float:
    at_op = {"a": 0.0, "b": 0.01, "c": -0.01}[params["op"]]
    return 0.7 + 0.02 * params["slope"] + 0.03 * np.exp(-(((params["peak"] - 0.7) / 0.12) ** 2) / 2) + at_op


def _trial(
    params: dict[str, Any], value: float, *, number: int, pruned: bool = False, early: float = 0.0
) -> FrozenTrial:
    trial = create_trial(
        params=params,
        distributions={name: _SPECS[name] for name in params},
        state=TrialState.PRUNED if pruned else TrialState.COMPLETE,
        value=None if pruned else value,
        intermediate_values={1: early} if pruned else {1: early, 2: value},
        user_attrs={"kind": "sobol"},
    )
    trial.number = number
    return trial


def _trials(n: int, truth: Callable[[dict[str, Any]], float] = _truth, *, n_pruned: int = 0) -> list[FrozenTrial]:
    rng = np.random.default_rng(0)
    found = []
    for number in range(n):
        params: dict[str, Any] = {name: float(rng.uniform()) for name in ("peak", "slope", "idle")}
        params["op"] = str(rng.choice(["a", "b", "c"]))
        if rng.uniform() < 0.5:
            params["child"] = float(rng.uniform())
        value = truth(params) + _NOISE * rng.normal()
        early = value - 0.1 + _NOISE * rng.normal()
        found.append(_trial(params, value, number=number, pruned=number >= n - n_pruned, early=early))
    return found


def _fit(trials: list[FrozenTrial], shape: Shape = _SHAPE, fresh: Mapping[int, list[float]] | None = None) -> Surrogate:
    surrogate = fit_surrogate(trials, _KNOBS, shape, fresh or {})
    assert surrogate is not None
    return surrogate


def test_a_pair_is_near_its_truth_with_the_others_taken_out() -> None:
    surrogate = _fit(_trials(120))
    x, y = np.linspace(0.05, 0.95, 10), np.linspace(0.05, 0.95, 7)
    curve = surrogate.pair("peak", "slope", (x, y))
    true = np.array([_truth({"peak": a, "slope": b, "op": "a"}) for b in y for a in x])
    apart = curve.mean - true
    assert np.std(apart) < _NOISE
    assert x[int(curve.best) % 10] == pytest.approx(0.7, abs=0.1)
    # x is fastest: along it the peak, along y the slope.
    assert np.ptp(curve.mean.reshape(7, 10).mean(axis=1)) == pytest.approx(0.018, abs=0.006)
    assert surrogate.r2 > 0.6


def test_the_best_region_holds_the_truth_and_not_the_rest() -> None:
    curve = _fit(_trials(120)).pair("peak", "slope", (np.linspace(0, 1, 11), np.array([0.0, 1.0])))
    stay = curve.not_below_best.reshape(2, 11)
    assert stay[1, 7]
    assert not stay[:, 0].any()


def test_chance_is_not_explained() -> None:
    surrogate = _fit(_trials(60, lambda _: 0.7), Shape(()))
    assert surrogate.r2 < 0.1


def test_pairs_that_interact_are_in_the_surface() -> None:
    def saddle(params: dict[str, Any]) -> float:
        return 0.7 + 0.1 * (params["peak"] - 0.5) * (params["slope"] - 0.5)

    trials = _trials(100, saddle)
    matrix = trial_matrix(trials, _KNOBS)
    found = interactions(matrix, np.array([trial.value for trial in trials], dtype=float)).clear
    assert found == (("peak", "slope"),)
    corners = np.array([0.1, 0.9]), np.array([0.1, 0.9])
    with_pair = _fit(trials, Shape((), found)).pair("peak", "slope", corners).mean
    without = _fit(trials, Shape(())).pair("peak", "slope", corners).mean
    assert with_pair[0] - with_pair[1] - with_pair[2] + with_pair[3] == pytest.approx(0.064, abs=0.01)
    assert abs(without[0] - without[1] - without[2] + without[3]) < 1e-9


def test_a_trial_that_diverged_by_chance_moves_nothing() -> None:
    trials = _trials(80)
    where = np.linspace(0, 1, 9), np.linspace(0, 1, 9)
    before = _fit(trials).pair("peak", "slope", where).mean
    one = trials[40]
    trials[40] = _trial(dict(one.params), 0.1, number=40, early=0.1)
    after = _fit(trials).pair("peak", "slope", where).mean
    assert np.abs(after - before).max() < _NOISE


def test_pruned_trials_say_where_it_is_bad() -> None:
    """Complete trials stand in the upper half of the slope alone; the pruned ones know the lower half."""
    trials = _trials(160)
    kept = [trial for trial in trials if trial.params["slope"] > 0.5]
    pruned = [
        _trial(dict(t.params), 0.0, number=t.number, pruned=True, early=t.intermediate_values[1])
        for t in trials
        if t.params["slope"] <= 0.5
    ]
    ends = np.array([0.7]), np.array([0.05, 0.95])
    true = 0.02 * 0.9
    alone, both = (np.diff(_fit(found).pair("peak", "slope", ends).mean)[0] for found in (kept, [*kept, *pruned]))
    assert _fit([*kept, *pruned]).n_pruned == len(pruned)
    assert abs(both - true) < abs(alone - true)


def test_a_pruned_trial_without_a_rung_that_others_reached_says_nothing() -> None:
    trials = _trials(40)
    odd = create_trial(
        params=trials[0].params, distributions={name: _SPECS[name] for name in trials[0].params},
        state=TrialState.PRUNED, intermediate_values={7: 0.2},
    )  # fmt: skip
    silent = create_trial(params={}, distributions={}, state=TrialState.PRUNED)
    assert _fit([*trials, odd, silent]).n_pruned == 0


def test_fresh_runs_correct_a_lucky_trial() -> None:
    trials = _trials(40)
    params = dict(trials[7].params) | {"peak": 0.05}
    trials[7] = _trial(params, _truth(params) + 3 * _NOISE, number=7, early=0.6)
    at = np.array([0.05]), np.array([params["slope"]])
    lucky = _fit(trials)
    corrected = _fit(trials, fresh={7: [_truth(params)] * 6, 99: [0.0]})
    assert corrected.n_fresh == 6
    true = _truth(params | {"op": "a"})
    assert abs(corrected.pair("peak", "slope", at).mean[0] - true) < abs(lucky.pair("peak", "slope", at).mean[0] - true)


def test_a_conditional_knob_is_seen_among_the_trials_that_have_it() -> None:
    surrogate = _fit(_trials(60))
    assert np.isfinite(surrogate.pair("child", "op", (np.linspace(0, 1, 5), np.array([0, 0.5, 1.0]))).mean).all()


@pytest.mark.parametrize(
    "trials", [_trials(MIN_TRIALS - 1), [], [_trial({"peak": k / 20}, 0.5, number=k) for k in range(20)]]
)
def test_too_few_trials_or_equal_values_have_no_surrogate(trials: list[FrozenTrial]) -> None:
    assert fit_surrogate(trials, _KNOBS, Shape(()), {}) is None


def test_where_most_values_tie_the_r2_is_that_of_the_values() -> None:
    """With equal quartiles all values were drawn in to one, and an R2 of -5e13 was printed."""
    trials = _trials(40)
    highest = {t.number for t in sorted(trials, key=lambda t: -t.params["slope"])[:9]}
    tied = [_trial(dict(t.params), 0.4 if t.number in highest else 0.0, number=t.number) for t in trials]
    assert 0 < _fit(tied, Shape(("slope",))).r2 < 1


def test_values_that_differ_in_one_fold_alone_have_no_surrogate() -> None:
    trials = [_trial(dict(t.params), 0.1 if t.number == 7 else 0.7, number=t.number) for t in _trials(40)]
    assert fit_surrogate(trials, _KNOBS, Shape(()), {}) is None
