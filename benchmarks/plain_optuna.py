"""What does the same search cost in one process, by `study.optimize` and nothing else?

    python -m benchmarks.plain_optuna --data digits_lt --trials 4 --epochs 8

The trials of `benchmarks.peer_script` (DataLoaders, teacher in the loop), one after the other, each on all cores:
what Optuna's own documentation teaches. No Ray to start, and no second trial beside the first.
"""

import sys
from collections.abc import Sequence

import optuna

from benchmarks.peer_script import epochs, fit_teacher, search_parser, suggest_knobs
from trainables.cckd.config import TrialConfig
from trainables.cckd.data.load import LongTailData, load_data
from trainables.cckd.data.spec import parse_data


def search(data: LongTailData, *, space_name: str, trials: int, n_epochs: int, seed: int) -> optuna.Study:
    """Prepare the teacher and run the search."""
    teacher_state, log_prior = fit_teacher(data)
    settings = {"epochs": n_epochs, "seed": seed}

    def objective(trial: optuna.Trial) -> float:
        shared = suggest_knobs(trial, space_name, settings)
        accuracy = float("nan")
        for epoch, accuracy in enumerate(
            epochs(TrialConfig.build({**shared, **trial.params}), data, teacher_state, log_prior)
        ):
            trial.report(accuracy, epoch)
        return accuracy

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    study.optimize(objective, n_trials=trials)
    return study


def main(argv: Sequence[str] | None = None) -> int:
    """Run the search; an exception of a trial ends it."""
    args = search_parser("benchmarks.plain_optuna", (__doc__ or "").split("\n")[0]).parse_args(argv)
    data = load_data(parse_data(args.data), data_root=args.data_root.absolute())
    study = search(data, space_name=args.space, trials=args.trials, n_epochs=args.epochs, seed=args.seed)
    print(f"best balanced accuracy on val {study.best_value:.4f} with {study.best_params}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
