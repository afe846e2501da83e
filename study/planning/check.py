"""Judge a command line before Ray starts and before anything is written: all faults at once, or a Checked study."""

import argparse
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from search_spaces import SearchSpace
from study.planning.checked import Checked, check_plan, check_teacher_fit, watched_load
from study.planning.parser import read_flags
from study.planning.plan import CONFIRM_TOP, FINALISTS, OPTIONS, SAMPLER, StudyPlan, address_fault, longer_fault
from study.planning.points.points_file import PlacedPoints, read_points
from study.planning.readers import (
    check_device,
    read_augment,
    read_folder,
    read_gpus,
    read_guards,
    read_objectives,
    read_overrides,
    read_path,
    read_precision,
    read_storage,
    study_folder,
)
from study.planning.spaces import (
    corner_configs,
    name_faults,
    read_space,
    shared_settings,
    with_references,
)
from study.planning.tail_subsets import judged_cuts, recut_faults
from study.planning.warm_start import read_warm_start
from study.strategy.objectives import SECONDS
from study.strategy.samplers import SAMPLERS
from study.strategy.search_settings import limit_text, most_trials
from study.terminal.faults import Faults
from trainables.cckd.config import TrialConfig, reference_of
from trainables.cckd.data.images.sets import DataUnavailableError
from trainables.cckd.data.shared_images import SharedImages
from trainables.cckd.data.spec import DataSpec, parse_data
from trainables.cckd.data.splits import resolve_split
from trainables.cckd.errors import UsageError
from trainables.cckd.methods import METHODS, OWN
from trainables.cckd.students.cifar_sizes import N_BLOCKS
from trainables.cckd.teacher.contamination import imagenet_labels
from trainables.cckd.teacher.fit.class_order import check_order, output_names
from trainables.cckd.teacher.spec import NATURAL, TeacherSpec, check_teacher

DEFAULT_DATA = "fashion_mnist_lt"
FALLBACK_DATA = "digits_lt"

#: Fields of the teacher that name a file -> what it must be.
_TEACHER_FILES = {
    "weights": "a file of weights",
    "embeddings": "a safetensors or npz file of class embeddings",
    "classes": f"{NATURAL} or a text file with a class per line",
}


def check(args: argparse.Namespace, unknown: Sequence[str] = ()) -> Checked:
    """Turn parsed arguments into a Checked study; reads data (and may download it), writes nothing of ours.

    Raises:
        UsageError: with every fault of one of three steps: each value by itself and flags beside each other; the
            resolved plan beside its space, which needs sound values; the data, since finding them can take a download.
    """
    faults = Faults()
    if unknown:
        faults.add(f"unknown arguments: {shlex.join(unknown)}; --help lists the flags")
    given = read_flags(args, OPTIONS, faults)
    asked = {option.key: option.default for option in OPTIONS.values()} | given
    space, spec, teacher_file = None, None, None
    with faults.gather():
        space = read_space(asked["space"])
    with faults.gather():
        spec = parse_data(DEFAULT_DATA if args.data is None else args.data)
        resolve_split(spec.info, asked["split"])
        spec.info.recipe(asked["recipe"])
    with faults.gather():
        teacher = _teacher(asked)
        if args.teacher_folds is not None and teacher.targets != "out_of_fold":
            faults.add(f"--teacher-folds goes with --teacher-targets out_of_fold; got {teacher.targets!r}")
        teacher_file = check_teacher(teacher)
    data_name = DEFAULT_DATA if args.data is None else args.data.partition(":")[0]
    folder = study_folder(args.out, args.name, space.name if space else "study", data_name, faults)
    points = read_points(given["points"], space, faults) if space and "points" in given else {}
    by_space, by_set = shared_settings(space), read_overrides(asked["overrides"], space, faults)
    if "augment" in given:
        by_set |= read_augment(given["augment"], by_set, space, faults)
    asked |= {
        "overrides": by_space | by_set,
        "guards": read_guards(asked["guards"], faults),
        "second_objective": read_objectives(asked["second_objective"], faults),
        "data_root": str(read_folder("--data-root", asked["data_root"], faults)),
        "storage": None if args.storage is None else read_storage(args.storage, faults, folder.name),
        "points": tuple(points.values()),
    }
    if "warm_start" in given:
        what = "a study folder or a file of study.ingest"
        asked["warm_start"] = read_path("--warm-start", what, given["warm_start"], faults)
    _check_combinations(asked, faults)
    if spec is not None:
        faults.found += recut_faults(spec, data_seeds=asked["data_seeds"], confirm_seeds=asked["confirm_seeds"])
    faults.raise_any()
    assert space is not None, "a missing part is a fault"
    assert spec is not None, "a missing part is a fault"
    assert teacher_file is not None, "a missing part is a fault"

    asked_space = space  # without the references of a recipe, which are those of the set that is loaded
    try:
        resolved = _plan(asked, given, asked_space, spec)
        plan, space, batch_size = _judged(resolved, asked_space, asked["space"], points, faults)
        data = watched_load(plan)
    except DataUnavailableError as error:
        if args.data is not None:
            raise
        # The default set cannot be loaded, and none was named.
        fallback = replace(
            _plan(asked, given, asked_space, parse_data(FALLBACK_DATA)),
            fallback_from=str(spec),
            fallback_reason=error.faults[0],
        )
        plan, space, batch_size = _judged(fallback, asked_space, asked["space"], points, faults)
        data = watched_load(plan)
        if args.name is None:
            folder = folder.with_name(folder.name.replace(DEFAULT_DATA, FALLBACK_DATA))
    if batch_size > len(data.train):
        raise UsageError(
            f"batch_size must not exceed the {len(data.train)} training images of {plan.data}; got {batch_size}"
        )
    if plan.student not in N_BLOCKS:  # ours can be trained on all images, and torch takes seconds to import
        from trainables.cckd.students.build import try_student

        channels, height, _ = data.image_shape
        methods = (space.method, *plan.ladder, *plan.tuned_baselines)
        try_student(
            plan.student,
            len(data.class_names),
            channels,
            height,
            cosine_scale=max(float(METHODS[method].get("cosine_scale", 0.0)) for method in methods),
            needs_bias=plan.training_in(space).get("prediction_prior") == "uniform",
            statistics_rule=_statistics_rule(plan, space),
        )
    for own in OWN:
        from trainables.cckd.losses.own_loss import check_own_loss

        check_own_loss(own, TrialConfig.build({"method": own.name}), data.counts)
    begun = Checked(plan, space, data, teacher_file, folder, origins=_origins(plan, given, by_space, by_set))
    checked = replace(
        begun,
        outputs=output_names(plan.teacher, data.class_names),
        warm=read_warm_start(plan, space, data, begun.image_store),
        embeddings=check_teacher_fit(plan.teacher, teacher_file, data),
    )
    images = SharedImages({"D_val": data.val, "test": data.test})
    cuts = judged_cuts(plan, data, images)
    in_train = {("train", judged): n for judged, n in images.in_training(data.train).items()}
    shared = in_train | images.among_judged()
    checked = replace(checked, cuts=cuts.hashes, shared=shared, shared_cuts=cuts.shared)
    unsure = check_order(checked.teacher, teacher_file, checked.teacher_size, data.train, data.class_names)
    return replace(checked, order_unsure=unsure) if unsure else checked


