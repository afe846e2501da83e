"""After how many epochs is the best trial of a search nearly as good as any, and which tool gets there first?

    python -m benchmarks.regret
    python -m benchmarks.regret --data cifar10_lt --studies 50

The searches are played on the emulator of real trainings (`benchmarks.emulator`). The regret of a search is how far the
true mean of its best trial so far lies below the best of 4,096 points. Two tools are studies, by the default sampler
and by the one that learns. The scripts that a user would write (`benchmarks.peer_script`, `benchmarks.plain_optuna` and
`benchmarks.careful_optuna`) choose alike: TPE, without a pruner. What an epoch takes each of them is measured by
`benchmarks.study_wall`.
"""

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from analysis.search.trial_matrix import value_of
from benchmarks.search_quality import Design, best_mean, emulator, search_by
from search_spaces.knob import KnobValue
from search_spaces.space import SearchSpace

#: Studies per tool, and epochs of a search: twice those of the default study.
N_STUDIES, N_EPOCHS = 200, 6000
#: In points.
REGRETS = (3.0, 2.0, 1.5, 1.0, 0.5)

_EPOCHS = 60
_N_WHOLE = N_EPOCHS // _EPOCHS

Run = Callable[[dict[str, KnobValue]], Mapping[int, float]]
Search = Callable[[SearchSpace, int, Run], list[FrozenTrial]]


def main(argv: Sequence[str] | None = None) -> int:
    """Play the searches and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.regret", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", default="fashion_mnist_lt", help="name of a data set (default: %(default)s)")
    parser.add_argument("--space", default="acckd_full", help="default: %(default)s")
    parser.add_argument("--studies", type=int, default=N_STUDIES, help="per tool (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="default: one per core")
    args = parser.parse_args(argv)
    print(f"| tool | {' | '.join(f'{regret:g} points' for regret in REGRETS)} | regret in the end |")
    print("|---" * (len(REGRETS) + 2) + "|")
    with ProcessPoolExecutor(args.workers) as pool:
        for name, search in TOOLS.items():
            found = list(pool.map(partial(descent, args.data, args.space, search), range(args.studies)))
            print(row_of(name, found), flush=True)
    return 0


def _by_study(design: Design, space: SearchSpace, seed: int, run: Run) -> list[FrozenTrial]:
    return search_by(space, design, seed, run)


def _by_script(space: SearchSpace, seed: int, run: Run) -> list[FrozenTrial]:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    for _ in range(_N_WHOLE):
        trial = study.ask()
        values = run(space.suggest(trial))
        trial.report(values[_EPOCHS], _EPOCHS)
        study.tell(trial, values[_EPOCHS])
    return study.get_trials(deepcopy=False)


#: Name in the table -> a search of N_EPOCHS epochs: (space, seed, training) -> its trials.
TOOLS: Mapping[str, Search] = {
    "a study, default: all trials spread evenly, no pruner": partial(
        _by_study, Design(spread=_N_WHOLE - 1, epochs=N_EPOCHS)
    ),
    "a study, `--sampler lhs+tpe --pruner median`": partial(
        _by_study, Design("lhs+tpe", "median", _N_WHOLE // 2, N_EPOCHS)
    ),
    "the scripts: TPE, no pruner": _by_script,
}


@dataclass(frozen=True)
class Descent:
    """How one search came near the best.

    Attributes:
        epochs: used before each of REGRETS was reached; inf where it never was.
        last: the regret in the end (a fraction).
    """

    epochs: tuple[float, ...]
    last: float


def descent(data: str, space: str, search: Search, seed: int) -> Descent:
    """Play one search on the emulator of a data set's trainings."""
    surface, rng = emulator(data, space), np.random.default_rng([seed, 17])
    trials = search(surface.space, seed, lambda point: surface.curve(point, rng))
    used = np.cumsum([max(trial.intermediate_values) for trial in trials])
    complete = [k for k, trial in enumerate(trials) if trial.state == TrialState.COMPLETE]
    values = np.array([value_of(trials[k]) for k in complete])
    leaders = [int(values[: n + 1].argmax()) for n in range(len(values))]
    regrets = best_mean(data, space) - surface.mean([trials[k].params for k in complete])[leaders]
    within = [[used[k] for k, left in zip(complete, regrets, strict=True) if 100 * left <= most] for most in REGRETS]
    return Descent(tuple(float(epochs[0]) if epochs else np.inf for epochs in within), float(regrets[-1]))


def row_of(name: str, found: Sequence[Descent]) -> str:
    """Return a tool's row: median epochs to each regret, the share of searches that reached it, and the last regret."""
    cells = []
    for epochs in np.array([one.epochs for one in found]).T:
        median = float(np.median(epochs))
        shown = f"{median:,.0f}" if np.isfinite(median) else "not reached"
        cells.append(f"{shown} ({np.isfinite(epochs).mean():.0%})")
    last = 100 * np.array([one.last for one in found])
    return f"| {name} | {' | '.join(cells)} | {last.mean():.2f} ± {last.std() / len(last) ** 0.5:.2f} |"


if __name__ == "__main__":
    raise SystemExit(main())
