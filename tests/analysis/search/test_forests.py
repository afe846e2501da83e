"""The surrogate, the slices and the path to the best equal plain loops, and say how far they can be trusted."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from analysis.reading.study_data import StudyData
from analysis.reading.study_folder import load_study
from analysis.search.forests import Surrogate, fit_surrogate
from analysis.search.pair_grids import cut_axis, pair_grid, pair_surrogate
from analysis.search.trial_matrix import targets, trial_matrix
from search_spaces.acckd import ACCKD_FULL

Simulated = Callable[..., Path]
Fitted = tuple[StudyData, Surrogate]


@pytest.fixture
def fitted(simulated: Simulated) -> Fitted:
    study = load_study(simulated(space=ACCKD_FULL, n_trials=40, n_pruned=0, n_failed=0, n_seeds=0))
    surrogate = fit_surrogate(trial_matrix(study.complete, study.knobs), targets(study)["all"])
    assert surrogate is not None
    return study, surrogate


def test_partial_dependence_is_the_mean_of_predictions_with_two_knobs_set(fitted: Fitted) -> None:
    _, surrogate = fitted
    at = np.array([0.1, 0.9]), np.array([0.2, 0.5, 0.8])
    ours = surrogate.partial_dependence((0, 1), at)
    for j, i in np.ndindex(3, 2):
        rows = surrogate.matrix.x.copy()
        rows[:, 0], rows[:, 1] = at[0][i], at[1][j]
        assert ours[j, i] == pytest.approx(np.mean([surrogate.forest.predict(row[None])[0] for row in rows]))


def test_the_surrogates_layer_is_blank_where_there_is_no_trial_and_only_there(fitted: Fitted) -> None:
    study, surrogate = fitted
    knobs = {knob.name: knob for knob in study.knobs}
    for x, y in (("temperature", "mix_ratio"), ("mix_op", "kd_weight")):
        grid = pair_grid(study.complete, *(cut_axis(knobs[name], n_cells=4) for name in (x, y)))
        layer = pair_surrogate(surrogate, grid)
        for j, i in np.ndindex(layer.mean.shape):
            coarse = (j * grid.y.size // layer.y.size, i * grid.x.size // layer.x.size)
            assert np.isnan(layer.mean[j, i]) == (grid.n[coarse] == 0)
        assert len(layer.frame()) == layer.mean.size


def test_the_surrogate_is_judged_on_trials_it_has_not_seen(fitted: Fitted) -> None:
    _, surrogate = fitted
    y = np.random.default_rng(0).normal(size=40)  # nothing in it to learn
    chance = fit_surrogate(surrogate.matrix, y)
    assert chance is not None
    assert chance.r2 < 0.1
    assert np.corrcoef(chance.forest.predict(chance.matrix.x), y)[0, 1] > 0.7
    assert surrogate.r2 > chance.r2
    assert fit_surrogate(surrogate.matrix, np.ones(40)) is None
