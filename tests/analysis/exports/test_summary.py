"""The content of the exports: what a longer training leaves of the gains is among the numbers and among the facts."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from analysis.exports.summary import about, results
from analysis.reading.study_folder import load_study
from analysis.results.training_length import check_length
from tests.analysis.simulation import RECALLS

Simulated = Callable[..., Path]
SMALL = {"n_trials": 4, "n_pruned": 0, "n_failed": 0}
AT_LENGTH = {name: RECALLS[name] for name in ("la", "kd", "best1")}


def test_the_gains_at_a_longer_training_are_exported(simulated: Simulated) -> None:
    study = load_study(simulated(longer=AT_LENGTH | {"best1": (0.84, 0.52), "kd": (0.95, 0.60)}, **SMALL))
    numbers, facts = results(study), about(study)
    assert numbers["longer_epochs"] == 40
    for gain in check_length(study).gains:
        name = f"best1/over_{gain.baseline}_longer"
        found = (numbers[name], numbers[f"{name}_low"], numbers[f"{name}_high"])
        assert found == pytest.approx((gain.longer.mean, gain.longer.low, gain.longer.high))
    assert facts["gain_over_la"] == "vanishes at 40 epochs"
    assert facts["still_climbs"] == "kd"


def test_without_longer_runs_the_gains_are_said_to_be_unchecked(simulated: Simulated) -> None:
    study = load_study(simulated(**SMALL))
    assert not [name for name in results(study) if "longer" in name]
    assert about(study)["gain_over_kd"] == "is not checked at more epochs"
    assert not {"still_climbs", "stamp"} & set(about(study))


def test_the_stamps_go_with_the_export(simulated: Simulated) -> None:
    folder = simulated(selected_on="test", n_seeds=0, **SMALL)
    path = folder / "study.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"recipe": {"not_trained_out": "recipe quick"}}))
    assert about(load_study(folder))["stamp"] == "Selected on test. Not trained out."