def _teacher(asked: Mapping[str, Any]) -> TeacherSpec:
    """Return the teacher that was asked for, with absolute paths.

    Raises:
        UsageError: a path is empty.
    """
    given = {item.name: asked[f"teacher_{item.name}"] for item in fields(TeacherSpec)}
    faults = Faults()
    paths = {
        key: read_path(f"--teacher-{key}", what, given[key], faults)
        for key, what in _TEACHER_FILES.items()
        if given[key] is not None and (key, given[key]) != ("classes", NATURAL)
    }
    faults.raise_any()
    return TeacherSpec(**given | paths)


def _sampler(asked: Mapping[str, Any]) -> str:
    """Return the sampler that was asked for, or the one that the other flags call for."""
    stops = asked["pruner"] not in (None, "none")
    learns = stops or asked["second_objective"] or asked["guards"] or asked["warm_start"]
    return str(asked["sampler"] or SAMPLER[bool(learns)])


def _check_combinations(asked: Mapping[str, Any], faults: Faults) -> None:
    """Judge flags that do not go together."""
    sampler, second, stops = _sampler(asked), asked["second_objective"], asked["pruner"] not in (None, "none")
    if SAMPLERS[sampler].always_spread and stops:
        faults.add(f"--pruner must be none with --sampler {sampler}, whose trials all run; got {asked['pruner']!r}")
    if second and stops:
        faults.add(f"--pruner must be none with two objectives, which no early value tells; got {asked['pruner']!r}")
    if second and asked["finalists"]:
        faults.add(f"--finalists must be 0 with two objectives: the front's knee is best1; got {asked['finalists']}")
    if second == SECONDS and asked["warm_start"]:
        faults.add("--warm-start does not go with --objectives all,seconds: seconds there are not seconds here")
    if asked["guards"] and not SAMPLERS[sampler].tries_reference:
        faults.add(f"--guard compares with the reference point, which --sampler {sampler} does not try; choose another")
    if asked["warm_start"] and not SAMPLERS[sampler].learns:
        learners = ", ".join(name for name, kind in SAMPLERS.items() if kind.learns)
        faults.add(f"--warm-start needs a sampler that learns, one of {learners}; got {sampler!r}")
    check_device(asked, faults)
    faults.found += name_faults(asked["ladder"], asked["tuned_baselines"])
    if wrong := longer_fault(asked["epochs_factor"], asked["confirm_seeds"]):
        faults.add(wrong)
    if wrong := address_fault(asked["address"]):
        faults.add(wrong)


