"""Slices: which trials and which values a knob's effect rests on."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import create_trial

from analysis.reading.study_data import StudyData
from analysis.reading.study_folder import load_study
from analysis.search.slices import Effect, slices_of
from analysis.search.trial_matrix import at_position, position, value_of
from analysis.stats.effect_curve import EffectCurve
from search_spaces.acckd import ACCKD_FULL
from search_spaces.knob import Knob


@pytest.fixture
def study(simulated: Callable[..., Path]) -> StudyData:
    return load_study(simulated(space=ACCKD_FULL, n_trials=40, n_pruned=0, n_failed=0, n_seeds=0))


def test_every_knob_has_its_trials_and_a_curve_over_their_range(study: StudyData) -> None:
    found = {item.knob.name: item for item in slices_of(study.complete, study.knobs)}
    assert list(found) == [knob.name for knob in study.knobs]
    for name, item in found.items():
        assert len(item.points) == sum(name in trial.params for trial in study.complete)
        assert (item.curve["low"] < item.curve["mean"]).all()
    child = found["kd_weight"]
    ends = child.curve["value"].iloc[[0, -1]].to_list()
    assert ends == pytest.approx([child.points["value"].min(), child.points["value"].max()])


def test_the_ends_of_what_was_tried_have_their_places_on_the_curve_of_a_log_scale() -> None:
    knob = Knob("weight", FloatDistribution(0.05, 20.0, log=True), "1", "a factor", 1.0)
    curve = EffectCurve(np.zeros(2), np.zeros((2, 2)), 5.0)
    for low, high in np.random.default_rng(0).uniform((0.05, 2.0), (1.0, 20.0), size=(50, 2)):
        ends = at_position(knob, np.array([position(knob, low), position(knob, high)]))
        effect = Effect(tuple(map(float, ends)), curve, (9, 9))
        assert (effect.nearest(knob, low), effect.nearest(knob, high)) == (0, 1)
        assert effect.nearest(knob, 0.99 * low) is effect.nearest(knob, 1.01 * high) is None


def test_a_choice_has_one_row_per_value_that_was_tried(study: StudyData) -> None:
    curve = next(item for item in slices_of(study.complete, study.knobs) if item.knob.name == "mix_op").curve
    counts = {
        choice: sum(trial.params["mix_op"] == choice for trial in study.complete) for choice in ("mixup", "cutmix")
    }
    assert dict(zip(curve["value"], curve["n"], strict=True)) == counts
    values = [value_of(trial) for trial in study.complete]
    assert min(values) < curve["mean"].min() < curve["mean"].max() < max(values)


def test_few_trials_and_equal_trials_get_no_curve(study: StudyData) -> None:
    few = slices_of(study.complete[:7], study.knobs)
    assert all(item.curve.empty for item in few)
    assert len(few[0].points) == 7
    assert slices_of([], study.knobs) == []
    same = slices_of([study.complete[0]] * 12, study.knobs)
    assert all(item.curve.empty for item in same)


def test_as_many_choices_as_trials_get_no_curve() -> None:
    knob = Knob("many", CategoricalDistribution(tuple("abcdefgh")), "choice", "a reason", "a")
    other = Knob("number", FloatDistribution(0.0, 1.0), "1", "a reason", 0.5)
    trials = [
        create_trial(
            params={"many": "abcdefgh"[index % 8], "number": index / 20},
            distributions={"many": knob.distribution, "number": other.distribution},
            value=0.5 + 0.01 * (index % 5),
        )
        for index in range(20)
    ]
    few, enough = (slices_of(trials[:n], [knob, other])[0].curve for n in (9, 20))
    assert few.empty
    assert len(enough) == 8
