"""Which design of a search finds the knobs that matter, and where they should stand? At equal epochs.

    python -m benchmarks.search_quality
    python -m benchmarks.search_quality --designs "default,half spread" --studies 20
    python -m benchmarks.search_quality --designs "0.1.0,half the epochs of 0.1.0" --against 0.1.0

Designs differ in the sampler, in how its evenly spread trials are chosen and how many they are, and in the pruner. Each
is played on the emulator of real trainings (`benchmarks.emulator`) until it has used the epochs of the default. Five
finalists then run on three fresh seeds, as a study does. The table says how often the screen names each knob that truly
matters, what the value costs that the table of standing would take for it, and how far best1 lies below the best of
4,096 points. --against prints each design minus another one, with 95 % intervals over studies of the same seeds.
"""

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from math import inf
from typing import Any

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from analysis.search.slices import slices_of
from analysis.search.trial_matrix import value_of
from benchmarks.emulator import Emulator
from benchmarks.response_surface import recorded_rows
from benchmarks.searches import played
from benchmarks.surfaces import screened
from search_spaces.knob import KnobValue
from search_spaces.registry import get_space
from search_spaces.space import SearchSpace
from study.strategy.search_settings import SearchSettings
from study.strategy.space_filling import sobol_point
from trainables.cckd.records import rungs

#: Studies per design, and epochs of a search: 50 complete trials.
N_STUDIES, N_EPOCHS = 100, 3000

_EPOCHS, _MOST_TRIALS = 60, 400
#: Half of the 3,214 epochs that 64 trials of version 0.1.0 use at today's length, in whole trials.
_HALF_OF_FORMER = 1560
_N_FINALISTS, _N_FRESH = 5, 3
_LOG_POINTS = 12


@dataclass(frozen=True)
class Design:
    """How a search chooses its trials.

    Attributes:
        sampler, pruner: names that `study.run` knows.
        spread: trials after the reference point that open the search, spread evenly.
        epochs: it begins no trial once it has used so many.
        trials: the most.
    """

    sampler: str = "lhs"
    pruner: str = "none"
    spread: int = N_EPOCHS // _EPOCHS - 1
    epochs: float = N_EPOCHS
    trials: int = _MOST_TRIALS


