"""Judge a command line before Ray starts and before anything is written: all faults at once, or a Checked study."""

import argparse
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from search_spaces.space import SearchSpace
from study.execution.cluster import address_fault
from study.planning.baseline_spaces import check_baselines
from study.planning.data_loading import watched_load
from study.planning.flags import check_device, read_gpus, read_numbers, read_overrides, read_precision
from study.planning.folders import absolute, read_storage, study_folder
from study.planning.parser import baseline_names
from study.planning.plan import PRUNERS, SAMPLERS, StudyPlan
from study.planning.spaces import corner_points, read_space, shared_settings
from study.planning.tail_subsets import cut_hashes, recut_faults
from study.planning.warm_start import LEARNERS, WarmStart, read_warm_start
from study.strategy.guards import classes_of, read_guards
from study.strategy.objectives import N_CONFIRMED, SECONDS, read_objectives
from study.strategy.samplers import grid_size
from study.terminal.faults import Faults
from trainables.cckd.config import TrialConfig
from trainables.cckd.data.images.memory_choice import DataPath, check_path, choose_path
from trainables.cckd.data.images.sets import DataUnavailableError
from trainables.cckd.data.load import LongTailData
from trainables.cckd.data.spec import DataSpec, parse_data
from trainables.cckd.data.splits import resolve_split
from trainables.cckd.errors import UsageError
from trainables.cckd.methods import LADDER
from trainables.cckd.precision import PRECISIONS
from trainables.cckd.teacher.check import check_fit
from trainables.cckd.teacher.embeddings import ClassEmbeddings
from trainables.cckd.teacher.spec import TeacherSpec, check_teacher
from trainables.cckd.teacher.teacher_file import TeacherFile

DEFAULT_DATA = "fashion_mnist_lt"
FALLBACK_DATA = "digits_lt"
#: Of flags that take one of a few words.
_CHOICES = {
    "sampler": SAMPLERS,
    "pruner": PRUNERS,
    "device": ("auto", "cpu", "cuda"),
    "precision": ("auto", *PRECISIONS),
}


@dataclass(frozen=True)
class Checked:
    """A study that can start: its plan, space, data, teacher and the folder it will make.

    `cuts` holds the SHA-256 of the data set with each cut of the long tail, the study's own first; empty where nobody
    confirms on other cuts.
    """

    plan: StudyPlan
    space: SearchSpace
    data: LongTailData
    teacher: TeacherSpec
    teacher_file: TeacherFile
    folder: Path
    embeddings: ClassEmbeddings | None = None
    cuts: tuple[str, ...] = ()
    warm: WarmStart | None = None

    def sha256_of(self, subset: str) -> str:
        """What the teacher's features of a set are filed under: D_val and test are the same for every cut."""
        return self.cuts[0] if self.cuts and subset != "train" else self.data.sha256

    @property
    def teacher_size(self) -> int:
        """Side of the teacher's input, pixels."""
        return self.teacher.input_size(self.teacher_file, *self.data.image_shape[1:])

    @property
    def data_path(self) -> DataPath:
        """Whether images are held in memory or streamed from their files."""
        return choose_path((self.data.train, self.data.val, self.data.test), self.plan.data_path)


