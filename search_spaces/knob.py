"""One searched knob, the condition under which it exists, and the error of a space that contradicts itself."""

from collections.abc import Sequence
from dataclasses import dataclass

from optuna.distributions import BaseDistribution

KnobValue = float | int | str | bool


class SpaceError(ValueError):
    """A space that contradicts itself, or a name that no space has; `faults` holds one sentence per fault."""

    def __init__(self, faults: str | Sequence[str]) -> None:
        self.faults: tuple[str, ...] = (faults,) if isinstance(faults, str) else tuple(faults)
        super().__init__("\n".join(self.faults))

    def __reduce__(self) -> tuple[type["SpaceError"], tuple[tuple[str, ...]]]:
        # Pickle would rebuild it from the joined message and lose the single faults.
        return type(self), (self.faults,)


@dataclass(frozen=True)
class Knob:
    """One searched knob.

    Attributes:
        name: key in the trial configuration.
        distribution: range and scale (Optuna).
        unit: unit of its number; '1' for a pure number.
        reason: why this range and this scale, one sentence.
        reference: the method's own value, inside the range.
    """

    name: str
    distribution: BaseDistribution
    unit: str
    reason: str
    reference: KnobValue


@dataclass(frozen=True)
class Condition:
    """`knob` exists only where `parent` has one of `values` (and exists itself)."""

    knob: str
    parent: str
    values: tuple[KnobValue, ...]
