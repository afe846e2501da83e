"""The errors a user can cause, each carrying every fault found at once."""

from collections.abc import Sequence

#: How the cause of a trial that would fail again begins; study/execution/failure_causes.py has the others.
NON_FINITE_LOSS, BAD_CONFIGURATION = "non-finite loss", "bad configuration"


class UsageError(ValueError):
    """Bad input from a user: `faults` holds one sentence per fault (rule, value received, valid choices)."""

    def __init__(self, faults: str | Sequence[str]) -> None:
        self.faults: tuple[str, ...] = (faults,) if isinstance(faults, str) else tuple(faults)
        super().__init__("\n".join(self.faults))

    def __reduce__(self) -> tuple[type["UsageError"], tuple[tuple[str, ...]]]:
        # Exceptions cross process borders under Ray; rebuild from the faults, not from the joined message.
        return type(self), (self.faults,)


class ConfigError(UsageError):
    """A trial configuration that no method accepts."""


class DataError(UsageError):
    """A data set that cannot be had, or options it does not take."""


class TeacherError(UsageError):
    """A teacher that cannot be built: missing or altered file, unknown name or form."""


class NonFiniteLossError(ArithmeticError):
    """A loss term became NaN or infinite; deterministic, so never retried."""

    def __init__(self, term: str, value: float, epoch: int, step: int) -> None:
        self.term, self.value, self.epoch, self.step = term, value, epoch, step
        super().__init__(f"loss term '{term}' became {value} at epoch {epoch}, step {step}")

    def __reduce__(self) -> tuple[type["NonFiniteLossError"], tuple[str, float, int, int]]:
        return type(self), (self.term, self.value, self.epoch, self.step)
