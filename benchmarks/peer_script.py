"""What does the same search cost in the style that Ray Tune's documentation teaches?

    python -m benchmarks.peer_script --data digits_lt --trials 4 --epochs 8

A function trainable, a process a trial, OptunaSearch, DataLoaders, and the teacher in the loop on the augmented
images of every step. Data, split, student, objective, optimiser, schedule, search space and number of concurrent
trials are the study's own; the teacher is prepared once, on un-augmented images, before the search. Expected: a
trial costs as much as its teacher, about 7 ms an image on one core, against 0.5 ms for the student.
Measured: 114 s (two cores of an AMD EPYC, other work running).
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import torch
from numpy.typing import NDArray
from ray import init, tune
from ray.tune.search.optuna import OptunaSearch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, TensorDataset, WeightedRandomSampler
from torchvision.transforms import v2

from search_spaces.registry import get_space
from trainables.cckd.config import TrialConfig
from trainables.cckd.data.images.sets import ImageSet
from trainables.cckd.data.load import LongTailData, load_data
from trainables.cckd.data.spec import parse_data
from trainables.cckd.losses.objective import Objective
from trainables.cckd.losses.targets import Targets
from trainables.cckd.metrics import balanced_accuracy, count_classes
from trainables.cckd.students.build import build_student
from trainables.cckd.teacher.backbone import build_backbone
from trainables.cckd.teacher.features import extract
from trainables.cckd.teacher.fit.prior import teacher_log_prior
from trainables.cckd.teacher.fit.probe import fit_probe
from trainables.cckd.teacher.forward import ForwardTeacher
from trainables.cckd.teacher.readout import TeacherState
from trainables.cckd.teacher.spec import TeacherSpec, check_teacher

#: Pixels of a step, float32 (N, Ch, H, W), plain ones first; targets of the plain ones; of the mixed ones, if any.
Batch = tuple[Tensor, Targets, Targets | None]


class AugmentedImages(Dataset[tuple[Tensor, Tensor]]):
    """Training images, each a fresh random view when it is asked for."""

    def __init__(self, data: LongTailData) -> None:
        self.images, self.labels = torch.from_numpy(_pixels(data.train)), torch.from_numpy(data.train.labels)
        flips = [v2.RandomHorizontalFlip()] if data.flip else []
        self.augment = v2.Compose([v2.RandomCrop(tuple(data.image_shape[1:]), padding=data.padding), *flips])

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.augment(self.images[index]).float(), self.labels[index]


def train(config: dict[str, Any], data: LongTailData, teacher_state: TeacherState, log_prior: np.ndarray) -> None:
    """Ray's trainable: train one student by `config` on one thread, reporting every epoch."""
    torch.set_num_threads(1)
    for accuracy in epochs(TrialConfig.build(config), data, teacher_state, log_prior):
        tune.report({"val_balanced_accuracy": accuracy})


def epochs(
    trial: TrialConfig, data: LongTailData, teacher_state: TeacherState, log_prior: np.ndarray
) -> Iterator[float]:
    """Train one student with the teacher in the loop; yield balanced accuracy on D_val after every epoch."""
    teacher, n_mixed = ForwardTeacher(teacher_state).eval(), trial.n_mixed
    counts, dataset = np.bincount(data.train.labels), AugmentedImages(data)
    loader = DataLoader(dataset, batch_size=trial.batch_size, shuffle=True, drop_last=True)
    balanced = WeightedRandomSampler((1.0 / counts)[data.train.labels].tolist(), 2 * n_mixed * len(loader))
    pair_loader = DataLoader(dataset, batch_size=2 * n_mixed, sampler=balanced)

    def batches(mixes: bool) -> Iterator[Batch]:
        pairs = _mixed_pairs(pair_loader, len(counts), trial.mix_alpha) if mixes else repeat(None, len(loader))
        for (images, labels), pair in zip(loader, pairs, strict=True):
            pixels = images if pair is None else torch.cat([images, pair[0]])
            logits, features = (seen.split([len(images), len(pixels) - len(images)]) for seen in teacher(pixels))
            mixed = None if pair is None else Targets(pair[1], logits[1], features[1])
            yield pixels, Targets(labels, logits[0], features[0]), mixed

    return student_epochs(trial, data, batches, len(loader), len(teacher_state.feature_mean), log_prior)


