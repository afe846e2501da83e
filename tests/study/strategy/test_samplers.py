"""Every sampler is a function of (space, settings, number), stays inside the space, and covers it as it says."""

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import accumulate

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution, IntDistribution
from scipy.stats import qmc

from search_spaces import get_space
from search_spaces.faults import contains
from search_spaces.knob import Condition, Knob
from search_spaces.space import SearchSpace
from study.strategy.objectives import SecondObjective
from study.strategy.samplers import SAMPLERS
from study.strategy.search_settings import (
    SearchSettings,
    SettingsError,
    check_sampler,
    kind_of,
    make_sampler,
    most_trials,
)
from study.strategy.space_filling import at_fraction, grid_point, grid_size, latin_hypercube, levels


def _run(space: SearchSpace, settings, n_trials: int) -> list[dict]:
    study = optuna.create_study(direction="maximize")
    points = []
    for number in range(n_trials):
        study.sampler = make_sampler(space, settings, number)
        trial = study.ask()
        points.append(space.suggest(trial))
        study.tell(trial, float(number % 3))
    return points


@pytest.mark.parametrize("sampler", [name for name in SAMPLERS if name != "gp"])
def test_every_sampler_repeats_itself_and_stays_inside_the_space(sampler, space, settings) -> None:
    chosen = settings(sampler=sampler, trials=14)
    points = _run(space, chosen, 14)
    assert points == _run(space, chosen, 14)
    for point in points:
        assert all(contains(space.distributions[name], value) for name, value in point.items())
        assert ("inner" in point) == point["switch"]


@pytest.mark.parametrize("sampler", [name for name in SAMPLERS if name != "gp"])
def test_no_two_trials_are_the_same_and_another_seed_gives_others(sampler, space, settings) -> None:
    points = _run(space, settings(sampler=sampler), 12)
    assert len({tuple(point.items()) for point in points}) == 12
    assert points[1:] != _run(space, settings(sampler=sampler, seed=8), 12)[1:]


def test_trial_0_is_the_reference_point_except_on_a_grid(space, settings) -> None:
    for sampler in SAMPLERS:
        chosen = settings(sampler=sampler)
        if sampler == "grid":
            assert kind_of(chosen, 0) == "grid"
        else:
            assert kind_of(chosen, 0) == "reference"
            assert _run(space, chosen, 1) == [space.reference_point()]


@pytest.mark.parametrize("kind", ["lhs", "sobol"])
def test_the_spread_trials_are_numbers_1_to_n_sobol_and_then_comes_tpe(kind, settings) -> None:
    kinds = [kind_of(settings(sampler=f"{kind}+tpe", n_sobol=3), number) for number in range(6)]
    assert kinds == ["reference", kind, kind, kind, "tpe", "tpe"]
    assert kind_of(settings(sampler="qmc", n_sobol=3), 5) == "qmc"


OWN = ({"tau": 0.75, "lr": 0.1, "depth": 3, "switch": False}, {"tau": 1.25, "lr": 0.3, "depth": 1, "switch": False})


@pytest.mark.parametrize("sampler", [name for name in SAMPLERS if name not in ("gp", "tpe", "lhs+tpe", "sobol+tpe")])
def test_the_users_own_points_come_first_and_move_the_samplers_points_behind_them(sampler, space, settings) -> None:
    """Each point once, in its order; what a sampler that does not learn chooses is what it would choose without."""
    chosen = settings(sampler=sampler, points=OWN)
    first = int(SAMPLERS[sampler].tries_reference)
    assert [kind_of(chosen, number) for number in range(first, first + 3)][:2] == ["points", "points"]
    assert kind_of(chosen, first + 2) == kind_of(settings(sampler=sampler), first)
    points = _run(space, chosen, 12)
    assert points[first : first + 2] == [*OWN]
    assert points[:first] + points[first + 2 :] == _run(space, settings(sampler=sampler), 10)


def test_settings_with_points_survive_json_and_a_sampler_that_learns_sees_them(space, settings) -> None:
    chosen = settings(sampler="lhs+tpe", n_sobol=3, points=OWN)
    assert SearchSettings.from_json(json.loads(json.dumps(chosen.to_json()))) == chosen
    kinds = [kind_of(chosen, number) for number in range(8)]
    assert kinds == ["reference", "points", "points", "lhs", "lhs", "lhs", "tpe", "tpe"]
    assert _run(space, chosen, 8)[1:3] == [*OWN]


def test_a_grid_has_room_for_the_users_points_beside_its_own(space, settings) -> None:
    most = int(most_trials("grid", space))
    check_sampler(space, settings(sampler="grid", trials=most + 2, points=OWN))
    with pytest.raises(
        SettingsError,
        match=rf"^trials must not exceed the grid's {most} points and your {len(OWN)}, at 3 levels .*; got {most + 3}$",
    ):
        check_sampler(space, settings(sampler="grid", trials=most + 3, points=OWN))


