"""Long lists in short messages."""

from collections.abc import Collection
from itertools import islice

N_NAMED = 10


def first_few(items: Collection[object]) -> str:
    """The first ten of `items`, and how many more there are."""
    named = ", ".join(str(item) for item in islice(items, N_NAMED))
    return named if len(items) <= N_NAMED else f"{named} and {len(items) - N_NAMED} more"