DESIGNS: Mapping[str, Design] = {
    "default": Design(),
    "three quarters spread": Design("lhs+tpe", "median", 38),
    "half spread": Design("lhs+tpe", "median", 31),
    "a quarter spread": Design("lhs+tpe", "median", 15),
    "half spread without pruner": Design("lhs+tpe", "none", 24),
    "half spread with asha": Design("lhs+tpe", "asha", 31),
    "half sobol": Design("sobol+tpe", "median", 31),
    "all sobol": Design("qmc", "none", 0),
    "random": Design("random", "none", 0),
    "tpe alone": Design("tpe", "median", 0),
    "gp alone": Design("gp", "median", 0),
    "0.1.0": Design("sobol+tpe", "median", 31, inf, 64),
    "half the epochs of 0.1.0": Design(spread=_HALF_OF_FORMER // _EPOCHS - 1, epochs=_HALF_OF_FORMER),
    "half the epochs of 0.1.0 with tpe": Design("lhs+tpe", "median", 15, _HALF_OF_FORMER),
}


@dataclass(frozen=True)
class Played:
    """What one search finds: trials, complete ones, epochs, knobs named, costs of values taken, best1's regret.

    Costs and regret are fractions.
    """

    n: int
    n_complete: int
    epochs: int
    named: tuple[str, ...]
    costs: Mapping[str, float]
    regret: float


def main(argv: Sequence[str] | None = None) -> int:
    """Play the designs and print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.search_quality", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--data", default="fashion_mnist_lt", help="name of a data set (default: %(default)s)")
    parser.add_argument("--space", default="acckd_full", help="default: %(default)s")
    parser.add_argument("--designs", default=",".join(DESIGNS), help="names of designs (default: all)")
    parser.add_argument("--studies", type=int, default=N_STUDIES, help="per design (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="default: one per core")
    parser.add_argument("--against", help="one of the designs, from which the others are told apart")
    args = parser.parse_args(argv)
    designs = designs_in(args.designs, parser)
    if args.against is not None and args.against not in designs:
        parser.error(f"--against must be one of --designs ({', '.join(designs)}); got {args.against}")
    named = emulator(args.data, args.space).named
    heads = (
        "design",
        "trials (complete), epochs",
        *named,
        "others",
        "cost of the values (points)",
        "regret of best1 (points)",
    )
    print(f"| {' | '.join(heads)} |")
    print("|---" * len(heads) + "|")
    found: dict[str, list[Played]] = {}
    with ProcessPoolExecutor(args.workers) as pool:
        for name, design in designs.items():
            seeds = range(args.studies)
            found[name] = list(pool.map(partial(play, args.data, args.space, design), seeds))
            print(row_of(name, named, found[name]), flush=True)
    if args.against is not None:
        for name in [name for name in found if name != args.against]:
            print(difference_of(f"{name} minus {args.against}", named, found[name], found[args.against]))
    return 0


def designs_in(names: str, parser: argparse.ArgumentParser) -> dict[str, Design]:
    """Return the designs whose names, with commas between them, are given; an unknown one is the parser's error."""
    asked = names.split(",")
    if unknown := [name for name in asked if name not in DESIGNS]:
        parser.error(f"--designs must be of {', '.join(DESIGNS)}; got {', '.join(unknown)}")
    return {name: DESIGNS[name] for name in asked}


def play(data: str, space: str, design: Design, seed: int) -> Played:
    """Return what one search by `design` finds on the emulator of a data set's trainings."""
    surface, rng = emulator(data, space), np.random.default_rng([seed, 13])
    trials = search_by(surface.space, design, seed, lambda point: surface.curve(point, rng))
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    named = tuple(screened(complete, surface.space.tunable)[2].named)
    slices = {found.knob.name: found for found in slices_of(complete, surface.space.tunable)}
    costs = {}
    for name in surface.named:
        effect, knob = slices[name].effect, slices[name].knob
        taken = effect.best_value(knob) if name in named and effect is not None else knob.reference
        costs[name] = _best_effect(data, space, name) - float(surface.effects(name, [taken])[0])
    epochs = sum(max(trial.intermediate_values) for trial in trials)
    regret = best_mean(data, space) - _of_best1(surface, complete, rng)
    return Played(len(trials), len(complete), epochs, named, costs, regret)


def search_by(
    space: SearchSpace, design: Design, seed: int, run: Callable[[dict[str, KnobValue]], Mapping[int, float]]
) -> list[FrozenTrial]:
    """Return the trials of a search that ends when its epochs or trials are used; `run` gives each point its curve."""
    at = rungs(_EPOCHS)
    settings = SearchSettings(design.sampler, design.pruner, design.trials, design.spread, seed, at[-1], at)
    return played(space, settings, run, most_epochs=design.epochs)


def _of_best1(surface: Emulator, complete: Sequence[FrozenTrial], rng: np.random.Generator) -> float:
    """Return the true mean of the finalist with the best mean over fresh runs."""
    finalists = sorted(complete, key=lambda trial: -value_of(trial))[:_N_FINALISTS]
    last = surface.epochs[-1]
    fresh = [np.mean([surface.curve(trial.params, rng)[last] for _ in range(_N_FRESH)]) for trial in finalists]
    return float(surface.mean([finalists[int(np.argmax(fresh))].params])[0])


@cache
def emulator(data: str, space: str) -> Emulator:
    """Return the emulator of a data set's recorded trainings."""
    return Emulator.of(recorded_rows(data), get_space(space))


@cache
def best_mean(data: str, space: str) -> float:
    """Return the true mean of the best of 4,096 points."""
    surface = emulator(data, space)
    points = [surface.space.active(sobol_point(surface.space, 1, k)) for k in range(2**_LOG_POINTS)]
    return float(surface.mean(points).max())


@cache
def _best_effect(data: str, space: str, name: str) -> float:
    surface = emulator(data, space)
    values: set[Any] = {sobol_point(surface.space, 1, k)[name] for k in range(256)}
    return float(surface.effects(name, list(values)).max())


def row_of(name: str, named: Sequence[str], played: Sequence[Played]) -> str:
    """Return a design's row of the table."""
    n = len(played)
    shares = [f"{100 * sum(knob in one.named for one in played) / n:.0f} %" for knob in named]
    others = sum(bool(set(one.named) - set(named)) for one in played) / n
    cost = np.mean([sum(one.costs.values()) for one in played])
    regret = np.array([one.regret for one in played])
    size = f"{np.mean([one.n for one in played]):.0f} ({np.mean([one.n_complete for one in played]):.0f})"
    size += f", {np.mean([one.epochs for one in played]):,.0f}"
    return (
        f"| {name} | {size} | {' | '.join(shares)} | {100 * others:.0f} % | {100 * cost:.2f} "
        f"| {100 * regret.mean():.2f} ± {100 * regret.std() / n**0.5:.2f} |"
    )


def difference_of(name: str, named: Sequence[str], ours: Sequence[Played], others: Sequence[Played]) -> str:
    """Return the row of one design minus another one, over studies of the same seeds, with 95 % intervals."""
    measures: list[Callable[[Played], float]] = [
        *(lambda one, knob=knob: knob in one.named for knob in named),
        lambda one: bool(set(one.named) - set(named)),
        lambda one: sum(one.costs.values()),
        lambda one: one.regret,
    ]
    cells = []
    for measure in measures:
        gaps = 100 * np.array(
            [measure(one) - measure(other) for one, other in zip(ours, others, strict=True)], dtype=float
        )
        middle, reach = gaps.mean(), 1.96 * gaps.std(ddof=1) / len(gaps) ** 0.5
        cells.append(f"{middle:+.2f} ({middle - reach:+.2f} to {middle + reach:+.2f})")
    return f"| {name} | | {' | '.join(cells)} |"


if __name__ == "__main__":
    raise SystemExit(main())
