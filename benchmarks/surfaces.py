"""Does the report's surrogate earn its place? It is held against other models, and against the brightest cell.

    python -m benchmarks.surfaces

Searches of 14 knobs by the default sampler, without a pruner, have a truth that is known (`benchmarks.searches`). They
have as many trials as a default study. Each model is fitted to what a search leaves, and predicts the truth at places
that are spread evenly over the space. Then pairs of knobs are set where the surrogate's surface is highest, or in the
middle of the cell of a grid whose trials have the highest mean. The cost of a setting is how far it lies below the best
one of the pair.
"""

import argparse
import os
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations

import numpy as np
from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState
from scipy.stats import qmc
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

from analysis.search.interactions import interactions
from analysis.search.pair_surfaces import pair_surface
from analysis.search.screen import Screen, screen
from analysis.search.surrogate import Shape, Surrogate, fit_surrogate
from analysis.search.trial_matrix import Floats, TrialMatrix, drawn_in, position, stages, trial_matrix
from benchmarks.searches import KNOBS, TRUTHS, Truth, search
from search_spaces.knob import Knob

#: Searches per truth.
N_SEARCHES = 100

#: The most that a setting by the surface may cost, as a share of the cost of one by the brightest cell.
MOST = 0.6

#: Places at which a model is judged, as a power of two.
_LOG_PLACES = 8

#: A knob without effect, which is one of the pairs.
_IDLE = "k9"


@dataclass(frozen=True)
class Found:
    """What one search leaves.

    Attributes:
        r2: model -> share of the truth's variance that it explains; below 0 where the mean does better.
        costs: (cost of the surface's setting, cost of the brightest cell's), in sd of evenly spread trials, per pair.
    """

    r2: Mapping[str, float]
    costs: Sequence[tuple[float, float]]


def main(argv: Sequence[str] | None = None) -> int:
    """Print both tables; return 1 where setting a pair by the surface costs too much."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.surfaces", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--searches", type=int, default=N_SEARCHES, help="per truth (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="default: one per core")
    args = parser.parse_args(argv)
    truths = [truth for truth in TRUTHS if truth.shares]
    with ProcessPoolExecutor(args.workers) as pool:
        found = {truth.name: list(pool.map(partial(judge, truth), range(args.searches))) for truth in truths}
    models = list(found[truths[0].name][0].r2)
    print(f"| truth | {' | '.join(models)} | surface | brightest cell | ratio |\n|{'---|' * (len(models) + 4)}")
    for name, searches in found.items():
        explained = [f"{np.median([one.r2[model] for one in searches]):.2f}" for model in models]
        print(f"| {name} | {' | '.join(explained)} | {_costs(searches)} |")
    everyone = [one for searches in found.values() for one in searches]
    print(f"| all | {' | '.join('' for _ in models)} | {_costs(everyone)} |")
    return int(ratio(everyone) > MOST)


def judge(truth: Truth, seed: int) -> Found:
    """Return what one search leaves."""
    trials = search(truth, seed)
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    surrogate = fitted(trials, KNOBS)
    matrix, y = surrogate.matrix, np.array([trial.value for trial in complete], dtype=float)
    places = _places(matrix)
    true = np.array(
        [sum(truth.effect(name, at) for name, at in zip(matrix.names, row, strict=True)) for row in places.x]
    )
    models = {"the surrogate": surrogate.predict(places), **rivals(matrix.x, y, places.x)}
    # Only differences between places count: the mean of a search is that of the places that its sampler prefers.
    total = float(np.square(true - true.mean()).sum())
    r2 = {
        name: 1 - float(np.square((true - true.mean()) - (values - values.mean()) / 0.02).sum()) / total
        for name, values in models.items()
    }
    pairs = combinations([*truth.shares, *([_IDLE] if len(truth.shares) == 1 else [])], 2)
    return Found(r2, [_setting_costs(truth, pair, surrogate, complete) for pair in pairs])


def screened(complete: Sequence[FrozenTrial], knobs: Sequence[Knob]) -> tuple[TrialMatrix, Floats, Screen]:
    """Return complete trials as a matrix, their values (N,), and what the report's screen says of their knobs."""
    matrix, y = trial_matrix(complete, knobs), np.array([trial.value for trial in complete], dtype=float)
    return matrix, y, screen(matrix, y, stages(complete))


