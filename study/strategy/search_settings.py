"""What decides the course of a search, beside its space: sampler, pruner, budget and seed."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from study.planning.plan import PRUNERS, SAMPLERS
from study.strategy.guards import Guard
from study.strategy.objectives import SecondObjective
from trainables.cckd.errors import UsageError

#: Values a numeric knob takes on the grid.
GRID_LEVELS = 3


class SettingsError(UsageError):
    """Search settings that cannot be followed."""


@dataclass(frozen=True)
class SearchSettings:
    """The settings of a search, kept in study.db beside its space.

    Attributes:
        sampler: one of SAMPLERS.
        pruner: one of PRUNERS.
        trials: total number of trials, finished ones included.
        n_sobol: Sobol trials after the reference point ('sobol+tpe' only).
        study_seed: seed of every sampler.
        epochs: epochs of a complete trial.
        rungs: evaluated epochs, ascending, the last one `epochs`; nothing is pruned before the first.
        grid_levels: values a numeric knob takes on the grid ('grid' only).
        second: the objective beside the mean recall of all classes, None where there is one objective.
        guards: what best1 and the finalists have to keep; the sampler is told too.

    Raises:
        SettingsError: a value outside its range; `faults` lists all.
    """

    sampler: str
    pruner: str
    trials: int
    n_sobol: int
    study_seed: int
    epochs: int
    rungs: tuple[int, ...]
    grid_levels: int = GRID_LEVELS
    guards: tuple[Guard, ...] = ()
    second: SecondObjective | None = None

    def __post_init__(self) -> None:
        checks = {
            f"sampler must be one of {', '.join(SAMPLERS)}; got {self.sampler!r}": self.sampler in SAMPLERS,
            f"pruner must be one of {', '.join(PRUNERS)}; got {self.pruner!r}": self.pruner in PRUNERS,
            f"trials must be at least 1; got {self.trials}": self.trials >= 1,
            f"n_sobol must be at least 0; got {self.n_sobol}": self.n_sobol >= 0,
            f"the seed must be at least 0; got {self.study_seed}": self.study_seed >= 0,
            f"epochs must be at least 1; got {self.epochs}": self.epochs >= 1,
            f"grid_levels must be at least 2; got {self.grid_levels}": self.grid_levels >= 2,
            f"rungs must ascend from at least 1 to epochs = {self.epochs}; got {self.rungs}": (
                list(self.rungs) == sorted({rung for rung in self.rungs if rung >= 1})
                and self.rungs[-1:] == (self.epochs,)
            ),
            f"two objectives allow no pruner; got {self.pruner!r}": self.second is None or self.pruner == "none",
            "a guard needs the reference point as trial 0, which the sampler grid does not have": (
                not self.guards or self.sampler != "grid"
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
        guards = tuple(Guard.from_json(guard) for guard in plain.get("guards", ()))
        second = SecondObjective.from_json(plain.get("second"))
        return cls(**{**plain, "rungs": tuple(plain["rungs"]), "guards": guards, "second": second})
