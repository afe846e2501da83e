"""One searched knob, the condition under which it exists, and the error of a space that contradicts itself."""

from dataclasses import dataclass

from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution

from trainables.cckd.config import legal_ends
from trainables.cckd.errors import UsageError

KnobValue = float | int | str | bool


class SpaceError(UsageError):
    """A space that contradicts itself, or a name that no space has; `faults` holds one sentence per fault."""


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

    @property
    def widens(self) -> tuple[bool, bool]:
        """Whether a number's range could go on below its lower end, and above its upper end, with legal values."""
        spec = self.distribution
        assert isinstance(spec, FloatDistribution | IntDistribution)
        least, greatest = legal_ends(self.name)
        return spec.low > least, spec.high < greatest


@dataclass(frozen=True)
class Condition:
    """`knob` exists only where `parent` has one of `values` (and exists itself)."""

    knob: str
    parent: str
    values: tuple[KnobValue, ...]

    @property
    def text(self) -> str:
        """Where the knob exists, e.g. 'use_kd is True'."""
        return f"{self.parent} is {' or '.join(map(str, self.values))}"
