"""The surrogate, the slices and the path to the best equal plain loops, and say how far they can be trusted."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from analysis.reading.study_data import StudyData
from analysis.reading.study_folder import load_study
from analysis.search.forests import Surrogate, fit_surrogate
from analysis.search.pair_grids import cut_axis, pair_grid, pair_surrogate
from analysis.search.path_to_best import ablation_path
from analysis.search.slices import slice_of, smoothed
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


def test_the_ablation_path_leads_from_the_reference_to_the_best_with_children_beside_their_parent(
    fitted: Fitted,
) -> None:
    study, surrogate = fitted
    reference = study.space.reference_point()
    best = {**reference, "use_kd": True, "kd_weight": 0.7, "temperature": 5.0, "cckd_weight": 2.0}
    path = ablation_path(study.space, surrogate, best)
    assert sorted(path["knob"]) == ["", "cckd_weight", "temperature", "use_kd"]
    assert path["predicted"].iloc[0] == surrogate.predict(reference)
    assert path["predicted"].iloc[-1] == surrogate.predict(best)
    assert path["change"].iloc[1:].to_numpy() == pytest.approx(np.diff(path["predicted"]))
    first = [surrogate.predict({**reference, name: best[name]}) for name in ("cckd_weight", "temperature")]
    assert path["predicted"].iloc[1] >= max(first)
    assert len(ablation_path(study.space, surrogate, reference)) == 1


def test_a_straight_line_is_smoothed_to_itself() -> None:
    x = np.random.default_rng(0).random(30)
    grid = np.linspace(x.min(), x.max(), 9)
    mean, low, high = smoothed(x, 0.3 + 0.2 * x, grid)
    np.testing.assert_allclose(mean, 0.3 + 0.2 * grid, atol=1e-6)
    np.testing.assert_allclose(high - low, 0, atol=1e-5)


def test_the_smoothed_mean_is_that_of_weighted_least_squares() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.random(40), rng.random(40)
    width = max(0.06, 1.06 * x.std() * 40**-0.2)
    ours, _, _ = smoothed(x, y, np.array([0.4]))
    root = np.exp(-0.25 * ((x - 0.4) / width) ** 2)
    line = np.column_stack([np.ones(40), x - 0.4]) * root[:, None]
    assert ours[0] == pytest.approx(np.linalg.lstsq(line, y * root, rcond=None)[0][0], rel=1e-6)


def test_the_smooths_interval_covers_a_line_as_often_as_it_says() -> None:
    rng = np.random.default_rng(2)
    hits = []
    for _ in range(400):
        x = rng.random(46)
        _, low, high = smoothed(x, 0.7 + 0.05 * x + rng.normal(0, 0.02, 46), np.array([0.3]))
        hits.append(low[0] <= 0.7 + 0.05 * 0.3 <= high[0])
    assert 0.92 <= np.mean(hits) <= 0.98


def test_a_choice_gets_a_mean_each_and_few_trials_get_no_curve(fitted: Fitted) -> None:
    study, _ = fitted
    knobs = {knob.name: knob for knob in study.knobs}
    curve = slice_of(study.complete, knobs["mix_op"]).curve.set_index("value")
    scores = [trial.value for trial in study.complete if trial.params["mix_op"] == "cutmix"]
    assert curve.loc["cutmix", "mean"] == pytest.approx(np.mean(scores))
    few = slice_of(study.complete[:7], knobs["mix_op"])
    assert few.curve.empty
    assert len(few.points) == 7


def test_the_slice_of_a_conditional_knob_spans_the_trials_that_have_it(fitted: Fitted) -> None:
    study, _ = fitted
    found = slice_of(study.complete, next(knob for knob in study.knobs if knob.name == "kd_weight"))
    assert len(found.points) == sum(trial.params["use_kd"] for trial in study.complete)
    ends = found.curve["value"].iloc[[0, -1]].to_list()
    assert ends == pytest.approx([found.points["value"].min(), found.points["value"].max()])
