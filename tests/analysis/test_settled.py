"""A look at a search: knobs told, bounded or open, and where the best trial stands."""

from collections.abc import Sequence

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, create_trial

from analysis.settled import WITHIN, Look, judged
from search_spaces.knob import Knob

KNOBS = (
    Knob("tau", FloatDistribution(0.0, 2.0), "1", "a reason", 1.0),
    Knob("weight", FloatDistribution(0.0, 1.0), "1", "a reason", 0.5),
    Knob("switch", CategoricalDistribution((False, True)), "choice", "a reason", False),
)


def trials(n: int, noise: float, *, of_tau: float = 0.1, best: float | None = None) -> list[FrozenTrial]:
    """Trials whose accuracy falls by `of_tau` from tau 0 to 2; the last one stands at tau `best` and beats them all."""
    rng = np.random.default_rng(0)
    places = {"tau": 2 * (rng.permutation(n) + 0.5) / n, "weight": (rng.permutation(n) + 0.5) / n}
    found = []
    for k in range(n):
        params = {name: float(values[k]) for name, values in places.items()} | {"switch": bool(rng.integers(2))}
        value = 0.8 - of_tau * params["tau"] / 2 + noise * rng.normal()
        if best is not None and k == n - 1:
            params["tau"], value = best, 0.9
        distributions = {knob.name: knob.distribution for knob in KNOBS}
        found.append(create_trial(params=params, distributions=distributions, value=value))
    return found


def looked(found: Sequence[FrozenTrial]) -> Look:
    return judged(found, KNOBS, 0.25, _best(found))


def _best(found: Sequence[FrozenTrial]) -> FrozenTrial | None:
    return max(found, key=lambda trial: trial.value, default=None)


def test_a_clear_slope_among_knobs_that_cost_nothing_is_settled() -> None:
    found = looked(trials(60, 0.005))
    assert (found.settled, found.named, found.open, found.unplaced) == (True, ("tau",), (), ())
    assert 0 < found.bound <= WITHIN
    assert found.text.startswith("60 complete trials settle it: tau matters; no other choice costs more than ")


def test_knobs_that_are_all_shown_to_cost_next_to_nothing_are_settled() -> None:
    found = looked(trials(80, 0.003, of_tau=0.0))
    assert (found.settled, found.named) == (True, ())
    assert "settle it: no knob is shown to matter; no other choice costs more than 0." in found.text


def test_noise_leaves_knobs_open() -> None:
    found = looked(trials(24, 0.05, of_tau=0.0))
    assert not found.settled
    assert "tau" in found.open
    assert found.text.startswith(f"24 complete trials leave {len(found.open)} knobs open: tau")


def test_a_best_trial_at_a_bad_place_keeps_a_search_going() -> None:
    found = looked(trials(60, 0.005, best=1.9))
    assert (found.settled, found.unplaced) == (False, ("tau",))
    assert found.text == "60 complete trials do not show that the best trial's tau is near the best value"


@pytest.mark.parametrize("n", [0, 3, 7])
def test_too_few_trials_leave_every_knob_open(n: int) -> None:
    assert looked(trials(n, 0.005)).open == ("tau", "weight", "switch")


def test_a_smaller_share_of_the_level_names_no_more() -> None:
    found = trials(30, 0.03, of_tau=0.05)
    strict, loose = (set(judged(found, KNOBS, share, _best(found)).named) for share in (0.05, 1.0))
    assert strict <= loose


def test_a_search_without_a_trial_to_recommend_goes_on() -> None:
    found = judged(trials(60, 0.005), KNOBS, 0.25, None)
    assert not found.settled
    assert found.text == "none of 60 complete trials may be recommended"


def test_a_named_knob_that_the_best_trial_does_not_have_keeps_no_search_going() -> None:
    """Without the switch, the best trials; with it, the weight decides."""
    rng = np.random.default_rng(0)
    found = []
    for k, (tau, weight) in enumerate(zip(rng.permutation(80) / 40, rng.permutation(80) / 80, strict=True)):
        switch = k % 2 == 1
        params = {"tau": float(tau), "switch": switch} | ({"weight": float(weight)} if switch else {})
        value = 0.7 - 0.1 * params.get("weight", -0.5) + 0.004 * rng.normal()
        distributions = {knob.name: knob.distribution for knob in KNOBS if knob.name in params}
        found.append(create_trial(params=params, distributions=distributions, value=value))
    seen = looked(found)
    assert {"switch", "weight"} <= set(seen.named)
    assert "weight" not in seen.unplaced
    best_with_it = max((trial for trial in found if "weight" in trial.params), key=lambda trial: -trial.value)
    assert "weight" in judged(found, KNOBS, 0.25, best_with_it).unplaced
