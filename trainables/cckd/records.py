"""What one epoch leaves behind: counts and sums, never rates; and the epochs at which a trial is evaluated."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True)
class ClassCounts:
    """Per-class results of one evaluation: `correct[c]` of `seen[c]` samples of class c were right, shape (C,)."""

    correct: tuple[int, ...]
    seen: tuple[int, ...]


@dataclass(frozen=True)
class EpochRecord:
    """One finished epoch.

    Attributes:
        epoch: epochs completed so far, counted from 1.
        losses: term -> mean over the epoch's steps, unweighted. 'total' is the weighted sum that was minimised; the
            other names are those of losses.terms.TERMS. A term that is off is absent.
        lr: learning rate of the epoch's last step.
        val: counts on the validation set, None where this epoch was not evaluated.
        train_s, eval_s: seconds spent training and evaluating.
    """

    epoch: int
    losses: dict[str, float]
    lr: float
    val: ClassCounts | None
    train_s: float
    eval_s: float

    def to_dict(self) -> dict[str, Any]:
        """Plain types only, ready for JSON or a Ray report."""
        return asdict(self)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Inverse of `to_dict`, also after a JSON round trip (lists for tuples)."""
        val = plain["val"]
        counts = None if val is None else ClassCounts(tuple(val["correct"]), tuple(val["seen"]))
        return cls(**{**plain, "val": counts})


def rungs(epochs: int) -> tuple[int, ...]:
    """Return the epochs at which a trial of `epochs` epochs is evaluated, and may be pruned, ascending.

    They are a quarter, half, three quarters and all of its epochs, rounded up: no trial is judged before a quarter of
    its epochs. Short trials have fewer rungs.
    """
    return tuple(sorted({-(-epochs * quarter // 4) for quarter in (1, 2, 3, 4)}))
