"""A trial that fell to chance must not leave a single colour for all the others."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection, QuadMesh
from optuna.distributions import CategoricalDistribution, FloatDistribution

from analysis.figures.pairs import PairScale, colour_limits, draw_pair
from analysis.search.pair_surfaces import Axis, PairSurface
from search_spaces.knob import Knob

Surface = Callable[..., PairSurface]


@pytest.fixture
def surface() -> Surface:
    def make(scores: list[float], mean: float = 0.7) -> PairSurface:
        x = Axis.of(Knob("w", FloatDistribution(0.1, 10.0, log=True), "1", "a reason", 1.0))
        y = Axis.of(Knob("op", CategoricalDistribution(("a", "b")), "choice", "a reason", "a"))
        rows = [(k, 0.5, "b", score) for k, score in enumerate(scores)]
        cells = np.full((2, 24), mean) + np.linspace(0, 0.01, 24)
        n = np.tile(np.linspace(0, 6, 24), (2, 1))
        return PairSurface(x, y, cells, n, cells > 0.705, pd.DataFrame(rows, columns=["trial", "x", "y", "score"]))

    return make


def _scale(limits: tuple[float, float], *, with_surface: bool = True) -> PairScale:
    return PairScale(limits, 0.002, {"w": 1.0, "op": "a"}, {"w": 5.0, "op": "b"}, with_surface)


def test_a_trial_far_below_all_others_does_not_stretch_the_colours(surface: Surface) -> None:
    scores = [0.1, *np.linspace(0.68, 0.72, 19)]
    low, high = colour_limits([surface(scores)], with_surface=True)
    assert 0.68 <= low < 0.69
    assert 0.71 < high < 0.72


def test_the_colours_hold_the_surface_where_it_is_drawn(surface: Surface) -> None:
    scores = [0.70] * 20
    assert colour_limits([surface(scores, 0.9)], with_surface=True)[1] == pytest.approx(0.9101)
    assert colour_limits([surface(scores, 0.9)], with_surface=False)[1] == pytest.approx(0.7001)


def test_every_trial_is_a_dot_and_cells_without_trials_are_paler(surface: Surface) -> None:
    found = surface([0.6, 0.7, 0.8])
    figure = draw_pair(found, _scale((0.65, 0.75)))
    plot = figure.axes[0]
    (mesh,) = [part for part in plot.collections if isinstance(part, QuadMesh)]
    (dots,) = [part for part in plot.collections if isinstance(part, PathCollection)]
    figure.canvas.draw()
    opacity = np.asarray(mesh.get_facecolor(), dtype=float)[:, 3]
    assert opacity[0] < opacity[-1] == 1
    assert np.shape(dots.get_offsets()) == (3, 2)
    assert figure.axes[1].get_ylabel() == "validation balanced accuracy (%)"


def test_without_a_surface_there_are_dots_alone(surface: Surface) -> None:
    plot = draw_pair(surface([0.6, 0.7]), _scale((0.6, 0.7), with_surface=False)).axes[0]
    assert [type(part) for part in plot.collections] == [PathCollection]
