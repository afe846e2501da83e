"""The profile at toy size: its pieces are those it names, and add up to the step."""

import pytest
import torch

from benchmarks import profile
from benchmarks.shapes import Shape


def test_the_pieces_and_the_host_add_up_to_a_step() -> None:
    threads = torch.get_num_threads()
    try:
        found = profile.measure(Shape(n_max=20, ir=2, size=8, padding=1, val_per_class=1), turns=2, batch_size=32)
    finally:
        torch.set_num_threads(threads)
    assert tuple(found.pieces) == profile.PIECES
    assert sum(found.pieces.values()) == pytest.approx(found.step_s)
    assert min(found.pieces[name] for name in (profile.FORWARD, profile.BACKWARD, profile.IMITATION)) > 0
    assert found.evaluation_s > 0
    rows = found.table().splitlines()
    assert [row.split(" | ")[0].strip("| ") for row in rows[2:-2]] == list(profile.PIECES)