def student_epochs(
    trial: TrialConfig,
    data: LongTailData,
    batches: Callable[[bool], Iterable[Batch]],
    n_steps: int,
    n_teacher_features: int,
    log_prior: np.ndarray,
) -> Iterator[float]:
    """Train one student; yield balanced accuracy on D_val after every epoch.

    Args:
        trial: the configuration.
        data: that is trained on.
        batches: returns those of an epoch; called with whether the epoch mixes.
        n_steps: of an epoch.
        n_teacher_features: D.
        log_prior: of the teacher, (C,).
    """
    torch.manual_seed(trial.seed)
    channels, size, _ = data.image_shape
    n_classes, n_mixed = len(data.class_names), trial.n_mixed
    student = build_student(trial.student, n_classes, channels, size).to(memory_format=torch.channels_last)
    align = torch.nn.Linear(student.n_features, n_teacher_features)
    counts = np.bincount(data.train.labels)
    priors = torch.from_numpy(counts), torch.from_numpy(log_prior)
    mixing = Objective(trial, *priors, n_mixed=n_mixed)
    plain = Objective(trial.without_mixing, *priors, n_mixed=0)
    val_set = TensorDataset(torch.from_numpy(_pixels(data.val)), torch.from_numpy(data.val.labels))
    val_loader = DataLoader(val_set, batch_size=500)
    mean, std = _pixel_statistics(data)

    optimizer = torch.optim.SGD(
        [*student.parameters(), *align.parameters()],
        lr=trial.lr,
        momentum=trial.momentum,
        nesterov=True,
        weight_decay=trial.weight_decay,
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, trial.lr, trial.epochs * n_steps, pct_start=0.25, cycle_momentum=False
    )
    for epoch in range(trial.epochs):
        student.train()
        mixes = epoch < trial.mixing_epochs
        for pixels, targets, of_mixed in batches(mixes):
            logits, features = student(((pixels - mean) / std).contiguous(memory_format=torch.channels_last))
            losses = (mixing if mixes else plain)(logits, align(features), targets, of_mixed)
            optimizer.zero_grad()
            losses["total"].backward()
            optimizer.step()
            schedule.step()
        student.eval()
        with torch.no_grad():
            predicted = [student((images - mean) / std)[0].argmax(dim=1) for images, _ in val_loader]
        on_val = count_classes(torch.cat(predicted).numpy(), data.val.labels, n_classes)
        yield balanced_accuracy(on_val)


def search(data: LongTailData, *, space_name: str, trials: int, epochs: int, seed: int, out: Path) -> tune.ResultGrid:
    """Prepare the teacher and run the search, one trial a core."""
    teacher_state, log_prior = fit_teacher(data)
    settings = settings_of(data, epochs, seed)
    # Ray pickles the searcher: a function of the module, not one of this call.
    suggest = partial(suggest_knobs, space_name=space_name, settings=settings)
    trainable = tune.with_parameters(train, data=data, teacher_state=teacher_state, log_prior=log_prior)
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"cpu": 1}),
        tune_config=tune.TuneConfig(
            search_alg=OptunaSearch(suggest, metric="val_balanced_accuracy", mode="max", seed=seed),
            metric="val_balanced_accuracy",
            mode="max",
            num_samples=trials,
            max_concurrent_trials=os.cpu_count(),
        ),
        run_config=tune.RunConfig(storage_path=str(out)),
    )
    return tuner.fit()


