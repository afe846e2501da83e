"""From fractions of a range to knob values: one value, a knob's levels, and the grid of all of them."""

from math import exp, floor, log

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from search_spaces.knob import KnobValue
from search_spaces.space import SearchSpace


def at_fraction(distribution: BaseDistribution, fraction: float) -> KnobValue:
    """Return the value at `fraction` in [0, 1] of the range, on its scale; choices share it evenly."""
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
    """Return `n_levels` values from end to end of a number's range (or all it has), or every choice."""
    if isinstance(distribution, CategoricalDistribution):
        n = len(distribution.choices)
        return tuple(at_fraction(distribution, (k + 0.5) / n) for k in range(n))
    fractions = [k / (n_levels - 1) for k in range(n_levels)]
    return tuple(dict.fromkeys(at_fraction(distribution, fraction) for fraction in fractions))


def grid_points(space: SearchSpace, n_levels: int) -> list[dict[str, KnobValue]]:
    """Return every point of the grid, an inactive knob absent, so that no point is there twice."""
    points: list[dict[str, KnobValue]] = [{}]
    for knob in space.tunable:
        values = levels(knob.distribution, n_levels)
        points = [
            grown
            for point in points
            for grown in (
                [point | {knob.name: value} for value in values] if space.is_active(knob.name, point) else [point]
            )
        ]
    return points


def _bin(fraction: float, n_bins: int) -> int:
    return min(floor(fraction * n_bins), n_bins - 1)


def _between(low: float, high: float, fraction: float, *, log_scale: bool) -> float:
    if log_scale:
        return exp(log(low) + fraction * (log(high) - log(low)))
    return low + fraction * (high - low)


def _within(value: float, low: float, high: float) -> float:
    # Rounding may step out of the range by one unit in the last place, which Optuna refuses.
    return min(max(value, low), high)
