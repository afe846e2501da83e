"""The report says what a guard did to the choice of best1, and says loudly where it could not be kept."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis.reading.study_data import load_study
from analysis.results.findings import Findings, find
from analysis.search.importance import Importances
from study.strategy.guards import Guard
from tests.analysis.simulation import SETTINGS, rewriting, set_last_counts
from trainables.cckd.records import ClassCounts

SMALL: dict[str, Any] = {"n_trials": 6, "n_pruned": 0, "n_failed": 0}


def _find(folder: Path) -> Findings:
    return find(load_study(folder), Importances(pd.DataFrame(), 6, 0, ()))


def _amend(folder: Path, guards: Any, judged: Any) -> Path:
    path = folder / "study.json"
    manifest = json.loads(path.read_text())
    manifest["plan"]["guards"] = guards
    path.write_text(json.dumps(manifest | {"guards": judged}))
    return folder


def test_a_guard_that_was_kept_is_told_with_its_counts(simulated) -> None:
    folder = _amend(simulated(**SMALL), {"many": 1.0, "few": -2.5}, {"kept": 4, "complete": 6, "unmet": None})
    found = _find(folder)
    (told,) = (sentence for sentence in found.sentences if "could become best1" in sentence)
    assert "lose at most 1 point of Many to the reference point and gain at least 2.5 points of Few" in told
    assert told.endswith("4 of 6 complete trials do.")
    assert found.warnings == ()


def test_a_guard_that_nothing_kept_is_a_warning(simulated) -> None:
    found = _find(_amend(simulated(**SMALL), {"many": -9.0}, {"kept": 0, "complete": 6, "unmet": "no trial keeps it"}))
    assert not any("could become best1" in sentence for sentence in found.sentences)
    assert any("The guard did not decide: no trial keeps it" in warning for warning in found.warnings)


@pytest.mark.parametrize(
    ("guards", "judged"), [({}, {"kept": 1}), (None, None), ([1], [2]), ({"x": "y"}, {"kept": []})]
)
def test_a_strangers_manifest_says_nothing_false_and_breaks_nothing(simulated, guards: Any, judged: Any) -> None:
    assert not any("could become best1" in said for said in _find(_amend(simulated(**SMALL), guards, judged)).sentences)


def test_before_the_confirmation_the_best_trial_is_one_that_keeps_the_guard(simulated) -> None:
    folder = simulated(n_seeds=0, **SMALL)
    highest_scoring = load_study(folder).best
    assert highest_scoring is not None
    assert highest_scoring.number != 0
    with rewriting(folder) as ledger:  # it alone loses all of class 0
        guards = (Guard("many", 50.0, (0,)),)
        ledger._study.set_user_attr("settings", replace(SETTINGS, guards=guards).to_json())
        set_last_counts(ledger, highest_scoring.number, ClassCounts((0, *[10] * 9), (10,) * 10))
    best = load_study(folder).best
    assert best is not None
    others = [trial for trial in load_study(folder).complete if trial.number != highest_scoring.number]
    assert best.number == max(others, key=lambda trial: trial.value).number