def search_parser(module: str, what: str) -> argparse.ArgumentParser:
    """The flags of a peer's search: data, space, budget and seed."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=what)
    parser.add_argument("--data", default="digits_lt", help="default: %(default)s")
    parser.add_argument("--data-root", default="data", type=Path, help="default: %(default)s")
    parser.add_argument(
        "--space", default="acckd_core", help="a space of method acckd with mixup (default: %(default)s)"
    )
    parser.add_argument("--trials", type=int, default=4, help="default: %(default)s")
    parser.add_argument("--epochs", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the search; return 1 where a trial failed."""
    parser = search_parser("benchmarks.peer_script", (__doc__ or "").split("\n")[0])
    parser.add_argument("--out", default="~/ray_results", type=Path, help="Ray's folder (default: %(default)s)")
    args = parser.parse_args(argv)
    data = load_data(parse_data(args.data), data_root=args.data_root.absolute())
    init(address="local", include_dashboard=False, log_to_driver=False)
    out = args.out.expanduser().absolute()
    results = search(data, space_name=args.space, trials=args.trials, epochs=args.epochs, seed=args.seed, out=out)
    if results.num_errors:
        print(f"error: {results.num_errors} of {len(results)} trials failed: {results.errors[0]}", file=sys.stderr)
        return 1
    best = results.get_best_result()
    print(f"best balanced accuracy on val {best.metrics['val_balanced_accuracy']:.4f} with {best.config}")
    return 0


def settings_of(data: LongTailData, epochs: int, seed: int) -> dict[str, Any]:
    """Return what all trials share: the training settings of the data set's default recipe, as a study has them."""
    return data.spec.info.recipe().training | {"epochs": epochs, "seed": seed}


def suggest_knobs(trial: optuna.Trial, space_name: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Ask for every knob (Ray takes those from the trial); return what every trial shares."""
    space = get_space(space_name)
    space.suggest(trial)
    return {**space.config({}), **settings}


def _mixed_pairs(
    loader: DataLoader[tuple[Tensor, Tensor]], n_classes: int, alpha: float
) -> Iterator[tuple[Tensor, Tensor]]:
    """Halves of each balanced batch, mixed by mixup, with their mixed labels."""
    beta = torch.distributions.Beta(alpha, alpha)
    for images, labels in loader:
        share = beta.sample((len(images) // 2,))
        (first, second), one_hot = images.chunk(2), torch.nn.functional.one_hot(labels, n_classes).float().chunk(2)
        rows, pixels = share[:, None], share[:, None, None, None]
        yield pixels * first + (1 - pixels) * second, rows * one_hot[0] + (1 - rows) * one_hot[1]


def fit_teacher(data: LongTailData) -> tuple[TeacherState, np.ndarray]:
    """The embedded teacher's probe, fitted on un-augmented images, and its log prior on D_val."""
    spec = TeacherSpec()
    file = check_teacher(spec)
    size = spec.input_size(file, *data.image_shape[1:])
    backbone = build_backbone(file, size=size)
    train_features, val_features = extract(backbone, _pixels(data.train)), extract(backbone, _pixels(data.val))
    n_classes = len(data.class_names)
    # The probe expects views: here each image is its own only view.
    probe = fit_probe(train_features[:, None], data.train.labels, val_features, data.val.labels, n_classes=n_classes)
    return probe.state(name=spec.name, size=size), teacher_log_prior(probe.logits(val_features), data.val.labels)


def _pixels(images: object) -> NDArray[np.uint8]:
    """Images uint8 (N, Ch, H, W); the script is for sets that are arrays."""
    assert isinstance(images, ImageSet), "the peer reads digits_lt and fashion_mnist_lt"
    return images.images


def _pixel_statistics(data: LongTailData) -> tuple[Tensor, Tensor]:
    pixels = _pixels(data.train).astype(np.float32)
    shape = (1, -1, 1, 1)
    return (
        torch.from_numpy(pixels.mean(axis=(0, 2, 3))).view(shape),
        torch.from_numpy(pixels.std(axis=(0, 2, 3))).view(shape),
    )


if __name__ == "__main__":
    sys.exit(main())
