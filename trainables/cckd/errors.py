"""The errors that a user can cause; each carries all faults that were found at once."""

from collections.abc import Collection, Sequence
from itertools import islice

#: First words of the causes that would make a trial fail again. study/execution/failure_causes.py has the other causes.
NON_FINITE_LOSS, BAD_CONFIGURATION = "non-finite loss", "bad configuration"


def is_divergence(cause: str | None) -> bool:
    """Return whether the cause of a failure, `<kind>: <what>`, is a loss that became NaN or infinite."""
    return (cause or "").partition(":")[0] == NON_FINITE_LOSS


def fails_again(cause: str | None) -> bool:
    """Return whether a run that failed because of `cause` would fail again: the configuration is at fault."""
    return (cause or "").partition(":")[0] in (NON_FINITE_LOSS, BAD_CONFIGURATION)


#: Items that a message names; of a longer list it names the first ones and counts the rest.
N_NAMED = 10


class UsageError(ValueError):
    """Bad input from a user: `faults` holds one sentence per fault (rule, value received, valid choices)."""

    def __init__(self, faults: str | Sequence[str]) -> None:
        self.faults: tuple[str, ...] = (faults,) if isinstance(faults, str) else tuple(faults)
        super().__init__("\n".join(self.faults))

    def __reduce__(self) -> tuple[type["UsageError"], tuple[tuple[str, ...]]]:
        # Ray pickles exceptions. Rebuild this one from its faults, not from the joined message.
        return type(self), (self.faults,)


class ConfigError(UsageError):
    """A trial configuration that no method accepts."""


class DataError(UsageError):
    """A data set that is not available, or options that it does not take."""


class DamagedImageError(DataError):
    """An image file that cannot be decoded, or is another one than when it was scanned: `path`, and `what` is wrong."""

    def __init__(self, path: str, what: str) -> None:
        self.path, self.what = path, what
        super().__init__(f"{path} {what}")

    def __reduce__(self) -> tuple[type["DamagedImageError"], tuple[str, str]]:  # type: ignore[override]
        return type(self), (self.path, self.what)


class TeacherError(UsageError):
    """A teacher that cannot be built: a missing or altered file, an unknown name or form."""


class NonFiniteLossError(ArithmeticError):
    """A loss term became NaN or infinite. A retry would end the same way, so there is none."""

    def __init__(self, term: str, value: float, epoch: int, step: int) -> None:
        self.term, self.value, self.epoch, self.step = term, value, epoch, step
        super().__init__(f"loss term '{term}' became {value} at epoch {epoch}, step {step}")

    def __reduce__(self) -> tuple[type["NonFiniteLossError"], tuple[str, float, int, int]]:
        return type(self), (self.term, self.value, self.epoch, self.step)


def first_few(items: Collection[object]) -> str:
    """Join the first ten of `items` with commas, and say how many more there are."""
    named = ", ".join(str(item) for item in islice(items, N_NAMED))
    return named if len(items) <= N_NAMED else f"{named} and {len(items) - N_NAMED} more"
