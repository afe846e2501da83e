"""The learning rate of a step: a pure function, so that a resumed trial needs no scheduler state."""

from math import cos, pi
from typing import Literal

#: Share of the steps in the warm-up, and the divisors from peak to first rate and from first to last rate.
#: The divisors are those of torch's OneCycleLR. Its warm-up share is 0.3, which is a little long for 20 epochs.
WARM_UP = 0.25
FIRST_DIVISOR = 25.0
LAST_DIVISOR = 1e4


def learning_rate(step: int, total_steps: int, peak: float, kind: Literal["one_cycle", "cosine"]) -> float:
    """Return the learning rate of step `step`, counted from 0, of `total_steps`.

    `one_cycle`: half a cosine up from peak / 25 to peak over the first quarter, half a cosine down to
    peak / 250,000 at the last step (Smith and Topin, arXiv 1708.07120, as torch's OneCycleLR shapes it).
    `cosine`: half a cosine from peak at step 0 towards 0, which it would reach one step after the last
    (Loshchilov and Hutter, arXiv 1608.03983).
    """
    assert 0 <= step < total_steps, (step, total_steps)
    if kind == "cosine":
        return _half_cosine(peak, 0.0, step / total_steps)
    first = peak / FIRST_DIVISOR
    top = max(WARM_UP * total_steps - 1.0, 0.0)  # trials of 4 steps or fewer start at the peak
    if step < top:
        return _half_cosine(first, peak, step / top)
    return _half_cosine(peak, first / LAST_DIVISOR, (step - top) / max(total_steps - 1.0 - top, 1.0))


def _half_cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1.0 + cos(pi * share)) / 2.0
