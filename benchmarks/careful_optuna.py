"""What does the same search cost in a script that a careful user would write?

    python -m benchmarks.careful_optuna --data digits_lt --trials 4 --epochs 8

Optuna and nothing else, but with what a profile would teach. The teacher sees some random views of each image once,
before the search, and the trials read its outputs from memory. A mixed image gets the mix of its parents' outputs.
There is no DataLoader. One process per core trains on one thread; they share the search through a journal file.
Teacher, student, objective, optimiser, schedule and space are those of `benchmarks.peer_script`.
"""

import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import optuna
import torch
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import MaxTrialsCallback
from optuna.trial import TrialState
from torch import Tensor

from benchmarks.peer_script import AugmentedImages, Batch, fit_teacher, search_parser, settings_of, student_epochs
from benchmarks.plain_optuna import objective
from trainables.cckd.config import TrialConfig
from trainables.cckd.data.load import LongTailData, load_data
from trainables.cckd.data.spec import parse_data
from trainables.cckd.losses.targets import Targets
from trainables.cckd.teacher.forward import ForwardTeacher

_NAME = "careful"
_N_VIEWS = 8
_TEACHER_BATCH = 64


@dataclass(frozen=True, eq=False)
class Seen:
    """What the teacher has seen: N images in V views.

    Attributes:
        pixels: of the views, uint8 (N, V, Ch, H, W).
        logits: float32 (N, V, C).
        features: float16 (N, V, D).
        log_prior: of the teacher, float64 (C,).
    """

    pixels: Tensor
    logits: Tensor
    features: Tensor
    log_prior: np.ndarray


def main(argv: Sequence[str] | None = None) -> int:
    """Run the search; an exception of a trial ends it."""
    args = search_parser("benchmarks.careful_optuna", (__doc__ or "").split("\n")[0]).parse_args(argv)
    data = load_data(parse_data(args.data), data_root=args.data_root.absolute())
    with tempfile.TemporaryDirectory() as folder:
        best = search(data, Path(folder), space_name=args.space, trials=args.trials, epochs=args.epochs, seed=args.seed)
    print(f"best balanced accuracy on val {best.value:.4f} with {best.params}")
    return 0


def search(
    data: LongTailData, folder: Path, *, space_name: str, trials: int, epochs: int, seed: int
) -> optuna.trial.FrozenTrial:
    """Ask the teacher once, run the search in one process per core, and return the best trial.

    Raises:
        SystemExit: a process failed; its traceback is on stderr.
    """
    seen, journal = _see(data), str(folder / "journal.log")
    study = optuna.create_study(storage=_storage(journal), direction="maximize", study_name=_NAME)
    fork = get_context("fork")
    workers = [
        fork.Process(target=_work, args=(data, seen, journal, space_name, trials, epochs, seed + number))
        for number in range(min(trials, os.cpu_count() or 1))
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if any(worker.exitcode for worker in workers):
        raise SystemExit(1)
    return study.best_trial


def _storage(journal: str) -> JournalStorage:
    return JournalStorage(JournalFileBackend(journal))


def _work(data: LongTailData, seen: Seen, journal: str, space_name: str, trials: int, epochs: int, seed: int) -> None:
    torch.set_num_threads(1)
    train = partial(epochs_of, data=data, seen=seen)
    sampler = optuna.samplers.TPESampler(seed=seed)
    study = optuna.load_study(storage=_storage(journal), study_name=_NAME, sampler=sampler)
    enough = MaxTrialsCallback(trials, states=(TrialState.COMPLETE, TrialState.RUNNING))
    study.optimize(objective(train, space_name, settings_of(data, epochs, seed)), callbacks=[enough])


def _see(data: LongTailData) -> Seen:
    """Show the teacher some random views of each training image; all cores take part."""
    torch.manual_seed(0)
    state, log_prior = fit_teacher(data)
    teacher, images = ForwardTeacher(state).eval(), AugmentedImages(data)
    pixels = torch.stack([torch.stack([images[row][0] for _ in range(_N_VIEWS)]) for row in range(len(images))])
    with torch.no_grad():
        outputs = [teacher(some) for some in pixels.flatten(0, 1).split(_TEACHER_BATCH)]
    logits, features = (torch.cat(of_all).unflatten(0, pixels.shape[:2]) for of_all in zip(*outputs, strict=True))
    return Seen(pixels.to(torch.uint8), logits, features.half(), log_prior)


def epochs_of(trial: TrialConfig, data: LongTailData, seen: Seen) -> Iterator[float]:
    """Train one student from what the teacher has seen; yield balanced accuracy on D_val after every epoch."""
    labels = torch.from_numpy(data.train.labels)
    n_steps, n_mixed = len(labels) // trial.batch_size, trial.n_mixed
    one_hot = torch.nn.functional.one_hot(labels).float()
    rarity = 1.0 / one_hot.sum(dim=0)[labels]
    beta = torch.distributions.Beta(trial.mix_alpha, trial.mix_alpha)

    def outputs(rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        view = torch.randint(_N_VIEWS, (len(rows),))
        return seen.pixels[rows, view].float(), seen.logits[rows, view], seen.features[rows, view].float()

    def batches(mixes: bool) -> Iterator[Batch]:
        for rows in torch.randperm(len(labels)).split(trial.batch_size)[:n_steps]:
            pixels, logits, features = outputs(rows)
            plain = Targets(labels[rows], logits, features)
            if not mixes:
                yield pixels, plain, None
                continue
            parents = torch.multinomial(rarity, 2 * n_mixed, replacement=True).chunk(2)
            share = beta.sample((n_mixed,))
            mixed = [
                torch.lerp(second, first, share.view(-1, *[1] * (first.ndim - 1)))
                for first, second in zip(*((*outputs(of), one_hot[of]) for of in parents), strict=True)
            ]
            yield torch.cat([pixels, mixed[0]]), plain, Targets(mixed[3], mixed[1], mixed[2])

    return student_epochs(trial, data, batches, n_steps, seen.features.shape[-1], seen.log_prior)


if __name__ == "__main__":
    sys.exit(main())
