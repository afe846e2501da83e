"""When a search ends: with its last trial, or at a look that finds it settled.

What a look finds is the analysis's part (`analysis.settled`); here stands when a search is looked at, and how strictly.
A search is looked at four times at most, later trials included. Each look judges the knobs at an equal share of the
level, so that all looks together name a knob in vain no more often than one judgement does (Bonferroni).
"""

import math
from collections.abc import Sequence

#: The rules of `--stop-when`.
STOPPINGS = TRIALS, SETTLED = "trials", "settled"

#: The shares of the planned trials at which a search is looked at, and the fewest trials that are.
_SHARES = (0.5, 0.625, 0.75, 0.875)
_LEAST = 20

#: A look's share of the level.
SHARE_OF_LEVEL = 1 / len(_SHARES)


def looks(trials: int) -> tuple[int, ...]:
    """Return the numbers of finished trials, ascending, at which a search of so many planned trials is looked at."""
    planned = sorted({math.ceil(share * trials) for share in _SHARES})
    return tuple(n for n in planned if _LEAST <= n < trials)


def due(trials: int, n_finished: int, looked_at: Sequence[int]) -> bool:
    """Return whether a look is due.

    Args:
        trials: planned.
        n_finished: trials that have ended.
        looked_at: how many had ended at each look so far.
    """
    if len(looked_at) >= len(_SHARES) or n_finished >= trials:
        return False
    return any(max(looked_at, default=0) < n <= n_finished for n in looks(trials))


def stopping_fault(rule: str, trials: int, n_objectives: int) -> str | None:
    """Return what is wrong with a `--stop-when` beside so many trials and objectives, None where nothing is."""
    if rule == TRIALS:
        return None
    if n_objectives > 1:
        return f"--stop-when must be {TRIALS} with two objectives: a look judges one; got {rule!r}"
    if not looks(trials):
        return (
            f"--stop-when {rule} looks at a search after {_LEAST} trials or more, before its last; "
            f"--trials must be {_LEAST + 2} or more; got {trials}"
        )
    return None
