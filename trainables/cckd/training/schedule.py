"""The learning rate of a step: a pure function, so that a resumed trial needs no scheduler state."""

from math import cos, pi, prod

from trainables.cckd.recipe import Schedule

#: Share of the steps in the warm-up, and the divisors from peak to first rate and from first to last rate.
#: The divisors are those of torch's OneCycleLR. Its warm-up share is 0.3, which is a little long for 20 epochs.
WARM_UP = 0.25
FIRST_DIVISOR = 25.0
LAST_DIVISOR = 1e4

#: The shape of `step`, as shares of the steps: LDAM's 5 epochs of warm-up and its falls after 160 and 180 of 200.
STEP_WARM_UP = 0.025
STEP_FALLS = (0.8, 0.9)
STEP_FACTOR = 0.01


def learning_rate(step: int, total_steps: int, peak: float, kind: Schedule) -> float:
    """Return the learning rate of step `step`, counted from 0, of `total_steps`.

    `one_cycle`: half a cosine up from peak / 25 to peak over the first quarter, half a cosine down to
    peak / 250,000 at the last step (Smith and Topin, arXiv 1708.07120, as torch's OneCycleLR shapes it).
    `cosine`: half a cosine from peak at step 0 towards 0, which it would reach one step after the last
    (Loshchilov and Hutter, arXiv 1608.03983).
    `step`: a line up to peak over the first 2.5 %, then peak, a hundredth of it after 80 %, and a hundredth of that
    after 90 % (Cao et al., arXiv 1906.07413; code kaidic/LDAM-DRW, which climbs once per epoch instead of per step).
    """
    assert 0 <= step < total_steps, (step, total_steps)
    if kind == "step":
        climb = min((step + 1) / (STEP_WARM_UP * total_steps), 1.0)
        return peak * climb * prod(STEP_FACTOR for share in STEP_FALLS if step >= share * total_steps)
    if kind == "cosine":
        return _half_cosine(peak, 0.0, step / total_steps)
    first = peak / FIRST_DIVISOR
    top = max(WARM_UP * total_steps - 1.0, 0.0)  # trials of 4 steps or fewer start at the peak
    if step < top:
        return _half_cosine(first, peak, step / top)
    return _half_cosine(peak, first / LAST_DIVISOR, (step - top) / max(total_steps - 1.0 - top, 1.0))


def _half_cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1.0 + cos(pi * share)) / 2.0