def fitted(trials: Sequence[FrozenTrial], knobs: Sequence[Knob]) -> Surrogate:
    """Return the surrogate that a report fits to the trials of a search."""
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    matrix, y, judged = screened(complete, knobs)
    surrogate = fit_surrogate(trials, knobs, Shape(tuple(judged.named), interactions(matrix, y).clear), {})
    assert surrogate is not None
    return surrogate


def rivals(x: Floats, y: Floats, at: Floats) -> dict[str, Floats]:
    """Return what other models of y (N,) at x (N, D) predict at M places `at` (M, D), with y drawn in."""
    y = drawn_in(y)[0]
    trees = ExtraTreesRegressor(100, min_samples_leaf=3, random_state=0).fit(x, y)
    kernel = ConstantKernel(1.0) * RBF(np.ones(x.shape[1]), (0.1, 30.0)) + WhiteKernel(0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # length scales at their bounds
        process = GaussianProcessRegressor(kernel, normalize_y=True, random_state=0).fit(x, y)
    return {"extremely randomised trees": trees.predict(at), "Gaussian process": process.predict(at)}


def ratio(found: Sequence[Found]) -> float:
    """Return the mean cost of the surfaces' settings over that of the brightest cells'."""
    surface, cell = np.array([cost for one in found for cost in one.costs]).mean(axis=0)
    return float(surface / cell)


def _costs(found: Sequence[Found]) -> str:
    surface, cell = np.array([cost for one in found for cost in one.costs]).mean(axis=0)
    return f"{surface:.2f} | {cell:.2f} | {ratio(found):.2f}"


def _places(matrix: TrialMatrix) -> TrialMatrix:
    """Return places spread evenly over the knobs of `matrix`; a choice has one of its positions."""
    x = qmc.Sobol(len(matrix.knobs), seed=0).random_base2(_LOG_PLACES)
    for k, knob in enumerate(matrix.knobs):
        if isinstance(knob.distribution, CategoricalDistribution):
            n = len(knob.distribution.choices)
            x[:, k] = np.floor(x[:, k] * n) / (n - 1)
    return replace(matrix, x=x, present=np.ones(x.shape, dtype=bool))


def _setting_costs(
    truth: Truth, pair: tuple[str, str], surrogate: Surrogate, complete: Sequence[FrozenTrial]
) -> tuple[float, float]:
    """Return what setting the pair costs by the surface, and by the brightest cell."""
    surface = pair_surface(surrogate, complete, *pair)
    assert surface is not None
    best = sum(max(truth.effect(name, at) for at in _grid(_knob(name))) for name in pair)
    costs = []
    for values in (surface.best, _brightest(complete, pair)):
        places = (position(_knob(name), value) for name, value in zip(pair, values, strict=True))
        costs.append(best - sum(truth.effect(name, at) for name, at in zip(pair, places, strict=True)))
    return costs[0], costs[1]


def _brightest(complete: Sequence[FrozenTrial], pair: tuple[str, str]) -> tuple[object, object]:
    """Return the middle of the cell with the highest mean, on a grid of about two trials per cell."""
    size = int(np.clip(np.sqrt(len(complete) / 2), 3, 6))
    means: dict[tuple[object, object], list[float]] = {}
    for trial in complete:
        assert trial.value is not None
        x, y = (_middle(_knob(name), trial.params[name], size) for name in pair)
        means.setdefault((x, y), []).append(trial.value)
    return max(means, key=lambda cell: float(np.mean(means[cell])))


def _middle(knob: Knob, value: object, size: int) -> object:
    """Return the middle of the cell that holds `value`; the numbers of these knobs run from 0 to 1."""
    if isinstance(knob.distribution, CategoricalDistribution):
        return value
    return (min(int(position(knob, value) * size), size - 1) + 0.5) / size


def _knob(name: str) -> Knob:
    return next(knob for knob in KNOBS if knob.name == name)


def _grid(knob: Knob) -> Floats:
    """Positions that hold the best one."""
    spec = knob.distribution
    return np.linspace(0, 1, len(spec.choices) if isinstance(spec, CategoricalDistribution) else 401)


if __name__ == "__main__":
    raise SystemExit(main())
