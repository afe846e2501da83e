"""Whether a search can be trusted: coverage of the space, the best on an edge, rungs, convergence, further trials.

Only complete trials count, except in the outlook on further trials: there a pruned or failed trial has no value.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import nan
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState
from scipy import stats
from scipy.special import gammaln

from analysis.search.trial_matrix import numeric_position, position, value_of, values_between
from search_spaces.knob import Knob

#: Cells of a knob's range when its coverage is measured.
KNOB_CELLS = 10

#: Places of a range whose nearest values lie in every cell that holds a value.
_FINE = 1000

#: The fewest and the most cells of a number when the coverage of a pair is measured.
_PAIR_CELLS = (3, 6)

#: Share of a knob's range, on its own scale, that counts as its edge, at either end.
EDGE = 0.05

#: Chance that leading trials on an edge are told of any knob without effect.
LEVEL = 0.05

#: Further trials in the outlook.
NEXT = 20

#: Rank correlation below which a rung predicts the final rank poorly.
WEAK_RANK = 0.5

_FEWEST_RANKED = 4
_N_BOOTSTRAP = 500


@dataclass(frozen=True)
class Outlook:
    """The improvement expected from `n` further trials, by a smoothed bootstrap of the later half of the search.

    Fractions of balanced accuracy: the `mean` and the 95th percentile (`high`) of the improvement over the best
    single value, and the `chance` of any improvement. `n_seen` is the number of finished trials resampled.
    """

    n: int
    n_seen: int
    mean: float
    high: float
    chance: float


def coverage(trials: Sequence[FrozenTrial], knobs: Sequence[Knob]) -> pd.DataFrame:
    """Return one row per knob: how much of its range was tried, and where the trials with this knob lie.

    Columns: knob, n (trials that have it), cells, covered (share of cells with a trial), largest_gap (the widest
    stretch without a trial, as a share of the range; NaN for choices and below one trial).
    """
    rows = []
    for knob in knobs:
        values = [trial.params[knob.name] for trial in trials if knob.name in trial.params]
        size = _size(knob, KNOB_CELLS)
        hit = {_cell(knob, value, KNOB_CELLS) for value in values} - {None}
        rows.append((knob.name, len(values), size, len(hit) / size, _largest_gap(knob, values)))
    return pd.DataFrame(rows, columns=["knob", "n", "cells", "covered", "largest_gap"])


def pair_coverage(trials: Sequence[FrozenTrial], knobs: Sequence[Knob]) -> pd.DataFrame:
    """Return one row per pair of knobs: x, y, n (trials that have both), cells, covered (share of cells with a trial).

    Each number has 3 to 6 cells, so that a cell holds about two trials if they were spread evenly.
    """
    n = int(np.clip(np.sqrt(len(trials) / 2), *_PAIR_CELLS))
    rows = []
    for x, y in combinations(knobs, 2):
        found = [trial.params for trial in trials if {x.name, y.name} <= trial.params.keys()]
        cells = {(_cell(x, params[x.name], n), _cell(y, params[y.name], n)) for params in found}
        inside = {cell for cell in cells if None not in cell}
        size = _size(x, n) * _size(y, n)
        rows.append((x.name, y.name, len(found), size, len(inside) / size))
    return pd.DataFrame(rows, columns=["x", "y", "n", "cells", "covered"])


def edges(trials: Sequence[FrozenTrial], knobs: Sequence[Knob], best: FrozenTrial | None) -> pd.DataFrame:
    """Return one row per numeric knob of the best trial: where that lies, and whether leading trials lie on an edge.

    Leading are the best tenth of the complete trials, at least 5. They are compared with as many drawn from all trials
    that have the knob (hypergeometric test), wherever a sampler, the user or the reference put these. The p is
    corrected for the number of ends that are tested (Bonferroni). An end that is the knob's legal bound is not tested,
    because no range goes on beyond it.

    Columns: knob, value, position (0 the lower end, 1 the upper, on the knob's scale), edge (the end on which leading
    trials lie least by chance: 'lower' or 'upper', '' for none), end (its value), n_leading, leading_on_edge (share of
    them there), trials_on_edge (share of all trials there), p (NaN where nothing is tested).
    """
    ranked = sorted((trial for trial in trials if trial.value is not None), key=lambda trial: -value_of(trial))
    n_leading = max(5, len(ranked) // 10)
    rows: list[tuple[Any, ...]] = []
    n_tested = 0
    for knob in knobs:
        value = best.params.get(knob.name) if best else None
        place = nan if value is None else numeric_position(knob, value)
        if place != place:
            continue
        n_tested += sum(knob.widens)
        held = [k for k, trial in enumerate(ranked) if knob.name in trial.params]
        places = np.array([numeric_position(knob, ranked[k].params[knob.name]) for k in held])
        rows.append((knob.name, value, place, *_leading_edge(knob, places, sum(k < n_leading for k in held))))
    columns = ["knob", "value", "position", "edge", "end", "n_leading", "leading_on_edge", "trials_on_edge", "p"]
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(p=(table["p"].astype(float) * n_tested).clip(upper=1.0))


def _leading_edge(knob: Knob, places: npt.NDArray[np.float64], n: int) -> tuple[str, float, int, float, float, float]:
    """Return the columns of `edges` from `edge` on, with the p of one end alone.

    `places` (N,) are those of the trials that have the knob, the best first; the first `n` are leading.
    """
    spec = knob.distribution
    assert isinstance(spec, FloatDistribution | IntDistribution)
    found = [("", nan, n, nan, nan, nan)]
    ends = (("lower", spec.low, places <= EDGE), ("upper", spec.high, places >= 1 - EDGE))
    for (edge, end, there), widens in zip(ends, knob.widens, strict=True):
        n_there = int(there[:n].sum())
        if n_there:
            p = float(stats.hypergeom.sf(n_there - 1, len(places), there.sum(), n)) if widens else nan
            found.append((edge, end, n, n_there / n, float(there.mean()), p))
    return min(found, key=lambda row: (not row[0], row[5] != row[5], row[5]))


def rung_ranks(trials: Sequence[FrozenTrial]) -> pd.DataFrame:
    """Return one row per rung before the end: Spearman's rank correlation of its values with the final ones.

    `trials` are complete ones, so trials pruned at a rung are missing. A rung that prunes the worst is judged on the
    rest, which lowers its correlation. Columns: epoch, n (trials with both values), spearman, low, high (95 %
    percentile bootstrap); NaN below 4 trials or where either side has one value only.
    """
    rng = np.random.default_rng(0)
    steps = sorted({step for trial in trials for step in trial.intermediate_values if step != trial.last_step})
    rows = []
    for step in steps:
        both = [(t.intermediate_values[step], value_of(t)) for t in trials if step in t.intermediate_values]
        early, final = np.array(both, dtype=float).T
        found = spearman(early, final)
        low = high = nan
        if found == found:
            draws = rng.integers(len(both), size=(_N_BOOTSTRAP, len(both)))
            low, high = np.percentile(_spearman_of_rows(early[draws], final[draws]), [2.5, 97.5])
        rows.append((step, len(both), found, float(low), float(high)))
    return pd.DataFrame(rows, columns=["epoch", "n", "spearman", "low", "high"])


def spearman(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> float:
    """Return Spearman's rank correlation (ties share their mean rank); NaN below 4 pairs or for a constant side."""
    if len(first) < _FEWEST_RANKED or first.min() == first.max() or second.min() == second.max():
        return nan
    ranks = [stats.rankdata(values) for values in (first, second)]
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _spearman_of_rows(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return Spearman's rank correlation of each row of (R, n) with the same row of the other, but of constant rows."""
    ranks = [stats.rankdata(values, axis=1) for values in (first, second)]
    apart = [each - each.mean(axis=1, keepdims=True) for each in ranks]
    sizes = np.sqrt(np.square(apart[0]).sum(axis=1) * np.square(apart[1]).sum(axis=1))
    varied = sizes > 0
    return np.asarray((apart[0] * apart[1]).sum(axis=1)[varied] / sizes[varied])


def expected_best(values: Sequence[float]) -> npt.NDArray[np.float64]:
    """Return (n,) the mean of the best of m of these n values drawn without replacement, for m = 1 to n.

    This is the mean best so far of the same trials over random orders. It shows whether the search still improves,
    apart from the chance of the order in which the trials ran.
    """
    ordered = np.sort(np.asarray(values, dtype=float))
    n, rank = ordered.size, np.arange(1, ordered.size + 1)
    found = np.empty(n)
    for m in rank:
        # P(the best of m is the i-th smallest) = C(i - 1, m - 1) / C(n, m), by logarithms: factorials overflow.
        i = rank[m - 1 :]
        log_chance = gammaln(i) - gammaln(m) - gammaln(i - m + 1)
        log_chance -= gammaln(n + 1) - gammaln(m + 1) - gammaln(n - m + 1)
        found[m - 1] = np.exp(log_chance) @ ordered[m - 1 :]
    return found


def outlook(trials: Sequence[FrozenTrial], *, n_bootstrap: int = 4000) -> Outlook:
    """Return the improvement expected from NEXT more trials, if they are like the later half of the finished trials.

    A resampled value is blurred by Silverman's kernel width (1986), since a plain bootstrap never exceeds the best
    value seen. A pruned or failed trial stays without a value. The sampler is assumed to learn nothing further.
    """
    ended = [trial for trial in trials if trial.state.is_finished()]
    late = ended[len(ended) // 2 :]
    values = np.array([value_of(t) if t.state == TrialState.COMPLETE else nan for t in late], dtype=float)
    best = max((value_of(t) for t in ended if t.state == TrialState.COMPLETE), default=nan)
    seen = values[np.isfinite(values)]
    if seen.size < _FEWEST_RANKED or not np.isfinite(best):
        return Outlook(NEXT, len(late), nan, nan, nan)
    quartiles = np.subtract(*np.percentile(seen, [75, 25])) / 1.349
    scale = min(seen.std(ddof=1), quartiles) if quartiles > 0 else seen.std(ddof=1)
    rng = np.random.default_rng(0)
    blur = 0.9 * scale * seen.size**-0.2 * rng.normal(size=(n_bootstrap, NEXT))
    drawn = np.minimum(rng.choice(values, size=(n_bootstrap, NEXT)) + blur, 1.0)
    gains = np.maximum(np.where(np.isnan(drawn), -np.inf, drawn).max(axis=1) - best, 0.0)
    return Outlook(NEXT, len(late), float(gains.mean()), float(np.percentile(gains, 95)), float((gains > 0).mean()))


def _size(knob: Knob, n: int) -> int:
    """Return the number of cells of a knob's range that hold a value: at most n, or one per choice."""
    spec = knob.distribution
    if isinstance(spec, CategoricalDistribution):
        return len(spec.choices)
    assert isinstance(spec, FloatDistribution | IntDistribution)
    if spec.step is None:
        return n
    # On a log scale the first cells can be narrower than the step between whole numbers.
    return len({_cell(knob, value, n) for value in values_between(knob, 0.0, 1.0, _FINE)})


def _n_values(spec: FloatDistribution | IntDistribution) -> int:
    assert spec.step is not None
    return 1 + round((spec.high - spec.low) / spec.step)


def _cell(knob: Knob, value: Any, n: int) -> int | None:
    """Return the cell of `value`: one of n equal ones, or its own where there are fewer; None outside the range."""
    spec, place = knob.distribution, position(knob, value)
    if not -1e-9 <= place <= 1 + 1e-9:  # a value sampled on a log scale can miss the bound by rounding
        return None
    if isinstance(spec, CategoricalDistribution):
        return spec.choices.index(value)
    assert isinstance(spec, FloatDistribution | IntDistribution)
    if spec.step is not None and _n_values(spec) <= n:
        return round((value - spec.low) / spec.step)
    return min(int(max(place, 0.0) * n), n - 1)


def _largest_gap(knob: Knob, values: Sequence[Any]) -> float:
    places = sorted(numeric_position(knob, value) for value in values)
    if not places or places[0] != places[0]:
        return nan
    return float(np.diff([0.0, *places, 1.0]).max())
