"""The registry of samplers: what chooses the knobs of the next trial.

A sampler is made anew for every trial and is a function of (space, settings, trial number). An Optuna sampler that
lives through a study carries hidden state. Restarted from its seed it repeats itself: 12 of 12 configurations came a
second time. Here trial n asks the same question after any restart. TPE and GP also read the finished trials, which
study.db keeps.

A new sampler is one row of `SAMPLERS`. Optuna is imported inside the functions: `--help` lists the names without it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from search_spaces.space import SearchSpace

#: Finished trials before TPE and GP model anything (Optuna's default); random points until then.
_N_STARTUP = 10


@dataclass(frozen=True)
class Draw:
    """What a sampler may know when it chooses the knobs of one trial.

    Attributes:
        space: the search space.
        seed: seed of the study.
        number: the trial's number without the user's own points, counted on from the trials of the study that this
            one starts warm from.
        behind: these trials, of the other study.
        n_sobol: trials after the reference point that are spread evenly, by a Sobol sequence or a Latin hypercube.
        grid_levels: values that a numeric knob takes on a grid.
    """

    space: SearchSpace
    seed: int
    number: int
    behind: int
    n_sobol: int
    grid_levels: int

    def seed_of(self, *parts: int) -> int:
        """A seed that derives from the study's seed and `parts`."""
        import numpy as np

        return int(np.random.SeedSequence([self.seed, *parts]).generate_state(1)[0])


@dataclass(frozen=True)
class SamplerKind:
    """One row of the registry.

    Attributes:
        make: returns the sampler that chooses one trial.
        learns: whether it reads finished trials; only then `--warm-start` means anything.
        tries_reference: whether trial 0 is the space's reference point, which guards compare with.
        opens_with: the kind of OPENINGS that chooses the evenly spread trials; None for no such trials.
        spread: the share of the trials that it chooses; the reference point is one of them.
        most_trials: the most trials that it can give, as a function of (space, grid levels); None where all it can.
    """

    make: Callable[[Draw], BaseSampler]
    learns: bool = False
    tries_reference: bool = True
    opens_with: str | None = None
    spread: float = 0.5
    most_trials: Callable[[SearchSpace, int], int] | None = None

    @property
    def always_spread(self) -> bool:
        """Whether all of its trials are spread evenly: they all run to the end, whatever the pruner."""
        return self.opens_with is not None and self.spread == 1

    def n_spread(self, trials: int) -> int:
        """Return how many of so many trials, after the reference point, are spread evenly."""
        return min(int(self.spread * trials), trials - 1) if self.opens_with else 0


def sobol(draw: Draw) -> BaseSampler:
    """Consecutive points of one scrambled Sobol sequence; trial 1 is its first point."""
    from study.strategy.space_filling import PointSampler, sobol_point

    return PointSampler(sobol_point(draw.space, draw.seed_of(), draw.number - 1))


def latin(draw: Draw) -> BaseSampler:
    """Consecutive points of Latin hypercubes; trial 1 is the first point of one of them.

    A study that starts warm skips as many hypercubes as there are trials behind it, not as many points: its opening is
    one whole hypercube, and no study behind another one opens with the same.
    A study of the reference point alone that is extended goes on with hypercubes of one point.
    """
    from study.strategy.space_filling import PointSampler, latin_point

    n, own = max(1, draw.n_sobol), draw.number - draw.behind
    return PointSampler(latin_point(draw.space, draw.seed_of(), n, draw.behind * n + own - 1))


def reference(draw: Draw) -> BaseSampler:
    """The space's reference point."""
    from study.strategy.space_filling import PointSampler

    return PointSampler(draw.space.reference_point())


def _tpe(draw: Draw, n_startup: int = _N_STARTUP) -> BaseSampler:
    from optuna.samplers import TPESampler

    return TPESampler(seed=draw.seed_of(draw.number), n_startup_trials=n_startup)


def _tpe_after_opening(draw: Draw) -> BaseSampler:
    return _tpe(draw, min(_N_STARTUP, 1 + draw.n_sobol))


def _random(draw: Draw) -> BaseSampler:
    from optuna.samplers import RandomSampler

    return RandomSampler(seed=draw.seed_of(draw.number))


def _gp(draw: Draw) -> BaseSampler:
    from optuna.samplers import GPSampler

    seed = draw.seed_of(draw.number)
    return GPSampler(seed=seed, n_startup_trials=_N_STARTUP, warn_independent_sampling=False)


def _grid(draw: Draw) -> BaseSampler:
    from study.strategy.space_filling import PointSampler, shuffled_grid_point

    return PointSampler(shuffled_grid_point(draw.space, draw.seed_of(), draw.number, draw.grid_levels))


def _grid_size(space: SearchSpace, n_levels: int) -> int:
    from study.strategy.space_filling import grid_size

    return grid_size(space, n_levels)


#: Kind of the trials at the user's own points, which come before all that a sampler chooses.
POINTS = "points"

#: Kind of the trials that open a search -> what chooses them. No other trial influences them.
OPENINGS: dict[str, Callable[[Draw], BaseSampler]] = {"reference": reference, "lhs": latin, "sobol": sobol}

#: Name on the command line -> sampler, in the order that `--help` prints.
SAMPLERS = {
    "lhs": SamplerKind(latin, opens_with="lhs", spread=1.0),
    "lhs+tpe": SamplerKind(_tpe_after_opening, learns=True, opens_with="lhs"),
    "sobol+tpe": SamplerKind(_tpe_after_opening, learns=True, opens_with="sobol"),
    "tpe": SamplerKind(_tpe, learns=True),
    "random": SamplerKind(_random),
    "qmc": SamplerKind(sobol),
    "gp": SamplerKind(_gp, learns=True),
    "grid": SamplerKind(_grid, tries_reference=False, most_trials=_grid_size),
}
