"""The benchmark of fused trials at toy size."""

import json
from pathlib import Path

import pytest
import torch

from benchmarks import fused
from benchmarks.shapes import Shape
from trainables.cckd.fused.choice import StepSeconds

TOY = Shape(n_max=6, ir=2, size=8, padding=1, val_per_class=1)


def test_fused_and_solo_epochs_take_turns_and_are_kept_with_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(fused.SHAPES, "toy", TOY)
    monkeypatch.setattr(fused, "RESULTS", tmp_path)
    threads = torch.get_num_threads()
    try:
        assert fused.main(["--k", "1", "2", "--data", "toy", "--turns", "2", "--batch-size", "8"]) == 0
    finally:
        torch.set_num_threads(threads)
    (path,) = tmp_path.glob("fused-*.json")
    times = json.loads(path.read_text())["raw"]["times"]
    assert [each["k"] for each in times] == [1, 2]
    assert all(len(taken) == 2 for each in times for taken in each["seconds"].values())
    assert "K = 2" in capsys.readouterr().out


@pytest.mark.parametrize(("k", "device", "judged"), [(8, "cuda", True), (8, "cpu", False), (4, "cuda", False)])
def test_only_eight_trials_on_a_gpu_have_a_goal(k: int, device: str, judged: bool) -> None:
    seconds = {"one by one": [8.0, 12.0], "stacked": [4.0, 6.0], "parallel": [2.0, 2.4]}
    times = fused.FusedTimes(k, seconds, StepSeconds(solo=(5.0,), joint={"stacked": (2.0,), "parallel": (1.0,)}))
    assert (times.best, times.gain("parallel").median, times.gain("stacked").median) == ("parallel", 4.5, 2.0)
    assert [row.verdict for row in fused.rows([times], device=device)] == (["met"] if judged else [])