def test_the_sobol_trials_are_consecutive_points_of_one_scrambled_sequence(space, settings) -> None:
    chosen = settings(sampler="qmc", trials=33)
    points = _run(space, chosen, 33)[1:]
    seed = int(np.random.SeedSequence([7]).generate_state(1)[0])
    cube = qmc.Sobol(d=5, scramble=True, seed=seed).random(32)
    assert [point["tau"] for point in points] == pytest.approx(0.5 + cube[:, 0])
    assert [point["lr"] for point in points] == pytest.approx(0.02 * 40 ** cube[:, 1])
    # A power of two of Sobol points puts equally many into each half of an axis, and each quarter.
    assert [sum(point["depth"] == depth for point in points) for depth in (1, 2, 3, 4)] == [8, 8, 8, 8]
    assert sum(point["switch"] for point in points) == 16


def test_the_trials_of_a_latin_hypercube_fill_each_part_of_a_knob_and_go_on_in_another_one(space, settings) -> None:
    points = _run(space, settings(sampler="lhs+tpe", trials=40, n_sobol=40), 41)[1:]
    parts = sorted(int(40 * (point["tau"] - 0.5)) for point in points)
    assert parts == list(range(40))
    chosen = settings(sampler="lhs+tpe", trials=48, n_sobol=24)
    behind = [make_sampler(space, chosen, number, behind=24) for number in range(1, 25)]
    more = [sampler.sample_independent(None, None, "tau", None) for sampler in behind]  # type: ignore[attr-defined]
    assert sorted(int(24 * (tau - 0.5)) for tau in more) == list(range(24))
    assert not set(more) & {point["tau"] for point in _run(space, chosen, 25)}


@given(n=st.integers(1, 12), behind=st.lists(st.integers(1, 60), min_size=1, max_size=3), own=st.integers(0, 2))
@budget(max_examples=15, deadline=None)
def test_the_opening_of_any_warm_start_is_one_whole_hypercube_that_no_study_before_it_had(n, behind, own) -> None:
    """Each of `behind` is how many trials one more study adds to those behind it, however few it has finished."""
    space = get_space("acckd_core")
    shared = {"pruner": "none", "trials": 30, "n_sobol": n, "seed": 7, "epochs": 4, "rungs": (4,)}
    chosen = SearchSettings(sampler="lhs+tpe", points=(space.reference_point(),) * own, **shared)
    seen: set[float] = set()
    for total in accumulate(behind, initial=0):
        samplers = [make_sampler(space, chosen, number, total) for number in range(own + 1, own + n + 1)]
        found = [sampler.sample_independent(None, None, "mix_ratio", None) for sampler in samplers]  # type: ignore[attr-defined]
        assert sorted(int(n * (ratio - 0.1) / 0.6) for ratio in found) == list(range(n))
        assert not seen & {*found}
        seen |= {*found}


@given(n=st.integers(1, 40), d=st.integers(1, 17), seed=st.integers(0, 2**32 - 1))
@budget(max_examples=15, deadline=None)
def test_a_latin_hypercube_has_one_point_in_each_part_of_every_dimension(n: int, d: int, seed: int) -> None:
    x = latin_hypercube(n, d, seed, 0)
    assert x.shape == (n, d)
    np.testing.assert_array_equal(np.sort(np.floor(n * x), axis=0), np.tile(np.arange(n)[:, None], (1, d)))
    np.testing.assert_array_equal(x, latin_hypercube.__wrapped__(n, d, seed, 0))


def test_no_knob_looks_like_another_one_in_a_latin_hypercube() -> None:
    """Slopes and parabolas of 14 knobs in 31 trials; those of a Sobol sequence are far from apart."""

    def most_alike(x: np.ndarray) -> float:
        both = np.hstack([x, np.square(x - 0.5)])
        alike = np.abs(np.corrcoef(both, rowvar=False))
        alike[np.arange(28)[:, None] % 14 == np.arange(28) % 14] = 0
        return float(alike.max())

    latin = [most_alike(latin_hypercube(31, 14, seed, 0)) for seed in range(5)]
    sobol = [most_alike(qmc.Sobol(d=14, scramble=True, seed=seed).random(32)[:31]) for seed in range(5)]
    assert max(latin) < 0.45
    assert min(sobol) > 0.6


def test_a_sobol_trial_does_not_depend_on_the_trials_before_it(space, settings) -> None:
    late = optuna.create_study(direction="maximize")
    late.sampler = make_sampler(space, settings(sampler="qmc"), 9)
    assert space.suggest(late.ask()) == _run(space, settings(sampler="qmc"), 10)[9]


