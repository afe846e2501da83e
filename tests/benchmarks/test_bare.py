"""The bare student makes the passes of a training step."""

from typing import Any

import pytest

from benchmarks.bare import SETTINGS, bare_epoch
from benchmarks.shapes import Shape, step_of
from tests.support.passes import watch_passes

TOY = Shape(n_max=6, ir=2, size=8, padding=1, val_per_class=1)


@pytest.mark.parametrize(
    ("method", "settings", "passes"),
    [
        ("acckd", {}, [8, 8]),
        ("acckd", {"mix_ratio": 0.75}, [8, 24]),
        ("acckd", {"mix_statistics": "joint"}, [16]),
        ("la", {}, [8]),
    ],
)
@pytest.mark.parametrize("setting", SETTINGS["cpu"])
def test_a_bare_step_makes_the_passes_of_its_shape(
    method: str, settings: dict[str, Any], passes: list[int], setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    epoch = bare_epoch(step_of(TOY, method, batch_size=8, **settings), 2, SETTINGS["cpu"][setting])
    seen = watch_passes(monkeypatch)
    epoch()
    assert seen == 2 * passes
