"""The epochs at which a trial is evaluated, and may be pruned: quarter, half, three quarters, all."""


def rungs(epochs: int) -> tuple[int, ...]:
    """Return the evaluated epochs of a trial of `epochs` epochs, ascending, the last one included.

    Each is rounded up: nothing is judged before a quarter of its epochs. Short trials have fewer rungs.
    """
    return tuple(sorted({-(-epochs * quarter // 4) for quarter in (1, 2, 3, 4)}))
