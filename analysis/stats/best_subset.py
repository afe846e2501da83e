"""The configurations that may still be the best: training noise does not separate them from the winner.

Gupta's (1965) subset selection: keep every configuration within d standard errors of the highest score, where d keeps
the truly best one with 95 % probability. This holds for every number of configurations and whatever their means.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np
import pandas as pd
from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial
from scipy import stats

from search_spaces.knob import Knob

_N_DRAWS = 200_000


@dataclass(frozen=True)
class BestSubset:
    """The trials that may still be the best.

    Attributes:
        trials: their numbers, best score first.
        margin: how far below the highest a score may lie (fraction).
        ranges: one row per knob: knob, low, high (or in both the choices among the kept trials, as text), and n, the
            kept trials that have the knob.
    """

    trials: tuple[int, ...]
    margin: float
    ranges: pd.DataFrame


def best_subset(trials: Sequence[FrozenTrial], knobs: Sequence[Knob], *, noise: float, free: int) -> BestSubset | None:
    """Return the complete trials that cannot be distinguished from the best; None without an estimate of the noise.

    The truly best trial is among them with 95 % probability.

    Args:
        trials: complete ones, each a single run.
        knobs: the knobs whose ranges are returned.
        noise: sd of one run over training seeds (fraction).
        free: degrees of freedom behind `noise`.
    """
    if len(trials) < 2 or not isfinite(noise) or free < 1:
        return None
    margin = noise * critical_distance(len(trials), free)
    highest = max(float(trial.value or 0) for trial in trials)
    kept = [trial for trial in trials if trial.value is not None and trial.value >= highest - margin]
    ranked = sorted(kept, key=lambda trial: (-float(trial.value or 0), trial.number))
    rows = [_range(knob, [trial.params[knob.name] for trial in kept if knob.name in trial.params]) for knob in knobs]
    ranges = pd.DataFrame(rows, columns=["knob", "low", "high", "n"])
    return BestSubset(tuple(trial.number for trial in ranked), margin, ranges)


def critical_distance(n: int, free: int) -> float:
    """Return d: the largest of n - 1 equals beats one given run by less than d estimated sds, with 95 % probability.

    By simulation: the largest of n - 1 standard normals is drawn directly, as the normal quantile of U^(1 / (n - 1)).
    """
    rng = np.random.default_rng(0)
    largest = stats.norm.ppf(rng.random(_N_DRAWS) ** (1 / (n - 1)))
    estimated = np.sqrt(rng.chisquare(free, _N_DRAWS) / free)
    return float(np.quantile((largest - rng.normal(size=_N_DRAWS)) / estimated, 0.95))


def _range(knob: Knob, values: list[object]) -> tuple[str, object, object, int]:
    if not values:
        return knob.name, None, None, 0
    if isinstance(knob.distribution, CategoricalDistribution):
        seen = ", ".join(str(choice) for choice in knob.distribution.choices if choice in values)
        return knob.name, seen, seen, len(values)
    numbers = [float(str(value)) for value in values]
    return knob.name, min(numbers), max(numbers), len(values)
