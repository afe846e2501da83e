"""What the benchmark of --max-hours counts in a study's folder."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.time_budget import confirmed, n_ended


@pytest.mark.parametrize(
    ("rows", "n"),
    [
        (["best1,0,1", "best1,1,1", "best1,2,1"], 3),
        (["best1,0,1", "best1,0,1"], 1),
        (["best1,0,1", "best1,1,2", "la,1,1", "best2,2,1"], 1),
        ([], 0),
    ],
)
def test_seeds_count_once_for_best1_at_its_own_length(tmp_path: Path, rows: list[str], n: int) -> None:
    (tmp_path / "confirm.csv").write_text("\n".join(["entry,seed,epochs_factor", *rows]))
    assert confirmed(tmp_path) == n


def test_a_trial_has_ended_however_it_ended() -> None:
    study: Any = SimpleNamespace(states=lambda: ["COMPLETE", "RUNNING", "PRUNED", "FAIL", "RUNNING"])
    assert n_ended(study) == 3
    assert n_ended(SimpleNamespace(states=list)) == 0  # type: ignore[arg-type]
