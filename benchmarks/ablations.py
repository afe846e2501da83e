"""Simulated ablations of best1 without any difference but one, with noise of several kinds.

Seven changes of three seeds each stand beside six seeds of best1. The last change costs three standard deviations. The
others cost nothing, so what is shown of them is false. Two tests that were not chosen stand beside the report's own.
"""

import warnings
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import stats

from analysis.stats.many_to_one import critical_value, differences
from analysis.stats.paired_tests import ALPHA, holm

Floats = npt.NDArray[np.float64]

N_CHANGES, N_SEEDS, N_BEST = 7, 3, 6
COST = 3.0


def _one_noisy(best: Floats, changes: Floats, rng: np.random.Generator) -> None:
    changes[0] *= 2


def _calm_best(best: Floats, changes: Floats, rng: np.random.Generator) -> None:
    best /= 2


def _heavy_tails(best: Floats, changes: Floats, rng: np.random.Generator) -> None:
    best[:], changes[:] = rng.standard_t(3, best.shape), rng.standard_t(3, changes.shape)


def _ties(best: Floats, changes: Floats, rng: np.random.Generator) -> None:
    best[:], changes[:] = 2 * np.round(best / 2), 2 * np.round(changes / 2)


def _collapsed(best: Floats, changes: Floats, rng: np.random.Generator) -> None:
    changes[rng.integers(N_CHANGES - 1), rng.integers(N_SEEDS)] -= 100


#: Kind of noise -> what it does to standard normal values of best1 (N_BEST,) and of the changes (N_CHANGES, N_SEEDS).
NOISES: dict[str, Callable[[Floats, Floats, np.random.Generator], None]] = {
    "equal normal noise": lambda best, changes, rng: None,
    "one change twice as noisy": _one_noisy,
    "best1 half as noisy": _calm_best,
    "heavy tails (t3)": _heavy_tails,
    "ties": _ties,
    "one collapsed run": _collapsed,
}


def shown(noise: str, rng: np.random.Generator) -> dict[str, tuple[bool, bool]]:
    """Return test -> whether any change without a cost is shown in one study, and whether the last change is."""
    best, changes = rng.normal(size=N_BEST), rng.normal(size=(N_CHANGES, N_SEEDS))
    NOISES[noise](best, changes, rng)
    changes[-1] -= COST
    found = differences(best.tolist(), {str(k): values.tolist() for k, values in enumerate(changes)})
    told = {
        "the report": np.array([one.p <= ALPHA for one in found.values()]),
        "Dunnett's test": _dunnett(best, changes),
        "Welch's tests with Holm": _welch(best, changes),
    }
    return {test: (bool(judged[:-1].any()), bool(judged[-1])) for test, judged in told.items()}


def _dunnett(best: Floats, changes: Floats) -> npt.NDArray[np.bool_]:
    free = N_BEST - 1 + N_CHANGES * (N_SEEDS - 1)
    variance = (best.var() * N_BEST + (changes.var(axis=1) * N_SEEDS).sum()) / free
    error = np.sqrt(variance * (1 / N_BEST + 1 / N_SEEDS))
    reach = critical_value(np.full(N_CHANGES, N_SEEDS / (N_SEEDS + N_BEST)), free)
    return np.asarray(np.abs(best.mean() - changes.mean(axis=1)) > reach * error)


def _welch(best: Floats, changes: Floats) -> npt.NDArray[np.bool_]:
    with warnings.catch_warnings():  # of equal values
        warnings.simplefilter("ignore")
        p_values = [float(stats.ttest_ind(best, values, equal_var=False).pvalue) for values in changes]
    return np.array(holm(p_values)) <= ALPHA
