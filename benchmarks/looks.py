"""What does `--stop-when settled` do to a search? Searches with a known truth, looked at as a study is.

    python -m benchmarks.looks
    python -m benchmarks.looks --studies 20 --trials 160

A search of 14 knobs by the default sampler (`benchmarks.searches`) is looked at by the product's own rule, at its own
counts of finished trials. Where a look finds it settled, it ends, and the report's screen judges the trials so far.
The table says how often that is, how many trials remain untrained, how often any knob without effect is named then, and
what the shorter search costs: the true value of its best trial behind that of the whole search, in points.
"""

import argparse
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from optuna.trial import FrozenTrial
from scipy import stats

from analysis.search.screen import LEVEL, screen
from analysis.search.trial_matrix import position, stages, trial_matrix, value_of
from analysis.settled import judged
from benchmarks.searches import KNOBS, TRUTHS, Truth, search
from benchmarks.surface_truth import share_text
from study.strategy.stopping import SHARE_OF_LEVEL, looks

N_STUDIES, N_TRIALS = 200, 200

#: Points of balanced accuracy in one sd between evenly spread trials, as `benchmarks.searches` has it.
_POINTS = 2.0


@dataclass(frozen=True)
class Ended:
    """How one search ended: whether settled, after how many trials, with a vain name, and at which cost in points."""

    settled: bool
    n: int
    vain: bool
    cost: float


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; return 1 where knobs without effect are named too often."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.looks", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--studies", type=int, default=N_STUDIES, help="per row (default: %(default)s)")
    parser.add_argument("--trials", type=int, default=N_TRIALS, help="planned, of a search (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="default: one per core")
    args = parser.parse_args(argv)
    print(f"{args.studies} searches of {args.trials} trials\n")
    print("| truth | settled | trials | vain names | without looks | cost, points |\n|---|---|---|---|---|---|")
    kept = True
    with ProcessPoolExecutor(args.workers) as pool:
        for truth in TRUTHS:
            found = list(pool.map(partial(looked_at, truth, args.trials), range(args.studies)))
            print(row_of(truth, found), flush=True)
            kept &= keeps([ended for ended, _ in found])
    return 0 if kept else 1


def looked_at(truth: Truth, n_trials: int, seed: int) -> tuple[Ended, Ended]:
    """Return how one search ends with looks, and how it ends without."""
    trials = search(truth, seed, n_trials=n_trials)
    settled = (
        n for n in looks(n_trials) if judged(trials[:n], KNOBS, SHARE_OF_LEVEL, max(trials[:n], key=value_of)).settled
    )
    n = next(settled, n_trials)
    cost = _of_best(truth, trials) - _of_best(truth, trials[:n])
    ended = Ended(n < n_trials, n, _names_in_vain(truth, trials[:n]), _POINTS * cost)
    return ended, Ended(False, n_trials, _names_in_vain(truth, trials), 0.0)


def _of_best(truth: Truth, trials: Sequence[FrozenTrial]) -> float:
    """The true value of the trial with the highest measured value, in sd of evenly spread trials."""
    best = max(trials, key=value_of).params
    return sum(truth.effect(knob.name, position(knob, best[knob.name])) for knob in KNOBS)


def _names_in_vain(truth: Truth, trials: Sequence[FrozenTrial]) -> bool:
    """Whether the report's screen names a knob without effect."""
    values = np.array([value_of(trial) for trial in trials])
    named = screen(trial_matrix(trials, KNOBS), values, stages(trials)).named
    return bool(set(named) - set(truth.shares))


def keeps(found: Sequence[Ended]) -> bool:
    """Return whether knobs without effect may be named at the screen's level."""
    vain = stats.binomtest(sum(one.vain for one in found), len(found))
    return float(vain.proportion_ci(method="wilson").low) <= LEVEL


def row_of(truth: Truth, found: Sequence[tuple[Ended, Ended]]) -> str:
    """Return a row of the table."""
    ended, n = [one for one, _ in found], len(found)
    shares = [sum(one.settled for one in ended), sum(one.vain for one in ended), sum(one.vain for _, one in found)]
    settled, vain, without = (share_text(hits, n) for hits in shares)
    costs = np.array([one.cost for one in ended])
    cost = f"{costs.mean():.2f} ± {costs.std() / n**0.5:.2f}"
    return f"| {truth.name} | {settled} | {np.mean([one.n for one in ended]):.0f} | {vain} | {without} | {cost} |"


if __name__ == "__main__":
    raise SystemExit(main())
