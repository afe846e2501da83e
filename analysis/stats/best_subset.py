"""The configurations that may still be the best on D_val: the fresh runs of the finalists do not rule them out.

The highest of many single runs is a lucky one, so no distance is measured from it. The finalists were trained again on
fresh seeds, which owe nothing to the choice. The best configuration is at least as good as the lower bound of each
finalist. Any configuration whose own upper bound reaches the highest of these lower bounds may be the best.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial
from scipy import stats

from analysis.stats.paired_tests import Spread
from search_spaces.knob import Knob

#: Level of each of the two parts: the lower bound of the best, and the upper bound of a configuration.
_LEVEL = 0.025


@dataclass(frozen=True)
class BestSubset:
    """The trials that may still be the best.

    Attributes:
        trials: their numbers, best first: by the mean of fresh runs where there are some, else by the single value.
        least: accuracy that the best trial reaches at least (fraction).
        reach: how far a single run may lie below its own mean (fraction); a mean of n runs by 1 / sqrt(n) of it.
        noise: sd of one run over training seeds, pooled over the finalists (fraction).
        ranges: one row per knob: knob, low, high (or in both the choices among the kept trials, as text), and n, the
            kept trials that have the knob.
    """

    trials: tuple[int, ...]
    least: float
    reach: float
    noise: float
    ranges: pd.DataFrame


def best_subset(
    trials: Sequence[FrozenTrial], knobs: Sequence[Knob], *, fresh: Mapping[int, Spread]
) -> BestSubset | None:
    """Return the trials that the finalists' fresh runs do not rule out; None without two finalists of two fresh runs.

    The best of the trials is lost if the bound of a finalist lies too high, by Bonferroni's inequality in at most 2.5 %
    of studies, or if its own upper bound lies too low, in 2.5 % where it is one of the finalists or is none of them.
    This is so for equal normal noise. A lower bound mostly lies well below the best mean, which leaves room for noise
    that differs between trials and for heavy tails; `benchmarks.calibration` measures how much.

    Args:
        trials: complete ones, each a single run.
        knobs: the knobs whose ranges are returned.
        fresh: number of a finalist -> its balanced accuracy over fresh seeds (fractions).
    """
    usable = {number: found for number, found in fresh.items() if found.n > 1}
    if len(trials) < 2 or len(usable) < 2:
        return None
    free = sum(found.n - 1 for found in usable.values())
    noise = float(np.sqrt(sum((found.n - 1) * found.sd**2 for found in usable.values()) / free))
    below = noise * float(stats.t.ppf(1 - _LEVEL / len(usable), free))
    least = max(found.mean - below / found.n**0.5 for found in usable.values())
    reach = noise * float(stats.t.ppf(1 - _LEVEL, free))
    scores = {trial.number: float(trial.value or 0) for trial in trials} | {
        number: found.mean for number, found in usable.items()
    }
    n_runs = {number: found.n for number, found in usable.items()}
    kept = [trial for trial in trials if scores[trial.number] + reach / n_runs.get(trial.number, 1) ** 0.5 >= least]
    ranked = sorted((trial.number for trial in kept), key=lambda number: (-scores[number], number))
    rows = [_range(knob, [trial.params[knob.name] for trial in kept if knob.name in trial.params]) for knob in knobs]
    ranges = pd.DataFrame(rows, columns=["knob", "low", "high", "n"])
    return BestSubset(tuple(ranked), least, reach, noise, ranges)


def _range(knob: Knob, values: list[object]) -> tuple[str, object, object, int]:
    if not values:
        return knob.name, None, None, 0
    if isinstance(knob.distribution, CategoricalDistribution):
        seen = ", ".join(str(choice) for choice in knob.distribution.choices if choice in values)
        return knob.name, seen, seen, len(values)
    numbers = [float(str(value)) for value in values]
    return knob.name, min(numbers), max(numbers), len(values)
