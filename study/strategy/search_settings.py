"""What decides the course of a search, beside its space: sampler, pruner, budget and seed."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler

from search_spaces.knob import KnobValue
from search_spaces.space import SearchSpace
from study.strategy.guards import Guard
from study.strategy.objectives import SecondObjective
from study.strategy.pruners import PRUNERS
from study.strategy.samplers import OPENINGS, POINTS, SAMPLERS, Draw
from study.strategy.space_filling import PointSampler
from trainables.cckd.errors import UsageError

#: Values that a numeric knob takes on a grid.
GRID_LEVELS = 3

#: Names that settings had in a study.db of version 0.1.
_BEFORE = {"study_seed": "seed", "second": "second_objective"}


class SettingsError(UsageError):
    """Search settings that cannot be followed."""


@dataclass(frozen=True)
class SearchSettings:
    """The settings of a search. study.db keeps them beside the space.

    Attributes:
        sampler: one of SAMPLERS.
        pruner: one of PRUNERS.
        trials: total number of trials, finished ones included.
        n_sobol: evenly spread trials after the reference point and `points` ('lhs', 'lhs+tpe' and 'sobol+tpe' only).
        seed: seed of every sampler.
        epochs: epochs of a complete trial.
        rungs: evaluated epochs, ascending, the last one `epochs`; nothing is pruned before the first.
        grid_levels: values that a numeric knob takes on a grid ('grid' only).
        second_objective: the objective beside the mean recall of all classes; None where there is one objective.
        points: the user's own points, trained behind the reference point and before all others.
        guards: what best1 and the finalists have to keep; the sampler sees them as constraints.

    Raises:
        SettingsError: a value outside its range; `faults` lists all.
    """

    sampler: str
    pruner: str
    trials: int
    n_sobol: int
    seed: int
    epochs: int
    rungs: tuple[int, ...]
    grid_levels: int = GRID_LEVELS
    guards: tuple[Guard, ...] = ()
    second_objective: SecondObjective | None = None
    points: tuple[Mapping[str, KnobValue], ...] = ()

    def __post_init__(self) -> None:
        two = self.second_objective is not None
        compares = self.sampler not in SAMPLERS or SAMPLERS[self.sampler].tries_reference
        checks = {
            f"sampler must be one of {', '.join(SAMPLERS)}; got {self.sampler!r}": self.sampler in SAMPLERS,
            f"pruner must be one of {', '.join(PRUNERS)}; got {self.pruner!r}": self.pruner in PRUNERS,
            f"trials must be at least 1; got {self.trials}": self.trials >= 1,
            f"n_sobol must be at least 0; got {self.n_sobol}": self.n_sobol >= 0,
            f"seed must be at least 0; got {self.seed}": self.seed >= 0,
            f"epochs must be at least 1; got {self.epochs}": self.epochs >= 1,
            f"grid_levels must be at least 2; got {self.grid_levels}": self.grid_levels >= 2,
            f"rungs must ascend from at least 1 to epochs = {self.epochs}; got {self.rungs}": (
                list(self.rungs) == sorted({rung for rung in self.rungs if rung >= 1})
                and self.rungs[-1:] == (self.epochs,)
            ),
            f"two objectives allow no pruner; got {self.pruner!r}": not two or self.pruner == "none",
            f"a guard needs the reference point as trial 0, which the sampler {self.sampler} does not have": (
                not self.guards or compares
            ),
        }
        faults = [fault for fault, holds in checks.items() if not holds]
        if faults:
            raise SettingsError(faults)

    def to_json(self) -> dict[str, Any]:
        """Plain types only."""
        return asdict(self)

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Self:
        """Inverse of `to_json`, also after a JSON round trip."""
        named = {_BEFORE.get(name, name): value for name, value in plain.items()}
        guards = tuple(Guard.from_json(guard) for guard in named.get("guards", ()))
        second = SecondObjective.from_json(named.get("second_objective"))
        whole = {"rungs": tuple(named["rungs"]), "points": tuple(named.get("points", ()))}
        return cls(**{**named, **whole, "guards": guards, "second_objective": second})


def kind_of(settings: SearchSettings, number: int) -> str:
    """Return what chooses trial `number`: one of OPENINGS, the user (POINTS), or the sampler that learns or draws."""
    sampler = SAMPLERS[settings.sampler]
    if number == 0 and sampler.tries_reference:
        return "reference"
    if number - sampler.tries_reference < len(settings.points):
        return POINTS
    if sampler.opens_with and number - len(settings.points) <= settings.n_sobol:
        return sampler.opens_with
    return settings.sampler.rpartition("+")[2]


def make_sampler(space: SearchSpace, settings: SearchSettings, number: int, behind: int = 0) -> BaseSampler:
    """Return the sampler that chooses the knobs of trial `number`.

    Args:
        space: the search space.
        settings: of the search.
        number: the trial's number.
        behind: trials of the study that this one starts warm from; its random numbers are not used again.
    """
    kind = kind_of(settings, number)
    if kind == POINTS:
        return PointSampler(settings.points[number - SAMPLERS[settings.sampler].tries_reference])
    place = number - len(settings.points) + behind
    draw = Draw(space, settings.seed, place, behind, settings.n_sobol, settings.grid_levels)
    return OPENINGS.get(kind, SAMPLERS[settings.sampler].make)(draw)


def make_pruner(settings: SearchSettings) -> BasePruner:
    """Return the pruner of `settings`; its first decision falls at the first rung."""
    return PRUNERS[settings.pruner].make(settings.rungs)


def most_trials(sampler: str, space: SearchSpace, grid_levels: int = GRID_LEVELS) -> float:
    """Return the most trials that a sampler can give in a space, infinity where there is no limit."""
    limit = SAMPLERS[sampler].most_trials
    return float("inf") if limit is None else limit(space, grid_levels)


def limit_text(sampler: str, most: float, n_own: int) -> str:
    """Return in words the most trials of a sampler that gives `most` points, beside `n_own` of the user's."""
    return f"the {sampler}'s {most:.0f} points{f' and your {n_own}' if n_own else ''}"


def check_sampler(space: SearchSpace, settings: SearchSettings) -> None:
    """Raise SettingsError where the space cannot give as many trials as the settings ask for."""
    most = most_trials(settings.sampler, space, settings.grid_levels)
    if settings.trials - len(settings.points) > most:
        raise SettingsError(
            f"trials must not exceed {limit_text(settings.sampler, most, len(settings.points))}, at "
            f"{settings.grid_levels} levels per number of {space.name}; got {settings.trials}"
        )
