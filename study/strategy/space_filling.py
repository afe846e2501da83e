"""Samplers whose points do not depend on other trials: a given point, a Latin hypercube, a Sobol sequence, a grid.

All of them map a fraction of a knob's range to a value of the knob.
"""

from collections.abc import Mapping
from functools import cache
from math import exp, floor, log
from typing import Any

import numpy as np
import numpy.typing as npt
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from search_spaces.knob import KnobValue
from search_spaces.space import SearchSpace

#: Exchanges that are tried per dimension of a Latin hypercube.
_N_EXCHANGES = 200


class PointSampler(BaseSampler):
    """Answers with the coordinates of one given point, knob by knob: a conditional knob needs no special case."""

    def __init__(self, point: Mapping[str, KnobValue]) -> None:
        self._point = point

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """No knob is chosen together with others."""
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """No knob is chosen together with others."""
        return {}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> KnobValue:
        """Return the point's coordinate of this knob."""
        return self._point[param_name]


def sobol_point(space: SearchSpace, seed: int, index: int) -> dict[str, KnobValue]:
    """Return point `index` of one scrambled Sobol sequence over the unit cube, one dimension per knob.

    A conditional knob keeps its dimension while it is inactive, so the other knobs stay evenly covered.
    """
    # scipy.stats takes most of a second to import. The search does that while its first worker starts.
    from scipy.stats import qmc

    sequence = qmc.Sobol(d=len(space.tunable), scramble=True, seed=seed)
    if index:  # scipy cannot forward by 0
        sequence.fast_forward(index)
    return _point(space, sequence.random(1)[0])


def latin_point(space: SearchSpace, seed: int, n: int, index: int) -> dict[str, KnobValue]:
    """Return point `index` of Latin hypercubes of `n` points each, one dimension per knob; conditional knobs as above.

    Where a search goes on behind the first hypercube, another one of as many points follows.
    """
    block, place = divmod(index, n)
    return _point(space, latin_hypercube(n, len(space.tunable), seed, block)[place])


@cache
def latin_hypercube(n: int, d: int, seed: int, block: int) -> npt.NDArray[np.float64]:
    """Return n points in the unit cube, (n, d), in which hardly two dimensions go together.

    Each dimension has one point in each of n equal parts (McKay, Beckman & Conover 1979). Two points exchange their
    values in a dimension wherever that lowers the squared correlations of its slope and its parabola with those of the
    others (nearly orthogonal hypercubes: Cioppa & Lucas 2007). 32 points of a scrambled Sobol sequence in 17 dimensions
    have such correlations up to 0.9: the effect of one knob then looks like that of another.
    """
    rng = np.random.default_rng([seed, block])
    x = (rng.permuted(np.tile(np.arange(n), (d, 1)), axis=1).T + rng.random((n, d))) / n
    if n < 3:
        return x
    bends = np.stack([x - 0.5, np.square(x - 0.5)])
    bends -= bends.mean(axis=1, keepdims=True)
    bends /= np.sqrt(np.square(bends).sum(axis=1, keepdims=True))

    def correlated(dimension: int) -> float:
        found = np.tensordot(bends[:, :, dimension], bends, axes=(1, 1))  # (2, 2, d)
        found[:, :, dimension] = 0.0
        return float(np.square(found).sum())

    def exchange(pair: npt.NDArray[np.int64], dimension: int) -> None:
        x[pair, dimension] = x[pair[::-1], dimension]
        bends[:, pair, dimension] = bends[:, pair[::-1], dimension]

    for _ in range(_N_EXCHANGES * d):
        dimension, pair = int(rng.integers(d)), rng.integers(n, size=2)
        before = correlated(dimension)
        exchange(pair, dimension)
        if correlated(dimension) > before:
            exchange(pair, dimension)
    return x


def _point(space: SearchSpace, fractions: npt.NDArray[np.float64]) -> dict[str, KnobValue]:
    return {
        knob.name: at_fraction(knob.distribution, float(x)) for knob, x in zip(space.tunable, fractions, strict=True)
    }


