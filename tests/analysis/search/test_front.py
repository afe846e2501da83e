"""A study of two objectives is reported by its first one everywhere, and its front is shown."""

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from analysis.reading.study_folder import load_study
from analysis.report import build_report
from analysis.results.findings import find
from analysis.search.front import front_sentences, read_front
from analysis.search.importance import Importances
from study.records.ledger import Ledger
from study.strategy.objectives import SecondObjective
from tests.analysis.simulation import SETTINGS, rewriting
from trainables.cckd.records import ClassCounts, EpochRecord

#: Trials with these (all, few) are on the front; every other has (0.5, 0.1).
FRONT = {3: (0.70, 0.30), 1: (0.68, 0.52), 4: (0.60, 0.55), 2: (0.69, 0.45)}


@pytest.fixture
def two(simulated) -> Path:
    """A finished study of eight trials whose objectives are all and few, as its driver leaves it."""
    folder = simulated(n_trials=8, n_pruned=0, n_failed=1)
    old = load_study(folder)
    values = {trial.number: FRONT.get(trial.number, (0.5, 0.1)) for trial in old.complete}
    with closing(Ledger.read(folder / "study.db")) as before:
        confirmed = before.runs.confirm_runs()
    (folder / "study.db").unlink()
    tail = SecondObjective("few", (6, 7, 8, 9))
    Ledger.create(folder / "study.db", old.space, replace(SETTINGS, pruner="none", second_objective=tail)).close()
    with rewriting(folder) as ledger:
        for trial in old.trials:
            trial.values = list(values[trial.number]) if trial.number in values else None
            ledger._study.add_trial(trial)
            if trial.values:
                first, few = trial.values
                rates = [(10 * first - 4 * few) / 6] * 6 + [few] * 4
                counts = ClassCounts(tuple(round(6 * 10**6 * rate) for rate in rates), (6 * 10**6,) * 10)
                ledger.runs.add_epochs(trial.number, [EpochRecord(20, {"total": 1.0}, 0.1, counts, 10.0, 0.0)])
        for run in confirmed:
            ledger.runs.add_confirm_run(run.entry, run.seed, run.trial, run.record, data_seed=run.data_seed)
    manifest = json.loads((folder / "study.json").read_text())
    manifest["plan"] |= {"second_objective": "few", "guards": {"all": 1.0}}
    manifest["warm_start"] = {"study": "before", "trials": 24}
    manifest |= {"front": [1, 3, 4, 2], "chosen_trial": 1}
    manifest["confirm_entries"]["best1"]["trial"] = 1
    (folder / "study.json").write_text(json.dumps(manifest))
    return folder


def test_every_analysis_sees_the_first_objective(two: Path) -> None:
    study = load_study(two)
    assert {trial.number: trial.value for trial in study.complete if trial.number in FRONT} == {
        number: first for number, (first, _) in FRONT.items()
    }
    assert study.highest_scoring is not None
    assert study.best is not None
    assert (study.highest_scoring.number, study.best.number) == (3, 1)


def test_the_front_has_its_roles_in_order(two: Path) -> None:
    front = read_front(load_study(two))
    assert front is not None
    assert front.members[["trial", "all", "second", "role"]].round(6).to_numpy().tolist() == [
        [3, 0.70, 0.30, "best all"],
        [2, 0.69, 0.45, "front"],
        [1, 0.68, 0.52, "knee"],
        [4, 0.60, 0.55, "best few"],
    ]
    assert len(front.points) == 7


@pytest.mark.usefixtures("drawn")
def test_the_report_shows_the_front_and_the_first_screen_tells_of_it(two: Path) -> None:
    found = find(load_study(two), Importances(pd.DataFrame(), 7, ()))
    (told,) = (sentence for sentence in found.sentences if sentence.startswith("Two objectives"))
    assert "all classes and Few: 4 of 7 complete trials are on the front" in told
    assert "trial 1 (68.0 % and 52.0 % on validation)" in told
    page = build_report(two)
    assert 'id="front"' in page.read_text(encoding="utf-8")
    written = pd.read_csv(page.parent / "tables" / "front_members.csv")
    assert written["trial"].tolist() == [3, 2, 1, 4]
    assert "temperature" in written
    assert (page.parent / "figures" / "front.png").is_file()
    text = (page.parent / "report.md").read_text(encoding="utf-8")
    for words in (
        "| 3 | best all | 70.0 | 30.0 % |",
        "No trial that keeps the guards lies above a trial on the line in both",
        "objectives all and few, guard all=1.0",
        "the sampler knew 24 trials of before; no table or figure here counts them",
    ):
        assert words in text


def test_seconds_are_told_with_their_unit(two: Path) -> None:
    manifest = json.loads((two / "study.json").read_text())
    manifest["plan"]["second_objective"] = "seconds"
    (two / "study.json").write_text(json.dumps(manifest))
    study = load_study(two)
    front = read_front(study)
    assert front is not None
    assert front.is_seconds
    assert "68.0 % and 10.0 s on validation" in front_sentences(study)[0]


def test_a_study_of_one_objective_has_no_front(simulated) -> None:
    study = load_study(simulated(n_trials=6, n_pruned=0, n_failed=0))
    assert read_front(study) is None
    assert front_sentences(study) == []
