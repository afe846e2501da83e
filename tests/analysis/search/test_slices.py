"""Slices: which trials and which values a knob's effect rests on."""

from collections.abc import Callable
from pathlib import Path

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import create_trial

from analysis.reading.study_data import StudyData
from analysis.reading.study_folder import load_study
from analysis.search.slices import slices_of
from analysis.search.trial_matrix import value_of
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


def test_every_value_that_was_tried_has_a_place_on_the_curve(study: StudyData) -> None:
    for n in range(12, len(study.complete) + 1):  # the ends of the range change with the trials
        for item in slices_of(study.complete[:n], study.knobs):
            places = [item.effect.nearest(item.knob, value) for value in item.points["value"]] if item.effect else []
            assert None not in places
    log = next(item for item in slices_of(study.complete, study.knobs) if item.knob.name == "cckd_weight")
    assert log.effect is not None
    assert log.effect.nearest(log.knob, 1.01 * log.points["value"].max()) is None


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
