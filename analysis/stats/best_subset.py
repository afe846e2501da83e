"""The configurations that may still be the best on D_val: the fresh runs of the finalists do not rule them out.

The highest of many single runs is a lucky one, so no distance is measured from it. The finalists were trained again on
fresh seeds, which owe nothing to the choice. A configuration is ruled out where it lies below the highest mean of fresh
runs by more than the noise explains: multiple comparisons with the best (Hsu 1981), with runs as many as there are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial
from scipy import stats

from analysis.stats.paired_tests import Spread
from analysis.stats.pooled_interval import pooled_sd
from search_spaces.knob import Knob

#: Share of studies that may lose the best, under equal normal noise.
_LEVEL = 0.05


@dataclass(frozen=True)
class BestSubset:
    """The trials that may still be the best.

    Attributes:
        trials: their numbers, best first: by the mean of fresh runs where there are some, else by the single value.
        highest: the highest mean of a finalist's fresh runs (fraction).
        margin: how far below it a single run may lie (fraction).
        noise: sd of one run over training seeds, pooled over the finalists (fraction).
        ranges: one row per knob: knob, low, high (or in both the choices among the kept trials, as text), and n, the
            kept trials that have the knob.
    """

    trials: tuple[int, ...]
    highest: float
    margin: float
    noise: float
    ranges: pd.DataFrame


def best_subset(
    trials: Sequence[FrozenTrial], knobs: Sequence[Knob], *, fresh: Mapping[int, Spread]
) -> BestSubset | None:
    """Return the trials that the finalists' fresh runs do not rule out; None without two finalists of two fresh runs.

    Where one of the finalists is truly best, its fresh runs decide; otherwise the single run of the best does. In
    either case it lies below no finalist by more than the margin in 95 % of studies. This is by Bonferroni's inequality
    over the finalists, for equal normal noise. `benchmarks.calibration` measures what uneven noise and heavy tails
    leave.

    Args:
        trials: complete ones, each a single run.
        knobs: the knobs whose ranges are returned.
        fresh: number of a finalist -> its balanced accuracy over fresh seeds (fractions).
    """
    usable = {number: found for number, found in fresh.items() if found.n > 1}
    if len(trials) < 2 or len(usable) < 2:
        return None
    noise, free = pooled_sd(usable.values())
    distance = noise * float(stats.t.ppf(1 - _LEVEL / len(usable), free))
    winner = max(usable.values(), key=lambda found: found.mean)
    scores = {trial.number: Spread(1, float(trial.value or 0), noise) for trial in trials} | usable

    def margin(n: int) -> float:
        return distance * (1 / winner.n + 1 / n) ** 0.5

    kept = [trial for trial in trials if scores[trial.number].mean >= winner.mean - margin(scores[trial.number].n)]
    ranked = sorted((trial.number for trial in kept), key=lambda number: (-scores[number].mean, number))
    rows = [_range(knob, [trial.params[knob.name] for trial in kept if knob.name in trial.params]) for knob in knobs]
    ranges = pd.DataFrame(rows, columns=["knob", "low", "high", "n"])
    return BestSubset(tuple(ranked), winner.mean, margin(1), noise, ranges)


def _range(knob: Knob, values: list[object]) -> tuple[str, object, object, int]:
    if not values:
        return knob.name, None, None, 0
    if isinstance(knob.distribution, CategoricalDistribution):
        seen = ", ".join(str(choice) for choice in knob.distribution.choices if choice in values)
        return knob.name, seen, seen, len(values)
    numbers = [float(str(value)) for value in values]
    return knob.name, min(numbers), max(numbers), len(values)