def shuffled_grid_point(space: SearchSpace, seed: int, number: int, n_levels: int) -> dict[str, KnobValue]:
    """Return the grid point of trial `number`. The order is shuffled: a study shorter than its grid spans the space."""
    order = np.random.default_rng(seed).permutation(grid_size(space, n_levels))
    return grid_point(space, n_levels, int(order[number]))


def at_fraction(distribution: BaseDistribution, fraction: float) -> KnobValue:
    """Return the value at `fraction` in [0, 1] of a knob's range, on the knob's scale.

    Every choice of a category has an equal share of the range.
    """
    match distribution:
        case CategoricalDistribution(choices=choices):
            choice = choices[_bin(fraction, len(choices))]
            assert choice is not None, "a space refuses None as a choice"
            return choice
        case IntDistribution(low=low, high=high, log=True):
            # Every integer owns [k - 1/2, k + 1/2] of the logarithmic axis, as in Optuna.
            return min(max(round(_between(low - 0.5, high + 0.5, fraction, log_scale=True)), low), high)
        case IntDistribution(low=low, high=high, step=step):
            return low + step * _bin(fraction, (high - low) // step + 1)
        case FloatDistribution(low=low, high=high, step=float(step)):
            return _within(low + step * _bin(fraction, round((high - low) / step) + 1), low, high)
        case FloatDistribution(low=low, high=high, log=log_scale):
            return _within(_between(low, high, fraction, log_scale=log_scale), low, high)
    raise AssertionError(distribution)


def levels(distribution: BaseDistribution, n_levels: int) -> tuple[KnobValue, ...]:
    """Return `n_levels` values of a number from one end of its range to the other, or every choice of a category.

    A number with fewer values than that has all of them.
    """
    if isinstance(distribution, CategoricalDistribution):
        n = len(distribution.choices)
        return tuple(at_fraction(distribution, (k + 0.5) / n) for k in range(n))
    fractions = [k / (n_levels - 1) for k in range(n_levels)]
    return tuple(dict.fromkeys(at_fraction(distribution, fraction) for fraction in fractions))


def grid_size(space: SearchSpace, n_levels: int) -> int:
    """Return the number of points of the grid. None of them is built: the grid of the default space has 1.4 million."""
    return _n_below(space, n_levels, 0, {})


def grid_point(space: SearchSpace, n_levels: int, index: int) -> dict[str, KnobValue]:
    """Return a point of the grid, in the order in which the last knob changes first; an inactive knob is absent."""
    point: dict[str, KnobValue] = {}
    for place, knob in enumerate(space.tunable, start=1):
        if not space.is_active(knob.name, point):
            continue
        for value in levels(knob.distribution, n_levels):
            n_points = _n_below(space, n_levels, place, point | {knob.name: value})
            if index < n_points:
                point[knob.name] = value
                break
            index -= n_points
    return point


def _n_below(space: SearchSpace, n_levels: int, place: int, point: Mapping[str, KnobValue]) -> int:
    """Return how many points of the grid have these values of the knobs before `place`.

    Points are counted together where they agree on the knobs that others depend on.
    """
    parents = {condition.parent for condition in space.conditions}
    counts = {tuple((name, value) for name, value in point.items() if name in parents): 1}
    for knob in space.tunable[place:]:
        values = levels(knob.distribution, n_levels)
        grown: dict[tuple[tuple[str, KnobValue], ...], int] = {}
        for known, n_points in counts.items():
            if not space.is_active(knob.name, dict(known)):
                grown[known] = n_points
            elif knob.name in parents:
                grown |= {(*known, (knob.name, value)): n_points for value in values}
            else:
                grown[known] = n_points * len(values)
        counts = grown
    return sum(counts.values())


def _bin(fraction: float, n_bins: int) -> int:
    return min(floor(fraction * n_bins), n_bins - 1)


def _between(low: float, high: float, fraction: float, *, log_scale: bool) -> float:
    if log_scale:
        return exp(log(low) + fraction * (log(high) - log(low)))
    return low + fraction * (high - low)


def _within(value: float, low: float, high: float) -> float:
    # Rounding may step out of the range by one unit in the last place, which Optuna refuses.
    return min(max(value, low), high)
