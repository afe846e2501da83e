"""Where the next trial looks: samplers that are functions of (space, settings, trial number).

One is made afresh for every ask. An Optuna sampler that lives through a study carries hidden state, and
restarted from its seed it repeats itself (12 of 12 configurations seen); here trial n asks the same question
after any restart. TPE and GP also read the finished trials, which the storage keeps.
"""

from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from search_spaces.knob import KnobValue
from search_spaces.space import SearchSpace
from study.strategy.grid import at_fraction, grid_points
from study.strategy.search_settings import GRID_LEVELS, SearchSettings, SettingsError

#: Finished trials before TPE and GP model anything (Optuna's default); random points until then.
_N_STARTUP = 10


def kind_of(settings: SearchSettings, number: int) -> str:
    """Return what chooses trial `number`: 'reference', 'sobol', or the sampler's own name.

    Every search but a grid opens with the space's reference point.
    """
    if settings.sampler == "grid":
        return "grid"
    if number == 0:
        return "reference"
    if settings.sampler != "sobol+tpe":
        return settings.sampler
    return "sobol" if number <= settings.n_sobol else "tpe"


def make_sampler(space: SearchSpace, settings: SearchSettings, number: int, behind: int = 0) -> BaseSampler:
    """Return the sampler that chooses trial `number`'s knobs, `behind` so many trials of another study's."""
    seed = _seed(settings.study_seed, number + behind)
    match kind_of(settings, number):
        case "reference":
            return PointSampler(space.reference_point())
        case "sobol" | "qmc":
            return SobolSampler(space, settings.study_seed, number - 1 + behind)
        case "grid":
            return PointSampler(_grid_point(space, settings, number))
        case "random":
            return RandomSampler(seed=seed)
        case "gp":
            return GPSampler(seed=seed, n_startup_trials=_N_STARTUP, warn_independent_sampling=False)
        case "tpe":
            covered = 1 + settings.n_sobol if settings.sampler == "sobol+tpe" else _N_STARTUP
            return TPESampler(seed=seed, n_startup_trials=min(_N_STARTUP, covered))
    raise AssertionError(settings.sampler)


def grid_size(space: SearchSpace, n_levels: int = GRID_LEVELS) -> int:
    """Return the number of points of the space's grid, the most trials the grid sampler can give."""
    return len(grid_points(space, n_levels))


def check_sampler(space: SearchSpace, settings: SearchSettings) -> None:
    """Raise SettingsError where the space cannot give as many trials as the settings ask for."""
    if settings.sampler == "grid":
        n_points = grid_size(space, settings.grid_levels)
        if settings.trials > n_points:
            raise SettingsError(
                f"the grid of {space.name} has {n_points} points at {settings.grid_levels} levels a number; "
                f"trials must not be more; got {settings.trials}"
            )


class _IndependentSampler(BaseSampler):
    """A sampler that answers knob by knob, so that conditional knobs need no special case."""

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {}


class PointSampler(_IndependentSampler):
    """Answers with the coordinates of one given point."""

    def __init__(self, point: dict[str, KnobValue]) -> None:
        self._point = point

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> KnobValue:
        """Return the point's coordinate of this knob."""
        return self._point[param_name]


class SobolSampler(_IndependentSampler):
    """Answers with point `index` of one scrambled Sobol sequence over the unit cube, a dimension a knob.

    A conditional knob keeps its dimension while it is inactive, so the others stay evenly covered.
    """

    def __init__(self, space: SearchSpace, study_seed: int, index: int) -> None:
        # Most of a second of imports, which the search takes while its first worker starts.
        from scipy.stats import qmc

        sequence = qmc.Sobol(d=len(space.tunable), scramble=True, seed=_seed(study_seed))
        if index:  # scipy cannot forward by 0
            sequence.fast_forward(index)
        point = sequence.random(1)[0]
        self._fractions = {knob.name: float(x) for knob, x in zip(space.tunable, point, strict=True)}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> KnobValue:
        """Return the value at this knob's fraction of its range."""
        return at_fraction(param_distribution, self._fractions[param_name])


def _grid_point(space: SearchSpace, settings: SearchSettings, number: int) -> dict[str, KnobValue]:
    points = grid_points(space, settings.grid_levels)
    # Shuffled, so that a study shorter than its grid still spans the space instead of one corner.
    order = np.random.default_rng(_seed(settings.study_seed)).permutation(len(points))
    return points[order[number]]


def _seed(*parts: int) -> int:
    return int(np.random.SeedSequence(parts).generate_state(1)[0])
