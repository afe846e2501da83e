"""One cell that fell to chance must not leave a single colour for all the others."""

import numpy as np
import pytest

from analysis.figures.pairs import colour_limits


def test_a_cell_far_below_all_others_does_not_stretch_the_colours() -> None:
    values = np.array([0.10, 0.66, 0.68, 0.70, 0.71, 0.72, 0.74])
    low, high, n_below = colour_limits(values)
    assert (low, n_below) == (0.66, 1)
    assert high == pytest.approx(0.7401)


def test_a_cell_far_above_all_others_is_a_finding_and_keeps_its_colour() -> None:
    assert colour_limits(np.array([0.5, 0.51, 0.52, 0.53, 0.9])) == (0.5, pytest.approx(0.9001), 0)


@pytest.mark.parametrize("values", [[0.7], [0.7, 0.7, 0.7], [0.5, 0.6, 0.7, 0.8]])
def test_cells_that_lie_together_keep_their_range(values: list[float]) -> None:
    assert colour_limits(np.array(values)) == (min(values), pytest.approx(max(values) + 1e-4), 0)