def test_the_grid_gives_each_of_its_points_once_and_no_more_trials_than_points(space, settings) -> None:
    # 3 tau x 3 lr x 3 depth x (off + on with 3 inner)
    assert most_trials("grid", space) == 3 * 3 * 3 * (1 + 3)
    chosen = settings(sampler="grid", trials=108)
    check_sampler(space, chosen)
    points = _run(space, chosen, 108)
    assert {tuple(point.items()) for point in points} == {tuple(point.items()) for point in _grid_points(space, 3)}
    with pytest.raises(SettingsError, match=r"^trials must not exceed the grid's 108 points, at 3 levels.*got 109$"):
        check_sampler(space, settings(sampler="grid", trials=109))


def _grid_points(space: SearchSpace, n_levels: int) -> list[dict]:
    """Every point of a grid, built knob by knob."""
    points: list[dict] = [{}]
    for knob in space.tunable:
        values = levels(knob.distribution, n_levels)
        points = [
            grown
            for point in points
            for grown in (
                [point | {knob.name: value} for value in values] if space.is_active(knob.name, point) else [point]
            )
        ]
    return points


@pytest.mark.parametrize("n_levels", [2, 3])
@pytest.mark.parametrize("name", ["toy", "acckd_smoke", "la_mix", "deep"])
def test_each_point_of_a_grid_is_found_without_the_others(space, name: str, n_levels: int) -> None:
    deep = replace(
        space,
        tunable=(*space.tunable, Knob("innermost", IntDistribution(1, 9), "1", "toy", 2)),
        conditions=(*space.conditions, Condition("innermost", "inner", (0.1, 10.0))),
    )
    chosen = {"toy": space, "deep": deep}.get(name) or get_space(name)
    points = _grid_points(chosen, n_levels)
    assert grid_size(chosen, n_levels) == len(points)
    assert [grid_point(chosen, n_levels, index) for index in range(len(points))] == points


def test_the_grid_of_a_large_space_is_counted_and_read_without_being_built(settings) -> None:
    space = get_space("acckd_full")
    assert most_trials("grid", space) == 1_417_176
    points = _run(space, settings(sampler="grid", trials=3), 3)
    order = np.random.default_rng(int(np.random.SeedSequence([7]).generate_state(1)[0])).permutation(1_417_176)
    assert points == [grid_point(space, 3, int(index)) for index in order[:3]]


def test_levels_reach_both_ends_on_the_knobs_own_scale() -> None:
    assert levels(FloatDistribution(0.1, 10.0, log=True), 3) == pytest.approx((0.1, 1.0, 10.0))
    assert levels(FloatDistribution(0.0, 1.0, step=0.5), 5) == (0.0, 0.5, 1.0)
    assert levels(IntDistribution(1, 9), 3) == (1, 5, 9)
    assert levels(IntDistribution(1, 100, log=True), 3) == (1, 7, 100)  # sqrt(0.5 * 100.5) = 7.09
    assert levels(IntDistribution(1, 2), 5) == (1, 2)


@given(st.integers(1, 50), st.integers(0, 50), st.integers(1, 5), st.floats(0, 1, exclude_max=True))
def test_an_integer_at_a_fraction_is_the_one_whose_share_holds_it(low, n_steps, step, fraction) -> None:
    distribution = IntDistribution(low, low + n_steps * step, step=step)
    value = at_fraction(distribution, fraction)
    assert contains(distribution, value)
    k = (value - low) / step
    assert k / (n_steps + 1) - 1e-9 <= fraction <= (k + 1) / (n_steps + 1) + 1e-9


@given(st.floats(1e-6, 1e3), st.floats(1.0, 1e3), st.floats(0, 1), st.booleans())
def test_a_float_at_a_fraction_never_leaves_its_range(low, factor, fraction, log) -> None:
    distribution = FloatDistribution(low, low * factor, log=log)
    assert contains(distribution, at_fraction(distribution, fraction))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sampler": "tpee"}, "sampler must be one of lhs.*; got 'tpee'"),
        ({"pruner": "no"}, "pruner must be one of none.*; got 'no'"),
        ({"trials": 0}, "trials must be at least 1; got 0"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"rungs": (2, 1, 4)}, "rungs must ascend"),
        ({"rungs": (1, 2)}, "rungs must ascend.*epochs = 4"),
        ({"rungs": (0, 4)}, "rungs must ascend"),
        ({"rungs": ()}, "rungs must ascend"),
    ],
)
def test_settings_out_of_range_are_refused(settings: Callable, change, words) -> None:
    with pytest.raises(SettingsError, match=words):
        settings(**change)


def test_all_faults_of_the_settings_are_named_at_once(settings: Callable) -> None:
    with pytest.raises(SettingsError) as caught:
        settings(sampler="x", pruner="y", trials=0)
    assert len(caught.value.faults) == 3


def test_settings_of_version_0_1_are_read_under_their_old_names(settings: Callable) -> None:
    chosen = settings(pruner="none", second_objective=SecondObjective("few", (1,)))
    plain = json.loads(json.dumps(chosen.to_json()))
    before = plain | {"study_seed": plain.pop("seed"), "second": plain.pop("second_objective")}
    assert SearchSettings.from_json(before) == chosen
