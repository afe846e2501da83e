"""The ablation, really run: killed under way, resumed, extended by its command, and judged on the test set."""

import json
from pathlib import Path

import pytest

from study import schema
from tests.support.commands import Command
from tests.whole.whole import SMOKE, Start, csv_rows, table_rows, wait

pytestmark = pytest.mark.slow

PARTS = ["imitation", "mixing", "class_conditional"]
BUDGET = ("--trials", "3", "--epochs", "3", "--finalists", "0", "--max-concurrent", "1", "--ladder", "acckd")
SEEDS = ("--confirm-seeds", "1", "--long-seeds", "0", "--ablation-seeds", "1")


@pytest.fixture(scope="module")
def resumed(run: Start) -> tuple[Path, list[object]]:
    """A study that was killed in its ablation and resumed, and the runs that it had then."""
    path, command = run("ablated", *SMOKE, *BUDGET, *SEEDS)
    wait(command, lambda: len(table_rows(path, "ablation_runs")) >= 2)
    command.kill()
    before = table_rows(path, "ablation_runs")
    ended = Command("study.resume", str(path)).end()
    assert (ended.code, ended.err) == (0, "")
    return path, before


def _rows(path: Path, judged_on: str) -> list[tuple[str, int]]:
    rows = [row for row in csv_rows(path, schema.ABLATION_CSV) if row["judged_on"] == judged_on]
    assert all(0 < float(row["balanced_accuracy"]) <= 1 and not row["cause"] for row in rows)
    changes = dict.fromkeys(row["change"] for row in rows)
    return [(change, sum(row["change"] == change for row in rows)) for change in changes]


def test_a_driver_killed_in_the_ablation_loses_and_repeats_nothing(resumed: tuple[Path, list[object]]) -> None:
    path, before = resumed
    assert table_rows(path, "ablation_runs")[: len(before)] == before
    assert _rows(path, "val") == [("best1", 2), *((part, 1) for part in PARTS)]
    assert "What each setting and each part buys" in (path / "report" / "report.md").read_text()
    attempts = {name: n for name, n, *_ in table_rows(path, "rerun_attempts") if name.startswith("ablation-")}
    assert len(attempts) == 4, "the first run of best1 is the confirmation's"
    assert sum(n > 1 for n in attempts.values()) <= 1, "the run that was under way"
    assert list((path / "checkpoints").glob("*")) == []


def test_the_command_adds_a_knob_and_a_seed_and_opens_the_test_set_when_asked(
    resumed: tuple[Path, list[object]],
) -> None:
    path, _ = resumed
    manifest = json.loads((path / "study.json").read_text())
    best = manifest["confirm_entries"]["best1"]["config"]
    references = {knob["name"]: knob["reference"] for knob in manifest["space"]["tunable"]}
    changed = [name for name, reference in references.items() if best[name] != reference]
    before = table_rows(path, "ablation_runs")
    if unchanged := [name for name in references if name not in changed]:
        refused = Command("study.ablate", str(path), "--knobs", unchanged[0]).end()
        assert (refused.code, refused.err.count("\n")) == (2, 1)
        assert refused.err.endswith(f"; got {unchanged[0]}\n")
    knobs = ("--knobs", changed[0]) if changed else ()
    ended = Command("study.ablate", str(path), "--seeds", "2", "--test", *knobs).end()
    assert (ended.code, ended.err) == (0, "")
    assert _rows(path, "test") == [("best1", 4), *((change, 2) for change in (*PARTS, *changed[:1]))]
    assert table_rows(path, "ablation_runs")[: len(before)] == before
    report = (path / "report" / "report.md").read_text()
    assert "judged on the validation set" in report
    assert "judged on the test set" in report
