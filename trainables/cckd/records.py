"""What one epoch leaves behind: counts and sums, never rates; and the epochs at which a run is evaluated."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

#: Evaluations on D_val along a run whose curve is recorded.
CURVE_POINTS = 20


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
    return _even_epochs(epochs, 4)


def curve_epochs(epochs: int) -> tuple[int, ...]:
    """Return the epochs at which a run of `epochs` epochs is evaluated for its curve, ascending.

    They are `CURVE_POINTS` evenly spaced epochs, rounded up, the last epoch among them. A run with fewer epochs is
    evaluated at every epoch.
    """
    return _even_epochs(epochs, CURVE_POINTS)


def _even_epochs(epochs: int, parts: int) -> tuple[int, ...]:
    return tuple(sorted({-(-epochs * part // parts) for part in range(1, parts + 1)}))
