"""The section on what each setting and each part buys: its sentences, its table and its files."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis import report
from analysis.page.latex import latex_tables
from analysis.reading.study_folder import load_study
from analysis.sections.ablation import ablation_section
from tests.analysis.results.test_ablation import BEST, KNOB, PART, RUNS, SMALL

Simulated = Callable[..., Path]


def _text(folder: Path) -> str:
    report.build_report(folder)
    page = (folder / "report" / "report.md").read_text(encoding="utf-8").replace("\\", "")
    found = re.search(r"## What each setting and each part buys\n(.*?)\n## ", page, flags=re.DOTALL)
    assert found is not None
    assert not re.search(r"\b(nan|None|NaN|inf)\b", found[1])
    return found[1]


@pytest.mark.usefixtures("drawn")
def test_it_says_what_was_trained_where_it_was_judged_and_what_is_shown(simulated: Simulated) -> None:
    folder = simulated(ablation=RUNS, **SMALL)
    text = _text(folder)
    assert "Each change was trained on 3 fresh seeds and best1 itself on 6" in text
    assert "judged on the validation set" in text
    assert "best1 was chosen on this set, which favours it; study.ablate --test judges on the test set." in text
    assert "Shown to buy accuracy: feature imitation (+10.0 points)." in text
    assert "temperature (+1.0 points)" not in text
    assert re.search(r"\| feature imitation \| taken out \| 70\.0 ± 1\.0 \| 3 \| \+10\.0 \| \+\d", text)
    assert re.search(r"\| temperature \| [\d.]+ → 2 \| 79\.0 ± 1\.0 \| 3 \| \+1\.0 \| −\d", text)
    assert "predict" not in text
    assert "No knob was put back" not in text
    for name in ("figures/ablation_val.png", "tables/ablation_val.csv", "tables/ablation_val_changes.csv"):
        assert (folder / "report" / name).is_file()
    latex = (folder / "report" / "tables" / "ablation_val.tex").read_text()
    assert latex == latex_tables(load_study(folder))["ablation_val"]
    body = [line for line in latex.splitlines() if line.endswith(r"\\")]
    assert {line.count(" & ") for line in body} == {4}
    assert len(body) == 1 + 1 + 2


def test_a_row_that_saw_fresh_views_is_told(simulated: Simulated, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = simulated(ablation=RUNS, **SMALL)
    assert "fresh views" not in _text(folder)
    monkeypatch.setattr("analysis.sections.ablation.without_teacher", lambda _, ablation: ablation.bought[1:])
    said = "Without the feature imitation nothing reads the teacher, so that this row saw fresh views in every epoch"
    assert said in _text(folder)


def test_runs_that_failed_are_told(simulated: Simulated) -> None:
    runs = RUNS | {KNOB: (0.79, "non-finite loss: it", "worker killed: by the night")}
    text = _text(simulated(ablation=runs, ablated_on="test", **SMALL))
    assert "judged on the test set" in text
    assert "was chosen on this set" not in text
    assert "1 run diverged and counts at chance level, 10.0 %." in text
    assert "1 run failed for another reason and is left out." in text


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        ({PART: (0.80, 0.81, 0.79)}, "No change is shown to make a difference."),
        ({PART: (0.90, 0.91, 0.89)}, "Shown to cost accuracy: feature imitation (−10.0 points)."),
    ],
)
def test_what_costs_accuracy_or_is_open_is_said(simulated: Simulated, runs: dict[Any, Any], said: str) -> None:
    text = _text(simulated(ablation={BEST: RUNS[BEST]} | runs, **SMALL))
    assert said in text
    assert "No knob was put back: none that is shown to matter has another value than its reference." in text


@pytest.mark.usefixtures("drawn")
@pytest.mark.parametrize(
    "runs",
    [
        {BEST: (0.80,), PART: (0.79,)},  # nothing is known of the noise
        {BEST: (0.80, 0.80), PART: (0.79,)},  # and nothing scatters
        {BEST: (0.80, 0.81), PART: ("lost node: n",), KNOB: (0.7,)},
    ],
    ids=str,
)
def test_an_ablation_under_way_shows_what_there_is(simulated: Simulated, runs: dict[Any, Any]) -> None:
    assert "feature imitation" in _text(simulated(ablation=runs, status="running", **SMALL))


def test_without_runs_there_is_no_section(simulated: Simulated) -> None:
    assert ablation_section(load_study(simulated(**SMALL)), None) is None  # type: ignore[arg-type]
