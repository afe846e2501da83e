"""Complete trials of another study, from which the sampler of this one learns (`--warm-start`)."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from optuna.trial import FrozenTrial, TrialState, create_trial

from search_spaces.space import KnobValue, SearchSpace
from study.strategy.optuna_private import set_number
from trainables.cckd.records import ClassCounts

#: The sampler sees evidence under numbers from here on, above the number of any trial.
NUMBERS_FROM = 10**6


@dataclass(frozen=True)
class Evidence:
    """One complete trial of another study: its number there, knobs, and counts on D_val after the last epoch.

    Where the other study started warm itself, `number` counts from that one's trials on.
    """

    number: int
    params: dict[str, KnobValue]
    val: ClassCounts

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Self:
        """Inverse of `dataclasses.asdict`, also after a JSON round trip."""
        return cls(plain["number"], dict(plain["params"]), ClassCounts(*map(tuple, plain["val"])))

    def to_json(self) -> dict[str, Any]:
        """Plain types only."""
        return asdict(self) | {"val": [list(self.val.correct), list(self.val.seen)]}

    def trial(self, space: SearchSpace, values: Sequence[float]) -> FrozenTrial:
        """As a sampler may see it, with what it is worth by this study's objectives."""
        made = create_trial(
            state=TrialState.COMPLETE,
            values=list(values),
            params=dict(self.params),
            distributions={name: space.distributions[name] for name in self.params},
        )
        set_number(made, NUMBERS_FROM + self.number)
        return made
