"""What real trainings say of their knobs, and what the report's screen and surrogate find in forty of them.

    python -m benchmarks.surface_truth
    python -m benchmarks.surface_truth --data cifar10_lt

The rows of `benchmarks.response_surface` are the truth: their noise, overall and by region, the share of the variance
that no model of single runs can explain, the knobs' effects with the range of values that is not told from the best.

Then forty points are drawn again and again, as a search that is spread evenly. Knobs without effect are added to them.
The screen's names are counted, beside those of an F test that is told each knob's true shape. The surrogate predicts
the points that were not drawn; so do extremely randomised trees and a Gaussian process with a length scale per knob.
"""

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, create_trial
from scipy import stats

from analysis.reading.wording import EXACT, value_text
from analysis.search.columns import stage_columns
from analysis.search.screen import LEVEL
from analysis.search.slices import slices_of
from analysis.search.trial_matrix import Floats, stages, trial_matrix
from benchmarks.response_surface import recorded_rows
from benchmarks.surfaces import fitted, rivals, screened
from search_spaces.knob import Knob
from search_spaces.registry import get_space
from search_spaces.space import SearchSpace

#: Points of a study, and studies.
N_POINTS, N_STUDIES = 40, 200

#: Knobs without effect that are added to every study.
NULLS = (
    Knob("null_a", FloatDistribution(0.0, 1.0), "1", "a reason", 0.5),
    Knob("null_b", FloatDistribution(0.0, 1.0), "1", "a reason", 0.5),
    Knob("null_choice", CategoricalDistribution(("a", "b", "c")), "choice", "a reason", "a"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the tables; return 1 where a promise is not kept."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.surface_truth", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--data", default="fashion_mnist_lt", help="name of a data set (default: %(default)s)")
    parser.add_argument("--space", default="acckd_full", help="default: %(default)s")
    parser.add_argument("--studies", type=int, default=N_STUDIES, help="default: %(default)s")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="default: one per core")
    args = parser.parse_args(argv)
    rows, space = accuracies(recorded_rows(args.data)), get_space(args.space)
    trials = trials_of(rows, space)
    noise = noise_of(rows)
    ceiling = print_noise(rows, noise)
    print_effects(trials, space)
    shapes = true_shapes(trials, space)
    with ProcessPoolExecutor(args.workers) as pool:
        found = list(pool.map(partial(study_of, trials, space, shapes), range(args.studies)))
    return print_studies(found, space, ceiling)


@cache
def recorded(data: str, space: str) -> list[FrozenTrial]:
    """Return the recorded trainings of a data set as complete trials of a space."""
    return trials_of(accuracies(recorded_rows(data)), get_space(space))


def accuracies(rows: pd.DataFrame) -> pd.DataFrame:
    """Return point, seed, params (a mapping) and value: validation balanced accuracy after the last epoch (fraction).

    A run that diverged has the value of chance.
    """
    values = [
        float(np.mean(np.divide(list(row["val"])[-1], row["val_seen"])))
        if len(row["val"])
        else 1 / len(row["val_seen"])
        for row in rows.to_dict("records")
    ]
    return rows[["point", "seed"]].assign(params=[json.loads(text) for text in rows["params"]], value=values)


def curves_of(rows: pd.DataFrame) -> Floats:
    """Return validation balanced accuracy at the evaluated epochs, (N, E) fractions; none of the runs diverged."""
    counts = zip(rows["val"], rows["val_seen"], strict=True)
    return np.array([np.mean(np.divide(np.stack(correct), seen), axis=1) for correct, seen in counts])


def trials_of(rows: pd.DataFrame, space: SearchSpace) -> list[FrozenTrial]:
    """Return the runs of the first seed as complete trials, numbered by their points."""
    return [
        _trial(row["params"], float(row["value"]), space.tunable, int(row["point"]))
        for row in rows[rows["seed"] == rows["seed"].min()].to_dict("records")
    ]


def _trial(params: dict[str, Any], value: float, knobs: Sequence[Knob], number: int) -> FrozenTrial:
    trial = create_trial(
        params=params,
        distributions={knob.name: knob.distribution for knob in knobs if knob.name in params},
        value=value,
        user_attrs={"kind": "sobol"},
    )
    trial.number = number
    return trial


def noise_of(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row per point on more than one seed: mean, variance over seeds, n."""
    found = rows.groupby("point")["value"].agg(["mean", "var", "count"])
    return found[found["count"] > 1]


def print_noise(rows: pd.DataFrame, noise: pd.DataFrame) -> float:
    """Print the noise, overall and by region; return the most that a model of single runs can explain (R2)."""
    first = rows.loc[rows["seed"] == rows["seed"].min(), "value"]
    ceiling = 1 - float(noise["var"].mean() / first.var())
    worse = noise["mean"] < noise["mean"].median()
    sds = [float(part.mean() ** 0.5) for part in (noise["var"], noise.loc[worse, "var"], noise.loc[~worse, "var"])]
    low, high = _sd_interval(noise)
    print(
        f"{len(first)} points, {len(noise)} of them on {int(noise['count'].max())} seeds. Validation balanced "
        f"accuracy: mean {100 * first.mean():.1f} %, sd between points {100 * first.std():.2f} points.\n"
        f"sd over seeds {100 * sds[0]:.2f} points ({100 * low:.2f} to {100 * high:.2f}); in the worse half of the "
        f"points {100 * sds[1]:.2f}, in the better half {100 * sds[2]:.2f}.\n"
        f"So {100 * (1 - ceiling):.0f} % of the variance of single runs is chance, and R2 is at most {ceiling:.2f}.\n"
    )
    return ceiling


def _sd_interval(noise: pd.DataFrame) -> tuple[float, float]:
    """95 % interval of the sd over seeds, by a bootstrap of the points: their variances are far from equal."""
    rng = np.random.default_rng(0)
    values = noise["var"].to_numpy()
    drawn = rng.choice(values, (4000, len(values))).mean(axis=1) ** 0.5
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def print_effects(trials: Sequence[FrozenTrial], space: SearchSpace) -> None:
    """Print each knob's effect in all trainings: share, p, the range not told from its best, what the worst costs."""
    _, _, judged = screened(trials, space.tunable)
    effects = {found.knob.name: found.effect for found in slices_of(trials, space.tunable)}
    knobs = {knob.name: knob for knob in space.tunable}
    print("| knob | share of the variance | p | best value | not told from it | its worst value costs (points) |")
    print("|---|---|---|---|---|---|")
    for row in judged.frame.to_dict("records"):
        effect = effects[str(row["knob"])]
        assert effect is not None
        curve = effect.curve
        allowed = np.flatnonzero(curve.not_below_best)
        worst, least, most = curve.cost(int(curve.mean.argmin()))
        knob = knobs[str(row["knob"])]
        best = value_text(effect.best_value(knob), digits=EXACT)
        print(
            f"| `{knob.name}` | {100 * row['share']:.1f} % | {row['p_family']:.3f} | {best} "
            f"| {effect.told(knob, allowed)} | {100 * worst:.1f} ({100 * least:.1f} to {100 * most:.1f}) |"
        )
    print()


def study_of(
    trials: Sequence[FrozenTrial], space: SearchSpace, shapes: Mapping[str, Floats], study: int
) -> dict[str, Any]:
    """Return what is found in forty points: names, the F tests' names, R2 of each model on all other points."""
    rng = np.random.default_rng([study, 11])
    order = rng.permutation(len(trials))
    drawn, others = ([trials[k] for k in part] for part in (order[:N_POINTS], order[N_POINTS:]))
    knobs = (*space.tunable, *NULLS)
    _, _, judged = screened([with_nulls(trial, 0.0, knobs, rng) for trial in drawn], knobs)
    y = np.array([trial.value for trial in drawn], dtype=float)
    told = [
        name
        for name, shape in shapes.items()
        if f_test(shape[order[:N_POINTS]], y, stages(drawn)) <= LEVEL / len(knobs)
    ]
    return {"named": judged.named, "told": told, "r2": _predictions(drawn, others, space)}


def with_nulls(trial: FrozenTrial, added: float, knobs: Sequence[Knob], rng: np.random.Generator) -> FrozenTrial:
    """Return a trial whose value is higher by `added`, and which has random values of the knobs without effect."""
    a, b = (float(value) for value in rng.uniform(size=2))
    params = {**trial.params, "null_a": a, "null_b": b, "null_choice": str(rng.choice(["a", "b", "c"]))}
    assert trial.value is not None
    return _trial(params, trial.value + float(added), knobs, trial.number)


def true_shapes(trials: Sequence[FrozenTrial], space: SearchSpace) -> dict[str, Floats]:
    """Return knob -> (N,) its effect in all trainings at each trial; 0 where the knob is absent."""
    shapes = {}
    for found in slices_of(trials, space.tunable):
        assert found.effect is not None
        effect, middle = found.effect, float(found.effect.curve.mean.mean())
        at = [effect.nearest(found.knob, trial.params[found.knob.name]) if found.knob.name in trial.params else None
              for trial in trials]  # fmt: skip
        shapes[found.knob.name] = np.array([0.0 if k is None else effect.curve.mean[k] - middle for k in at])
    return shapes


def f_test(shape: Floats, y: Floats, stage: npt.NDArray[np.int64]) -> float:
    """Return the p of a regression of values on one known shape and the stages of the search, all (N,)."""
    beside = stage_columns(stage)
    shape, y = (values - beside @ np.linalg.lstsq(beside, values)[0] for values in (shape, y))
    if not np.ptp(shape):
        return 1.0
    free = len(y) - beside.shape[1] - 1
    explained = float(shape @ y) ** 2 / float(shape @ shape)
    return float(stats.f.sf(explained / ((float(y @ y) - explained) / free), 1, free))


def _predictions(drawn: Sequence[FrozenTrial], others: Sequence[FrozenTrial], space: SearchSpace) -> dict[str, float]:
    """Return model -> R2 on the points that were not drawn."""
    surrogate, y = fitted(drawn, space.tunable), np.array([trial.value for trial in drawn], dtype=float)
    whole = trial_matrix([*drawn, *others], surrogate.matrix.knobs)
    x = np.column_stack([whole.x, whole.present[:, ~whole.present.all(axis=0)]])
    true = np.array([trial.value for trial in others], dtype=float)
    found = {
        "the surrogate": surrogate.predict(replace(whole, x=whole.x[len(y) :], present=whole.present[len(y) :])),
        **rivals(x[: len(y)], y, x[len(y) :]),
    }
    total = float(np.square(true - true.mean()).sum())
    return {name: 1 - float(np.square(true - values).sum()) / total for name, values in found.items()}


def print_studies(found: Sequence[Mapping[str, Any]], space: SearchSpace, ceiling: float) -> int:
    """Print what the studies found; return 1 where knobs without effect are named too often."""
    n, nulls = len(found), {knob.name for knob in NULLS}
    print(f"{n} studies of {N_POINTS} points:\n")
    print("| knob | named | named by an F test that is told its shape |\n|---|---|---|")
    for name in space.distributions:
        shares = [sum(name in study[key] for study in found) for key in ("named", "told")]
        if max(shares) > n // 50:
            print(f"| `{name}` | {share_text(shares[0], n)} | {share_text(shares[1], n)} |")
    vain = sum(bool(nulls & set(study["named"])) for study in found)
    print(f"| any of {len(nulls)} knobs without effect | {share_text(vain, n)} | |\n")
    print(
        f"| model | R2 on the points that were not drawn (at most {ceiling:.2f}): median, central 80 % of the studies |"
    )
    print("|---|---|")
    for model in found[0]["r2"]:
        low, middle, high = np.quantile([study["r2"][model] for study in found], [0.1, 0.5, 0.9])
        print(f"| {model} | {middle:.2f} ({low:.2f} to {high:.2f}) |")
    return int(stats.binomtest(vain, n).proportion_ci(method="wilson").low > LEVEL)


def share_text(hits: int, n: int) -> str:
    """Return a share of studies with its 95 % interval (Wilson)."""
    interval = stats.binomtest(hits, n).proportion_ci(method="wilson")
    return f"{100 * hits / n:.1f} % ({100 * interval.low:.1f} to {100 * interval.high:.1f})"


if __name__ == "__main__":
    raise SystemExit(main())