def _plan(asked: Mapping[str, Any], given: Mapping[str, Any], space: SearchSpace, spec: DataSpec) -> StudyPlan:
    """Build the plan: what was asked, and what follows from the space, the data set's recipe and the hardware."""
    recipe = spec.info.recipe(asked["recipe"])
    settings = recipe.training
    by_recipe = {key: settings.pop(key) for key in ("student", "epochs")}
    by_recipe |= {key: getattr(recipe, key) for key in ("teacher_size", "teacher_views")}
    asked = {**asked, **by_recipe, **{key: given[key] for key in by_recipe if key in given}}
    two = asked["second_objective"] is not None
    trials, gpus = asked["trials"] or space.default_trials, read_gpus(asked)
    device, sampler = "cuda" if gpus else "cpu", _sampler(asked)
    kind = SAMPLERS[sampler]
    resolved = {
        "space": space.name,
        "data": str(spec),
        "teacher": _teacher(asked),
        "trials": trials,
        "recipe": recipe.name,
        "recipe_settings": settings,
        "sampler": sampler,
        "n_sobol": max(0, kind.n_spread(trials - len(asked["points"]))),
        "pruner": asked["pruner"] or ("none" if two or kind.always_spread else "median"),
        "finalists": FINALISTS[two] if asked["finalists"] is None else asked["finalists"],
        "confirm_top": asked["confirm_top"] or CONFIRM_TOP[two],
        "device": device,
        "gpus_per_trial": gpus,
        "precision": read_precision(asked, device),
    }
    plain = {key: value for key, value in asked.items() if not key.startswith("teacher_")}
    return StudyPlan(**plain | resolved)


def _judged(
    plan: StudyPlan, space: SearchSpace, source: str, points: PlacedPoints, faults: Faults
) -> tuple[StudyPlan, SearchSpace, int]:
    """Judge a plan that is built; return it, the space with the recipe's references, and the largest batch.

    `source` is the text of `--space`, for messages.

    Raises:
        UsageError: with every fault found so far.
    """
    space = with_references(space, plan.recipe_settings)
    batch_size = _check_settings(plan, space, source, faults)
    _check_contamination(plan, faults)
    check_plan(plan, space, faults, points)
    faults.raise_any()
    return plan, space, batch_size


def _check_contamination(plan: StudyPlan, faults: Faults) -> None:
    """Judge whether the teacher has learned the labels of the data set's own images."""
    spec = parse_data(plan.data)
    tag = imagenet_labels(plan.teacher) if spec.of_imagenet and not plan.allow_contaminated_teacher else None
    if tag:
        faults.add(
            f"the teacher must not have learned the labels of the data set's own images; {plan.teacher.name} ({tag}) "
            f"learned ImageNet's, and {spec.name} is cut from ImageNet; choose a teacher of other images, or give "
            "--allow-contaminated-teacher, which stamps every table"
        )


def _check_settings(plan: StudyPlan, space: SearchSpace, source: str, faults: Faults) -> int:
    """Judge whether the corners of the space build, and whether the trials fit.

    Returns:
        The largest batch of any trial; 0 where a corner does not build.
    """
    batch_size = 0
    with faults.gather():
        # The configurations a trial can have, each knob at its ends.
        shared = plan.fixed_knobs | plan.training_in(space)
        batch_size = max(config.batch_size for config in corner_configs(space, shared, source))
    if plan.student not in N_BLOCKS:
        from trainables.cckd.students.build import check_student

        with faults.gather():
            check_student(plan.student)
    most = most_trials(plan.sampler, space)
    if plan.trials - len(plan.points) > most:
        limit = limit_text(plan.sampler, most, len(plan.points))
        faults.add(f"--trials must not exceed {limit}; got {plan.trials}")
    return batch_size


def _statistics_rule(plan: StudyPlan, space: SearchSpace) -> str | None:
    """Say how a study chooses `mix_statistics`, which acts through BatchNorm; None where the default stays."""
    if "mix_statistics" in space.distributions:
        return f"mix_statistics, which space {space.name} searches,"
    chosen = {**space.fixed, **plan.overrides}.get("mix_statistics", reference_of("mix_statistics"))
    return None if chosen == reference_of("mix_statistics") else f"mix_statistics={chosen}"


def _origins(
    plan: StudyPlan, given: Mapping[str, Any], by_space: Mapping[str, Any], by_set: Mapping[str, Any]
) -> dict[str, str]:
    """Say of each value that a recipe can give where it comes from: a flag, `--set`, the space or the recipe."""
    recipe = parse_data(plan.data).info.recipe(plan.recipe)
    found = {}
    for key in (*plan.training, "teacher_views", "teacher_size"):
        if key in given:
            found[key] = OPTIONS[key].spelled
        elif key in by_set:
            found[key] = "--set"
        elif key in by_space:
            found[key] = f"space {plan.space}"
        elif key == "teacher_size" and recipe.teacher_size is None:
            found[key] = "default: the model's own for these images"
        else:
            found[key] = f"recipe: {recipe.source_of(key)}"
    return found
