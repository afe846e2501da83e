"""The profile at toy size: its pieces are those it names, and add up to the step."""

import pytest
import torch

from benchmarks import epoch, profile
from benchmarks.shapes import Shape, random_trial_data
from tests.support.passes import watch_passes
from trainables.cckd.precision import StepTime

TOY = Shape(n_max=20, ir=2, size=8, padding=1, val_per_class=1)


def test_the_pieces_and_the_host_add_up_to_a_step() -> None:
    threads = torch.get_num_threads()
    try:
        found = profile.measure(TOY, turns=2, batch_size=32)
    finally:
        torch.set_num_threads(threads)
    assert tuple(found.pieces) == profile.PIECES
    assert sum(found.pieces.values()) == pytest.approx(found.step_s)
    assert min(found.pieces[name] for name in (profile.FORWARD, profile.BACKWARD, profile.IMITATION)) > 0
    assert found.evaluation_s > 0
    rows = found.table().splitlines()
    assert [row.split(" | ")[0].strip("| ") for row in rows[2:-2]] == list(profile.PIECES)


def test_a_step_that_is_taken_apart_makes_the_passes_of_a_trained_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(epoch, "time_step", lambda shape: StepTime(1.0, 1.0))
    trainer = epoch.trainer_of(random_trial_data(TOY), TOY.student, "acckd", 32)
    epoch._precision_here.cache_clear()
    seen = watch_passes(monkeypatch)
    trainer.run_epoch()
    trained = seen.copy()
    seen.clear()
    profile.dissect(trainer)
    assert seen == trained == trainer.batches.n_steps * [32, 32]