def check(args: argparse.Namespace, unknown: Sequence[str] = ()) -> Checked:
    """Turn parsed arguments into a Checked study; reads data (and may download it), writes nothing of ours.

    Raises:
        UsageError: with every fault found. Faults of the data come last, since finding data can take a download.
    """
    faults = Faults()
    if unknown:
        faults.add(f"unknown arguments: {shlex.join(unknown)}; --help lists the flags")
    numbers = read_numbers(args, faults)
    second = read_objectives(args.objectives, faults)
    for flag, choices in _CHOICES.items():
        if getattr(args, flag) not in (None, *choices):
            faults.add(f"--{flag} must be one of {', '.join(choices)}; got {getattr(args, flag)!r}")

    space: SearchSpace | None = None
    spec: DataSpec | None = None
    teacher: TeacherSpec | None = None
    teacher_file: TeacherFile | None = None
    with faults.gather():
        space = read_space(args.space)
    with faults.gather():
        spec = parse_data(DEFAULT_DATA if args.data is None else args.data)
        resolve_split(spec.info, args.split)
    with faults.gather():
        check_path(args.data_path)
    with faults.gather():
        teacher = TeacherSpec(
            name=args.teacher,
            form=args.teacher_form,
            size=numbers["teacher_size"],
            views=numbers["teacher_views"] or 1,
            prior=args.teacher_prior,
            prior_smoothing=numbers["teacher_prior_smoothing"] or 0.0,
            weights=args.teacher_weights and str(absolute(args.teacher_weights)),
            embeddings=args.teacher_embeddings and str(absolute(args.teacher_embeddings)),
            targets=args.teacher_targets,
            folds=numbers["teacher_folds"] or TeacherSpec.folds,
        )
        if args.teacher_folds is not None and teacher.targets != "out_of_fold":
            faults.add(f"--teacher-folds goes with --teacher-targets out_of_fold; got {args.teacher_targets!r}")
        teacher_file = check_teacher(teacher)
    overrides = shared_settings(space) | read_overrides(args.overrides, space, faults)
    data_name = DEFAULT_DATA if args.data is None else args.data.partition(":")[0]
    if second and args.pruner not in (None, "none"):
        faults.add(f"--pruner must be none with two objectives, which no early value tells; got {args.pruner!r}")
    if second and numbers["finalists"]:
        faults.add(f"--finalists must be 0 with two objectives: the front's knee is best1; got {numbers['finalists']}")
    if second == SECONDS and args.warm_start:
        faults.add("--warm-start does not go with --objectives all,seconds: seconds there are not seconds here")
    guards = read_guards(args.guards, faults)
    if guards and args.sampler == "grid":
        faults.add("--guard compares with the reference point, which --sampler grid does not try; choose another")
    if args.warm_start and args.sampler not in LEARNERS:
        faults.add(f"--warm-start needs a sampler that learns, one of {', '.join(LEARNERS)}; got {args.sampler!r}")
    folder = study_folder(args, space.name if space else "study", data_name, faults)
    check_device(args, numbers["gpus_per_trial"], numbers["trials_per_process"], faults)
    if wrong := address_fault(args.address):
        faults.add(wrong)
    if numbers["cpus_per_trial"] == 0 and not numbers["gpus_per_trial"]:
        faults.add("--cpus-per-trial must be above 0 where --gpus-per-trial is not; got 0")
    if spec is not None and None not in (numbers["data_seeds"], numbers["confirm_seeds"]):
        wanted = {name: numbers[name] for name in ("data_seeds", "confirm_seeds")}
        faults.found += recut_faults(spec, **wanted)
    faults.raise_any()
    assert space is not None, "a missing part is a fault"
    assert spec is not None, "a missing part is a fault"
    assert teacher is not None, "a missing part is a fault"
    assert teacher_file is not None, "a missing part is a fault"

    plan = _plan(args, numbers, space, spec, teacher, overrides, second)
    plan = replace(plan, guards=guards, tuned_baselines=baseline_names(args.tuned_baselines))
    _check_settings(plan, space, faults)
    check_baselines(plan, space, faults)
    faults.raise_any()
    plan, data = _load(plan, spec, args)
    if plan.fallback_from and args.name is None:
        folder = folder.with_name(folder.name.replace(DEFAULT_DATA, FALLBACK_DATA))
    batch_size = max(config.batch_size for config in _corner_configs(plan, space))
    if batch_size > len(data.train):
        raise UsageError(
            f"batch_size must not exceed the {len(data.train)} training images of {plan.data}; got {batch_size}"
        )
    choose_path((data.train, data.val, data.test), plan.data_path)  # for its refusal
    warm = read_warm_start(plan, space, data)
    if second and second != SECONDS:
        classes_of(second, data.groups.to_dict(), "--objectives all,")  # for its refusal
    for group in guards:
        classes_of(group, data.groups.to_dict(), "--guard ")  # for its refusal
    embeddings = check_teacher_fit(teacher, teacher_file, data)
    return Checked(plan, space, data, teacher, teacher_file, folder, embeddings, cut_hashes(plan, data), warm)


def check_teacher_fit(teacher: TeacherSpec, file: TeacherFile, data: LongTailData) -> ClassEmbeddings | None:
    """Hold the teacher against the data's classes; return the class embeddings of a zero_shot teacher."""
    return check_fit(
        teacher, file, class_names=data.class_names, counts=data.counts, val_labels=np.asarray(data.val.labels)
    )


