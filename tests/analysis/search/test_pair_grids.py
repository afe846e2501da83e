"""Heatmap cells equal a pandas pivot of the complete trials; what was not tried stays blank."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import create_trial

from analysis.reading.knob_text import axis_label, leading_knobs, range_text
from analysis.reading.study_folder import load_study
from analysis.search.pair_grids import cut_axis, n_cells, pair_grid, pair_grids
from search_spaces.acckd import ACCKD_FULL
from search_spaces.knob import Knob

Simulated = Callable[..., Path]


def _knob(name: str, distribution: object, reference: object = 1.0) -> Knob:
    return Knob(name, distribution, "1", "a reason", reference)  # type: ignore[arg-type]


def test_cells_equal_a_pivot_of_the_complete_trials(simulated: Simulated) -> None:
    study = load_study(simulated(n_trials=40, n_seeds=0))
    temperature, weight = study.knobs[0], study.knobs[1]
    x, y = cut_axis(temperature, n_cells=4), cut_axis(weight, n_cells=4)
    grid = pair_grid(study.complete, x, y)
    frame = pd.DataFrame([{**trial.params, "value": trial.value} for trial in study.complete])
    for axis, letter in ((x, "x"), (y, "y")):
        bounds = np.geomspace(axis.edges[0], axis.edges[-1], 5)
        bounds[[0, -1]] *= 0.999, 1.001
        frame[letter] = pd.cut(frame[axis.knob.name], bounds, labels=False, right=False)
    pivot = frame.pivot_table("value", "y", "x", aggfunc=["mean", "count"])
    mean = pivot["mean"].reindex(index=range(4), columns=range(4)).to_numpy()
    n = pivot["count"].reindex(index=range(4), columns=range(4)).fillna(0).to_numpy()
    np.testing.assert_allclose(grid.mean, mean)
    np.testing.assert_array_equal(grid.n, n)


def test_pruned_and_failed_trials_are_in_no_cell(simulated: Simulated) -> None:
    study = load_study(simulated(n_trials=30, n_pruned=8, n_failed=4, n_seeds=0))
    assert all(grid.n.sum() == 18 for grid in pair_grids(study.complete, leading_knobs(study.knobs, [])))


def test_a_cell_without_a_trial_is_nan_and_says_n_0() -> None:
    knobs = [_knob(name, FloatDistribution(0.0, 1.0)) for name in "ab"]
    trial = create_trial(
        params={"a": 0.1, "b": 0.9}, distributions={knob.name: knob.distribution for knob in knobs}, value=0.5
    )
    (grid,) = pair_grids([trial], knobs)
    assert grid.n.sum() == 1
    assert np.isnan(grid.mean[grid.n == 0]).all()
    assert grid.mean[-1, 0] == 0.5
    assert len(grid.frame()) == grid.n.size


def test_a_trial_without_the_knob_is_left_out() -> None:
    a, b = _knob("a", FloatDistribution(0.0, 1.0)), _knob("b", FloatDistribution(0.0, 1.0))
    trial = create_trial(params={"a": 0.1}, distributions={"a": a.distribution}, value=0.5)
    assert pair_grid([trial], cut_axis(a, n_cells=3), cut_axis(b, n_cells=3)).n.sum() == 0


def test_six_leading_knobs_make_fifteen_pairs(simulated: Simulated) -> None:
    study = load_study(simulated(space=ACCKD_FULL, n_trials=10, n_pruned=0, n_failed=0, n_seeds=0))
    assert len(pair_grids(study.complete, leading_knobs(study.knobs, ["tau"]))) == 15
    assert pair_grids((), leading_knobs(study.knobs, [])) == ()


def test_the_core_knobs_lead_then_the_ranking_then_the_space() -> None:
    names = ("lr", "tau", "mix_ratio", "x", "y", "temperature", "z")
    knobs = [_knob(name, FloatDistribution(0.0, 1.0)) for name in names]
    leading = [knob.name for knob in leading_knobs(knobs, ["z", "y", "not searched"])]
    assert leading == ["lr", "tau", "mix_ratio", "y", "temperature", "z"]


def test_a_log_knob_is_cut_by_equal_factors() -> None:
    axis = cut_axis(_knob("w", FloatDistribution(0.1, 10.0, log=True)), n_cells=4)
    factors = np.array(axis.edges[1:]) / np.array(axis.edges[:-1])
    assert factors == pytest.approx([10**0.5] * 4)


@pytest.mark.parametrize("value", [0.1, 10.0, 0.1 - 1e-17, 10.000000000000002])
def test_the_ends_of_a_range_are_inside(value: float) -> None:
    axis = cut_axis(_knob("w", FloatDistribution(0.1, 10.0, log=True)), n_cells=4)
    assert axis.cell(value) in (0, 3)


def test_a_value_outside_the_range_is_in_no_cell() -> None:
    axis = cut_axis(_knob("w", FloatDistribution(0.1, 10.0)), n_cells=4)
    assert axis.cell(11.0) is None
    assert axis.cell(0.0) is None


def test_choices_and_few_whole_numbers_get_a_cell_each() -> None:
    choice = cut_axis(_knob("op", CategoricalDistribution(("mixup", "cutmix"))), n_cells=5)
    assert [choice.cell("mixup"), choice.cell("cutmix"), choice.cell("none")] == [0, 1, None]
    whole = cut_axis(_knob("k", IntDistribution(1, 4)), n_cells=5)
    assert [whole.cell(k) for k in (1, 2, 3, 4)] == [0, 1, 2, 3]


def test_more_trials_give_finer_cells_within_bounds() -> None:
    assert [n_cells(n) for n in (1, 18, 32, 50, 500)] == [3, 3, 4, 5, 6]


def test_labels_say_unit_and_scale() -> None:
    knob = _knob("w", FloatDistribution(0.1, 10.0, log=True))
    assert axis_label(knob) == "w (pure number, log scale)"
    assert range_text(knob) == "0.1 to 10"
