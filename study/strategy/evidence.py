"""Complete trials of another study, from which the sampler of this one learns (`--warm-start`)."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from optuna.trial import FrozenTrial, TrialState, create_trial

from search_spaces.knob import KnobValue
from search_spaces.space import SearchSpace
from trainables.cckd.metrics import balanced_accuracy
from trainables.cckd.records import ClassCounts

#: The sampler sees evidence under numbers from here on, above the number of any trial.
NUMBERS_FROM = 10**6


@dataclass(frozen=True)
class Evidence:
    """One complete trial of another study: its number there, its knobs, and how good it was on D_val.

    A study of ours has counts after the last epoch, `val`. Another tool has one number, the balanced accuracy as a
    fraction in `accuracy`; then `val` is None. Where the other study started warm itself, `number` counts from that
    one's trials on.
    """

    number: int
    params: dict[str, KnobValue]
    val: ClassCounts | None
    accuracy: float | None = None

    @property
    def value(self) -> float:
        """The balanced accuracy on D_val, a fraction."""
        if self.val is not None:
            return balanced_accuracy(self.val)
        assert self.accuracy is not None, "evidence without counts has a value"
        return self.accuracy

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Self:
        """Inverse of `to_json`, also after a JSON round trip."""
        val = plain["val"]
        counts = None if val is None else ClassCounts(*map(tuple, val))
        return cls(plain["number"], dict(plain["params"]), counts, plain.get("accuracy"))

    def to_json(self) -> dict[str, Any]:
        """Plain types only."""
        return asdict(self) | {"val": None if self.val is None else [list(self.val.correct), list(self.val.seen)]}

    def trial(self, space: SearchSpace, values: Sequence[float]) -> FrozenTrial:
        """As a sampler may see it, with what it is worth by this study's objectives."""
        from study.strategy.optuna_private import set_number  # it imports SQLAlchemy, which no plan needs

        made = create_trial(
            state=TrialState.COMPLETE,
            values=list(values),
            params=dict(self.params),
            distributions={name: space.distributions[name] for name in self.params},
        )
        set_number(made, NUMBERS_FROM + self.number)
        return made


def n_behind(evidence: Sequence[Evidence]) -> int:
    """Return how many points of our own samplers the evidence has used up; another tool has used none of them."""
    return 1 + max((known.number for known in evidence if known.val is not None), default=-1)
