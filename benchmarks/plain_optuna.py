"""What does the same search cost in one process, by `study.optimize` and nothing else?

    python -m benchmarks.plain_optuna --data digits_lt --trials 4 --epochs 8

The trials of `benchmarks.peer_script` (DataLoaders, teacher in the loop), one after the other, each on all cores:
what Optuna's own documentation teaches. No Ray to start, and no second trial beside the first.
"""

import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import optuna

from benchmarks.peer_script import epochs, fit_teacher, search_parser, settings_of, suggest_knobs
from trainables.cckd.config import TrialConfig
from trainables.cckd.data.load import LongTailData, load_data
from trainables.cckd.data.spec import parse_data


def search(data: LongTailData, *, space_name: str, trials: int, n_epochs: int, seed: int) -> optuna.Study:
    """Prepare the teacher and run the search."""
    teacher_state, log_prior = fit_teacher(data)
    train = partial(epochs, data=data, teacher_state=teacher_state, log_prior=log_prior)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    study.optimize(objective(train, space_name, settings_of(data, n_epochs, seed)), n_trials=trials)
    return study


def objective(
    train: Callable[[TrialConfig], Iterable[float]], space_name: str, settings: dict[str, Any]
) -> Callable[[optuna.Trial], float]:
    """Return what Optuna maximises: the accuracy behind the last epoch, every one of which is reported.

    Args:
        train: trains one student, and yields its accuracy after every epoch.
        space_name: of the knobs.
        settings: that all trials share.
    """

    def reached(trial: optuna.Trial) -> float:
        shared = suggest_knobs(trial, space_name, settings)
        accuracy = float("nan")
        for epoch, accuracy in enumerate(train(TrialConfig.build({**shared, **trial.params}))):
            trial.report(accuracy, epoch)
        return accuracy

    return reached


def main(argv: Sequence[str] | None = None) -> int:
    """Run the search; an exception of a trial ends it."""
    args = search_parser("benchmarks.plain_optuna", (__doc__ or "").split("\n")[0]).parse_args(argv)
    data = load_data(parse_data(args.data), data_root=args.data_root.absolute())
    study = search(data, space_name=args.space, trials=args.trials, n_epochs=args.epochs, seed=args.seed)
    print(f"best balanced accuracy on val {study.best_value:.4f} with {study.best_params}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
