"""Does an early epoch say which trial will be good? By recorded curves of real trainings.

    python -m benchmarks.early_epochs
    python -m benchmarks.early_epochs --data cifar10_lt

Per epoch at which the runs of `benchmarks.response_surface` were evaluated: the rank correlation of D_val with that
after the last epoch, over points. Then what a search gains that stops its trials there, trains only the best third of
them to the end and takes the best of these, against a search of whole trials with as many epochs. Both draw from the
recorded points, so that a few good points decide much: ± is the error of the drawing alone. The gain is one of true
values, by the emulator (`benchmarks.emulator`).
"""

import argparse
from collections.abc import Sequence

import numpy as np
from scipy import stats

from analysis.search.trial_matrix import Floats
from benchmarks.emulator import Emulator
from benchmarks.response_surface import recorded_rows
from benchmarks.surface_truth import accuracies, curves_of, trials_of
from search_spaces.registry import get_space

#: Whole trials whose epochs a search has, and searches.
N_TRIALS, N_SEARCHES = 30, 1000

#: Of so many trials one is trained to the end.
_ONE_OF = 3


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.early_epochs", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--data", default="fashion_mnist_lt", help="name of a data set (default: %(default)s)")
    parser.add_argument("--space", default="acckd_full", help="default: %(default)s")
    args = parser.parse_args(argv)
    rows, space = recorded_rows(args.data), get_space(args.space)
    emulator = Emulator.of(rows, space)
    first = rows[(rows["seed"] == rows["seed"].min()) & (rows["val"].str.len() > 0)]
    curves = curves_of(first)
    params = {trial.number: trial.params for trial in trials_of(accuracies(rows), space)}
    truth = emulator.mean([params[int(point)] for point in first["point"]])
    print(f"{len(curves)} points of {args.data}; searches with the epochs of {N_TRIALS} whole trials")
    print("| epoch | rank correlation with the last | trials begun | gain of `best1` (points) |\n|---|---|---|---|")
    for place, (epoch, rank) in enumerate(zip(emulator.epochs, rank_correlations(curves), strict=True)):
        found = gains_of_stopping(curves, truth, emulator.epochs, place)
        begun, _ = budget(emulator.epochs, place)
        error = found.std(ddof=1) / len(found) ** 0.5
        print(f"| {epoch} | {rank:.2f} | {begun} | {100 * found.mean():+.2f} ± {100 * error:.2f} |")
    return 0


def rank_correlations(curves: Floats) -> list[float]:
    """Return Spearman's correlation of each column of curves (points, epochs) with the last one."""
    return [float(stats.spearmanr(column, curves[:, -1]).statistic) for column in curves.T]


def budget(epochs: Sequence[int], place: int) -> tuple[int, int]:
    """Return the trials begun and the trials trained to the end, where all others stop at `epochs[place]`."""
    early, whole = epochs[place], epochs[-1]
    kept = max(1, N_TRIALS * whole // (_ONE_OF * early + whole - early))
    return (_ONE_OF * kept, kept) if early < whole else (N_TRIALS, N_TRIALS)


def gains_of_stopping(curves: Floats, truth: Floats, epochs: Sequence[int], place: int) -> Floats:
    """Return, per search, the true value of its best trial minus that of a search of whole trials (fractions).

    Args:
        curves: D_val of each point at each of `epochs`, (P, E).
        truth: true value of each point after the last epoch, (P,).
        epochs: E epochs, ascending.
        place: of the epoch at which trials stop.

    Raises:
        ValueError: there are fewer points than a search begins.
    """
    begun, kept = budget(epochs, place)
    if begun > len(curves):
        raise ValueError(f"a search of {begun} trials needs as many recorded points; got {len(curves)}")
    rng, found = np.random.default_rng(place), []
    for _ in range(N_SEARCHES):
        some = rng.choice(len(curves), begun, replace=False)
        left = some[np.argsort(-curves[some, place], kind="stable")[:kept]]
        whole = rng.choice(len(curves), N_TRIALS, replace=False)
        found.append(truth[left[curves[left, -1].argmax()]] - truth[whole[curves[whole, -1].argmax()]])
    return np.array(found)


if __name__ == "__main__":
    raise SystemExit(main())
