"""Confirmations without a gain, by the kind of noise, and whether the report claims one: for `calibration`.

Every entry has the mean of la: with heavy tails, unequal noise, ties on a small test set, diverged runs, and with seeds
that are added until a gain is claimed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.results.comparisons import ClaimTerms, family_of
from study.schema import COMPARED

#: entry -> mean and sd over seeds, in points: former studies of fashion_mnist_lt at 20 epochs.
ALL = {"la": (66.0, 0.8), "kd": (64.5, 3.5), "best1": (74.5, 0.8)}
N_SEEDS = 6


def _like(entry: str, values: np.ndarray) -> np.ndarray:
    """Turn values with an sd of 1 into accuracies with la's mean and the entry's own sd."""
    return np.asarray(ALL["la"][0] + ALL[entry][1] * values)


def _normal(rng: np.random.Generator, entry: str, n: int) -> np.ndarray:
    return _like(entry, rng.normal(size=n))


def _t3(rng: np.random.Generator, entry: str, n: int) -> np.ndarray:
    return _like(entry, rng.standard_t(3, n))


def _t2(rng: np.random.Generator, entry: str, n: int) -> np.ndarray:
    return _like(entry, rng.standard_t(2, n))


def _twice(rng: np.random.Generator, entry: str, n: int) -> np.ndarray:
    """best1 has twice the sd of la."""
    return _like(entry, rng.normal(size=n) * (2 if entry == "best1" else 1))


def _tied(rng: np.random.Generator, entry: str, n: int) -> np.ndarray:
    """Whole counts on 10 classes of 20 test images; seeds move a recall by 0.5 points, so most counts are equal."""
    recall = np.linspace(0.9, 0.42, 10)[:, None] + rng.normal(0, 0.005, (10, n))
    return np.asarray(100 * np.rint(20 * recall).mean(axis=0) / 20)


def _diverging(rng: np.random.Generator, entry: str, n: int, *, who: Sequence[str]) -> np.ndarray:
    """One run in ten of some entries is at chance (10 %); the others lie so much higher that the mean stays la's."""
    values = _normal(rng, entry, n)
    if entry in who:
        values += 0.1 * (values.mean() - 10) / 0.9
        values[rng.random(n) < 0.1] = 10
    return values


def _all_diverging(rng: np.random.Generator, entry: str, n: int) -> np.ndarray:
    return _diverging(rng, entry, n, who=tuple(ALL))


def _best_diverging(rng: np.random.Generator, entry: str, n: int) -> np.ndarray:
    return _diverging(rng, entry, n, who=("best1",))


def _best_diverged(rng: np.random.Generator, entry: str, n: int) -> np.ndarray:
    """As `_best_diverging`, in the studies that see it: those with a diverged run of best1."""
    values = _best_diverging(rng, entry, n)
    while entry == "best1" and values.min() > 10:
        values = _best_diverging(rng, entry, n)
    return values


def _collapsing(rng: np.random.Generator, entry: str, n: int) -> np.ndarray:
    """One run in twenty of best1 lies 10 points lower; the others lie higher by as much as this costs the mean."""
    values = _normal(rng, entry, n)
    return values + 0.5 - 10 * (rng.random(n) < 0.05) if entry == "best1" else values


@dataclass(frozen=True)
class NoGain:
    """A kind of noise around equal means.

    Attributes:
        draw: (generator, entry, number of seeds) -> balanced accuracies in points.
        most: the bound on false claims; 1 where it is only told.
        added: seeds that are added at each further look until a gain is claimed.
        rounding: sd of the error of whole counts (fraction).
        n_seeds: seeds at the first look.
    """

    draw: Callable[[np.random.Generator, str, int], np.ndarray]
    most: float = 0.03
    added: tuple[int, ...] = ()
    rounding: float = 0.0
    n_seeds: int = N_SEEDS


#: sd of the error of whole counts in the mean of 10 recalls, each of 20 test images.
_ROUNDING = 12**-0.5 / 20 / 10**0.5

#: A tenth of runs that diverge cannot be seen in six runs without one, which is half of all studies.
NO_GAIN: dict[str, NoGain] = {
    "normal noise": NoGain(_normal),
    "heavy tails (t3)": NoGain(_t3),
    "heavy tails (t2)": NoGain(_t2),
    "best1 twice as noisy as la": NoGain(_twice),
    "ties on 200 test images": NoGain(_tied, rounding=_ROUNDING),
    "ties on 200 test images, 12 seeds": NoGain(_tied, rounding=_ROUNDING, n_seeds=12),
    "a tenth of all runs diverges": NoGain(_all_diverging),
    "two seeds added up to four times": NoGain(_normal, added=(2, 2, 2, 2)),
    "a tenth of best1's runs diverges, one of the six at least": NoGain(_best_diverged),
    "a tenth of best1's runs diverges": NoGain(_best_diverging, most=1.0),
    "a twentieth of best1's runs collapses": NoGain(_collapsing, most=1.0),
}


def claims_a_gain(rng: np.random.Generator, case: NoGain) -> bool:
    """Whether the report claims a gain at any look; with `case.added` seeds are added until it does."""
    n_most = case.n_seeds + sum(case.added)
    drawn = {entry: case.draw(rng, entry, n_most) / 100 for entry in ALL}
    for look in range(1 + len(case.added)):
        n = case.n_seeds + sum(case.added[:look])
        differences = [(drawn["best1"] - drawn[base])[:n] for base in COMPARED]
        resolutions = [2**0.5 * case.rounding] * len(differences)
        terms = ClaimTerms(COMPARED, n, n, look + 1)
        family = family_of(differences, terms, n_runs=[n] * len(differences), resolutions=resolutions)
        if any(item.verdict == "gain" for item in family):
            return True
    return False
