"""The emulator has the means, the noise and the curves of the runs that it was fitted to."""

import json

import numpy as np
import pandas as pd
import pytest

from analysis.search.trial_matrix import position
from benchmarks.emulator import Emulator
from benchmarks.response_surface import active_point, path_of, read_rows
from search_spaces.registry import get_space

_NOISE = 0.006


@pytest.fixture(scope="module")
def surface() -> Emulator:
    """Runs whose accuracy depends on the temperature alone, with curves that rise by ten points."""
    space, rng = get_space("acckd_core"), np.random.default_rng(0)
    knob, rows = space.tunable[0], []
    for point, seed in [*((k, 1) for k in range(80)), *((k, s) for s in (2, 3, 4) for k in range(30))]:
        params = active_point(space, point)
        last = 0.7 + 0.05 * position(knob, params[knob.name]) + _NOISE * rng.normal()
        curve = [[round(10_000 * (last - 0.1 * (1 - epoch / 60)))] * 2 for epoch in (30, 60)]
        seen = {"val_seen": [10_000] * 2, "epochs": [30, 60]}
        rows.append({"point": point, "seed": seed, "params": json.dumps(params), "val": curve, **seen})
    return Emulator.of(pd.DataFrame(rows), space)


def test_the_mean_follows_the_knob_that_matters_alone(surface: Emulator) -> None:
    name = surface.space.tunable[0].name
    assert surface.named == (name,)
    ends = surface.effects(name, (1.0, 8.0))
    assert ends[1] - ends[0] == pytest.approx(0.05, abs=0.01)
    points = [active_point(surface.space, k) for k in range(100, 200)]
    true = [0.7 + 0.05 * position(surface.space.tunable[0], point[name]) for point in points]
    assert np.std(surface.mean(points) - true) < 0.4 * _NOISE


def test_runs_scatter_like_seeds_and_rise_like_the_recorded_curves(surface: Emulator) -> None:
    rng, point = np.random.default_rng(1), active_point(surface.space, 5)
    runs = [surface.curve(point, rng) for _ in range(400)]
    last = np.array([run[60] for run in runs])
    assert last.std() == pytest.approx(_NOISE, rel=0.3)
    assert last.mean() == pytest.approx(float(surface.mean([point])[0]), abs=0.002)
    assert all(run[60] - run[30] == pytest.approx(0.05, abs=1e-3) for run in runs)


def test_the_recorded_surface_keeps_its_spread() -> None:
    surface = Emulator.of(read_rows(path_of("fashion_mnist_lt")), get_space("acckd_full"))
    assert {"tau", "use_kd", "cckd_weight"} <= set(surface.named)
    points = [active_point(surface.space, k) for k in range(300, 500)]
    rng = np.random.default_rng(0)
    spread = np.std([surface.curve(point, rng)[60] for point in points])
    assert 0.011 < spread < 0.018  # 0.015 between the recorded points
    assert 0.008 < np.std(surface.mean(points)) < 0.014
