"""A pair's surface has the knobs' own scales, knows how many trials are near, and stands in the report by its rank."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from analysis.reading.knob_text import axis_label, leading_knobs, range_text
from analysis.reading.study_folder import load_study
from analysis.search.pair_surfaces import Axis, PairSurface, pair_surface, shown_pairs
from analysis.search.surrogate import Shape, fit_surrogate
from analysis.search.trial_matrix import scored
from search_spaces.acckd import ACCKD_FULL
from search_spaces.knob import Knob

Simulated = Callable[..., Path]


def _knob(name: str, distribution: object, reference: object = 1.0) -> Knob:
    return Knob(name, distribution, "1", "a reason", reference)  # type: ignore[arg-type]


@pytest.fixture
def surface(simulated: Simulated) -> PairSurface:
    study = load_study(simulated(space=ACCKD_FULL, n_trials=40, n_pruned=4, n_failed=2, n_seeds=0))
    surrogate = fit_surrogate(study.trials, study.knobs, Shape(("temperature",)), {})
    assert surrogate is not None
    found = pair_surface(surrogate, scored(study), "temperature", "mix_op")
    assert found is not None
    return found


def test_a_surface_has_one_cell_per_choice_and_every_complete_trial_as_a_point(surface: PairSurface) -> None:
    choices = len(surface.y.values)
    assert surface.y.is_choice
    assert surface.mean.shape == surface.n.shape == surface.may_stay.shape == (choices, 24)
    assert len(surface.points) == 34
    assert surface.may_stay[np.unravel_index(surface.mean.argmax(), surface.mean.shape)]
    frame = surface.frame()
    assert len(frame) == surface.mean.size + 34
    row, column = np.unravel_index(surface.mean.argmax(), surface.mean.shape)
    top = frame[frame["part"] == "cell"].sort_values("mean").iloc[-1]
    assert (top["x"], top["y"]) == (surface.x.values[column], surface.y.values[row])
    assert surface.best == (pytest.approx(top["x"], rel=0.05), top["y"])
    assert surface.best[0] == float(f"{surface.best[0]:.2g}")


def test_trials_near_a_cell_are_counted_by_their_distance(surface: PairSurface) -> None:
    knob = surface.x.knob.distribution
    assert isinstance(knob, FloatDistribution)
    for row, choice in enumerate(surface.y.values):
        places = [
            np.log(value / knob.low) / np.log(knob.high / knob.low)
            for value, of in zip(surface.points["x"], surface.points["y"], strict=True)
            if of == choice
        ]
        expected = sum(np.exp(-(((surface.x.places[3] - place) / 0.1) ** 2) / 2) for place in places)
        assert surface.n[row, 3] == pytest.approx(expected)


def test_a_pair_that_no_trial_has_makes_no_surface(simulated: Simulated) -> None:
    study = load_study(simulated(n_trials=30, n_pruned=0, n_failed=0, n_seeds=0))
    surrogate = fit_surrogate(study.trials, study.knobs, Shape(()), {})
    assert surrogate is not None
    assert pair_surface(surrogate, scored(study), "temperature", "not searched") is None


@pytest.mark.parametrize("pair", [("kd_weight", "use_kd"), ("use_kd", "kd_weight")])
def test_a_knob_and_the_choice_at_which_it_exists_make_no_surface(simulated: Simulated, pair: tuple[str, str]) -> None:
    study = load_study(simulated(space=ACCKD_FULL, n_trials=60, n_pruned=0, n_failed=0, n_seeds=0))
    surrogate = fit_surrogate(study.trials, study.knobs, Shape(("kd_weight",)), {})
    assert surrogate is not None
    assert pair_surface(surrogate, scored(study), *pair) is None
    assert pair_surface(surrogate, scored(study), "kd_weight", "mix_op") is not None


def test_a_log_knob_is_cut_by_equal_factors_and_ends_at_its_bounds() -> None:
    axis = Axis.of(_knob("w", FloatDistribution(0.1, 10.0, log=True)))
    factors = axis.edges[1:] / axis.edges[:-1]
    assert factors == pytest.approx([100 ** (1 / 24)] * 24)
    assert (axis.edges[0], axis.edges[-1]) == pytest.approx((0.1, 10.0))
    assert axis.cell(np.array([0.0, 0.5, 1.0])).tolist() in ([0, 11, 23], [0, 12, 23])


def test_a_choice_is_near_itself_alone() -> None:
    axis = Axis.of(_knob("op", CategoricalDistribution(("a", "b", "c"))))
    assert axis.near(np.array([0.0, 0.5, 0.5])).tolist() == [[1, 0, 0], [0, 1, 1], [0, 0, 0]]
    assert axis.edges.tolist() == [-0.5, 0.5, 1.5, 2.5]


def test_named_and_interacting_pairs_stand_open_and_the_core_is_folded() -> None:
    knobs = [
        _knob(name, FloatDistribution(0.0, 1.0)) for name in ("temperature", "cckd_weight", "mix_ratio", "tau", "x")
    ]
    large, small = shown_pairs(knobs, ["tau", "x", "mix_ratio", "temperature"], ["tau", "x"], [("tau", "cckd_weight")])
    assert large == [("tau", "x"), ("tau", "cckd_weight")]
    assert ("temperature", "cckd_weight") in small
    assert not {frozenset(pair) for pair in large} & {frozenset(pair) for pair in small}


def test_without_a_named_knob_the_two_clearest_stand_open_and_without_a_ranking_the_core_does() -> None:
    knobs = [_knob(name, FloatDistribution(0.0, 1.0)) for name in ("temperature", "cckd_weight", "tau")]
    assert shown_pairs(knobs, ["tau", "temperature", "cckd_weight"], [], [])[0] == [("tau", "temperature")]
    assert shown_pairs(knobs, [], [], [])[0] == [("temperature", "cckd_weight")]
    assert shown_pairs(knobs[:1], [], [], []) == ([], [])


def test_the_core_knobs_lead_then_the_ranking_then_the_space() -> None:
    names = ("lr", "tau", "mix_ratio", "x", "temperature", "z")
    knobs = [_knob(name, FloatDistribution(0.0, 1.0)) for name in names]
    leading = [knob.name for knob in leading_knobs(knobs, ["z", "not searched"])]
    assert leading == ["lr", "mix_ratio", "temperature", "z"]


def test_labels_say_unit_and_scale() -> None:
    knob = _knob("w", FloatDistribution(0.1, 10.0, log=True))
    assert axis_label(knob) == "w (pure number, log scale)"
    assert range_text(knob) == "0.1 to 10"


def test_a_whole_number_has_a_cell_per_value() -> None:
    axis = Axis.of(_knob("layers", IntDistribution(1, 4), 1))
    assert axis.values == (1, 2, 3, 4)
    assert axis.edges == pytest.approx([0.5, 1.5, 2.5, 3.5, 4.5])
    assert axis.cell(axis.places).tolist() == [0, 1, 2, 3]
    by_factor = Axis.of(_knob("batch", IntDistribution(1, 4, log=True), 1))
    assert by_factor.values == (1, 2, 3, 4)
    assert by_factor.edges[1:-1] == pytest.approx([2**0.5, 6**0.5, 12**0.5])