def _plan(
    args: argparse.Namespace,
    numbers: dict[str, Any],
    space: SearchSpace,
    spec: DataSpec,
    teacher: TeacherSpec,
    overrides: dict[str, Any],
    second: str | None,
) -> StudyPlan:
    trials = numbers["trials"] or space.default_trials
    gpus = read_gpus(args, numbers["gpus_per_trial"], numbers["trials_per_process"])
    device = "cuda" if gpus else "cpu"
    return StudyPlan(
        space=space.name,
        data=str(spec),
        data_root=str(absolute(args.data_root)),
        split=args.split,
        teacher=teacher.name,
        teacher_form=teacher.form,
        teacher_size=teacher.size,
        teacher_views=teacher.views,
        teacher_weights=teacher.weights,
        teacher_embeddings=teacher.embeddings,
        teacher_prior=teacher.prior,
        teacher_prior_smoothing=teacher.prior_smoothing,
        teacher_targets=teacher.targets,
        teacher_folds=teacher.folds,
        student=args.student,
        trials=trials,
        epochs=numbers["epochs"] or spec.info.default_epochs,
        sampler=args.sampler,
        n_sobol=trials // 2 if args.sampler == "sobol+tpe" else 0,
        second_objective=second,
        pruner=args.pruner or ("none" if second else "median"),
        finalists=_or(numbers["finalists"], 0 if second else 5),
        finalist_seeds=numbers["finalist_seeds"],
        confirm_top=_or(numbers["confirm_top"], N_CONFIRMED if second else 1),
        confirm_seeds=numbers["confirm_seeds"],
        data_seeds=numbers["data_seeds"],
        seed=numbers["seed"],
        device=device,
        precision=read_precision(args, device),
        address=args.address,
        cpus_per_trial=numbers["cpus_per_trial"],
        gpus_per_trial=gpus,
        max_concurrent=numbers["max_concurrent"],
        trials_per_process=numbers["trials_per_process"],
        max_retries=numbers["max_retries"],
        max_failures=numbers["max_failures"],
        trial_timeout=numbers["trial_timeout"],
        storage=None if args.storage is None else read_storage(args.storage, Faults()),
        warm_start=args.warm_start and str(absolute(args.warm_start)),
        verbose=args.verbose,
        skip_corrupt=args.skip_corrupt,
        data_path=args.data_path,
        overrides=overrides,
    )


def _or(given: int | None, default: int) -> int:
    return default if given is None else given


def _check_settings(plan: StudyPlan, space: SearchSpace, faults: Faults) -> None:
    """Would the space's points, to its corners, and every rung of the ladder build? Is the grid large enough?"""
    with faults.gather():
        _corner_configs(plan, space)
    if not faults.found:
        for rung in LADDER:
            TrialConfig.build({"method": rung, **plan.training})
    if plan.student != "resnet8_cifar":
        from trainables.cckd.students.build import check_student

        with faults.gather():
            check_student(plan.student)
    if plan.sampler == "grid" and plan.trials > grid_size(space):
        faults.add(f"--trials must not exceed the grid's {grid_size(space)} points; got {plan.trials}")


def _corner_configs(plan: StudyPlan, space: SearchSpace) -> list[TrialConfig]:
    """The configurations a trial can have, each knob at its ends.

    Raises:
        ConfigError: with the faults of the first point that has any.
    """
    return [TrialConfig.build(space.config(point) | plan.fixed_knobs | plan.training) for point in corner_points(space)]


def _load(plan: StudyPlan, spec: DataSpec, args: argparse.Namespace) -> tuple[StudyPlan, LongTailData]:
    """Load the data; where the default set cannot be had and none was named, fall back to digits_lt."""
    root = Path(plan.data_root)
    try:
        return plan, watched_load(spec, data_root=root, split=plan.split, skip_corrupt=plan.skip_corrupt)
    except DataUnavailableError as error:
        if args.data is not None:
            raise
        reason = error.faults[0]
    digits = parse_data(FALLBACK_DATA)
    epochs = digits.info.default_epochs if args.epochs is None else plan.epochs
    plan = replace(plan, data=str(digits), epochs=epochs, fallback_from=str(spec), fallback_reason=reason)
    return plan, watched_load(digits, data_root=root, split=plan.split)
