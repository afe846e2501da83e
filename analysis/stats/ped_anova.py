"""PED-ANOVA (Watanabe, Bansal & Hutter 2023): how far the best trials' density over a knob is from all trials' density.

The numbers are those of Optuna's PedAnovaImportanceEvaluator, to rounding, with conditional knobs weighted by regime
(condPED-ANOVA, as in Optuna 5). Optuna walks the trials in Python once per knob and per sample of the trials. Here a
sample is a row of counts on the grid of a knob, and all samples are computed together: 51 samples of 375 trials with 14
knobs take a tenth of a second.
"""

from collections.abc import Mapping, Sequence
from math import ceil, log2
from typing import Any

import numpy as np
import numpy.typing as npt
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial
from scipy.special import ndtr

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

#: Cells of the grid on which a number's density is held, and the fewest trials of a sample in one regime.
_N_CELLS, _FEWEST = 50, 2

#: Least bandwidth, in cells, and what keeps a density above 0.
_LEAST_WIDTH, _LEAST_DENSITY = 0.5 / 1.64, 1e-12


def ped_anova_shares(
    trials: Sequence[FrozenTrial], names: Sequence[str], y: Floats, samples: Bools, *, top: float
) -> Floats:
    """Return the shares (R, D), which add up to 1; even ones where no density differs.

    Args:
        trials: N trials.
        names: D knobs; a trial may lack some.
        y: (N,) the target, finite; higher is better.
        samples: (R, N) which trials each sample holds.
        top: share of the trials that count as the best.
    """
    best = _best(y, samples, top)
    n_all, n_best = samples.sum(axis=1), best.sum(axis=1)
    raw = np.zeros((len(samples), len(names)))
    for place, name in enumerate(names):
        for spec, members in _regimes(trials, name).items():
            if spec.single():
                continue
            cells = _on_grid(spec, [trials[k].params[name] for k in members])
            here, above = samples[:, members] @ cells, best[:, members] @ cells
            some = (here.sum(axis=1) >= _FEWEST) & (above.sum(axis=1) > 0)
            density = _of_choices if isinstance(spec, CategoricalDistribution) else _of_numbers
            local, higher = (density(counts[some]) + _LEAST_DENSITY for counts in (here, above))
            weight = (above.sum(axis=1) / n_best) ** 2 / (here.sum(axis=1) / n_all).clip(1e-300)
            raw[some, place] += weight[some] * (local * np.square(higher / local - 1)).sum(axis=1)
    total = raw.sum(axis=1, keepdims=True)
    return np.where(total > 0, raw / np.where(total > 0, total, 1.0), 1 / len(names))


def _best(y: Floats, samples: Bools, top: float) -> Bools:
    """Return (R, N) the best trials of each sample; all that are as good as the last of them are among them."""
    losses = np.where(samples, -y, np.inf)
    last = np.ceil(top * samples.sum(axis=1)).astype(int) - 1
    cutoff = np.take_along_axis(np.sort(losses, axis=1), last[:, None], axis=1)
    return np.asarray(samples & (losses <= cutoff))


def _regimes(trials: Sequence[FrozenTrial], name: str) -> Mapping[BaseDistribution, list[int]]:
    """Return range of the knob -> the trials that have the knob with this range."""
    found: dict[BaseDistribution, list[int]] = {}
    for k, trial in enumerate(trials):
        if name in trial.distributions:
            found.setdefault(trial.distributions[name], []).append(k)
    return found


def _on_grid(spec: BaseDistribution, values: Sequence[Any]) -> Floats:
    """Return (n, G) ones and zeros: the cell of each value."""
    if isinstance(spec, CategoricalDistribution):
        return np.eye(len(spec.choices))[[int(spec.to_internal_repr(value)) for value in values]]
    assert isinstance(spec, FloatDistribution | IntDistribution)
    n_cells = _N_CELLS
    if isinstance(spec, IntDistribution) and spec.log:
        n_cells = min(ceil(log2(spec.high - spec.low + 1)) + 1, n_cells)
    elif spec.step is not None:
        n_cells = min(round((spec.high - spec.low) / spec.step) + 1, n_cells)
    low, high, numbers = float(spec.low), float(spec.high), np.array(values, dtype=float)
    if spec.log:
        low, high, numbers = float(np.log(low)), float(np.log(high)), np.log(numbers)
    cells = np.ceil((numbers - low) / ((high - low) / (n_cells - 1)) - 0.5).astype(int)
    return np.eye(n_cells)[cells.clip(0, n_cells - 1)]


def _of_choices(counts: Floats) -> Floats:
    """Return the densities (R, G) of samples with these `counts` (R, G): one kernel per choice in them, and a prior."""
    total, n_choices = counts.sum(axis=1, keepdims=True), counts.shape[1]
    apart = 1 / (1 + (counts > 0).sum(axis=1, keepdims=True))
    kernels = (total * apart + counts) / (1 + n_choices * apart)
    return np.asarray((kernels + 1 / n_choices) / (total + 1))


def _of_numbers(counts: Floats) -> Floats:
    """Return the densities (R, G) of samples with these `counts` (R, G): normal kernels cut to the grid, and a prior.

    The bandwidth is Scott's (1992) from the standard deviation or the quartiles, whichever is less.
    """
    n_cells = counts.shape[1]
    cells, total, up_to = np.arange(n_cells), counts.sum(axis=1), counts.cumsum(axis=1)
    mean = counts @ cells / total
    sd = np.sqrt((np.square(cells - mean[:, None]) * counts).sum(axis=1) / np.maximum(1, total - 1))
    lower = ((counts > 0) & (up_to >= total[:, None] // 4)).argmax(axis=1)
    upper = ((counts > 0) & (up_to > 3 * total[:, None] // 4)).argmax(axis=1)
    width = np.maximum(1.059 * np.minimum((upper - lower) / 1.34, sd) * total**-0.2, _LEAST_WIDTH)[:, None]
    at_distance = ndtr(-(cells - 0.5) / width) - ndtr(-(cells + 0.5) / width)  # the mass of a kernel in a cell
    on_grid = ndtr((n_cells - 0.5 - cells) / width) - ndtr((-0.5 - cells) / width)
    kernels = np.einsum("rgo,ro->rg", at_distance[:, np.abs(cells[:, None] - cells)], counts / on_grid)
    edges = (np.arange(n_cells + 1) - n_cells / 2) / n_cells
    prior = np.diff(ndtr(edges)) / (ndtr(edges[-1]) - ndtr(edges[0]))
    return np.asarray((kernels + prior) / (total[:, None] + 1))
