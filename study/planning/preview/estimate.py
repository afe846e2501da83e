"""How long a study takes: an estimate from numbers of steps and a step that was timed here, or its multiply-adds.

Of a study that was begun, what is missing takes as long as its trials took before, where some have ended.
"""

from dataclasses import dataclass, replace
from functools import cache
from math import inf

from study.measured.machine import this_machine
from study.measured.step_times import kept_time
from study.planning.checked import Checked
from study.planning.cores import allotted_cores, image_workers
from study.planning.plan import LOCAL, StudyPlan
from study.terminal.progress import duration, size_on_disk
from trainables.cckd.data.store.store_cost import store_cost
from trainables.cckd.errors import UsageError
from trainables.cckd.precision import StepTime, faster_precision
from trainables.cckd.recipe import QUICK
from trainables.cckd.students.speed import multiply_adds, step_seconds
from trainables.cckd.teacher.fit.fit_cost import fit_products, products_per_second
from trainables.cckd.teacher.weights import EMBEDDED

#: A study that takes longer than this starts only with --yes-long.
LONG_S = 24 * 3600.0

#: How the time of a study that was begun is found, in words.
_BY_TRIALS = "by the pace of its trials"

#: Core seconds of the embedded teacher for an image of 96 x 96 pixels, on an AMD EPYC core with AVX-512; they grow with
#: the area.
_TEACHER_S = 0.007
_TEACHER_PIXELS = 96 * 96

#: Multiply-adds of a probe's fit from which on its speed here is sampled; about 20 s of an AMD EPYC core. A shorter fit
#: is not worth a line.
_SAMPLED_PRODUCTS = 1e12
_SHORTEST_FIT_S = 60.0


@dataclass(frozen=True)
class Work:
    """What is to be computed.

    Attributes:
        epochs: of all students together.
        own_cut: whether the teacher has yet to see the study's own cut of the long tail, with D_val and test set.
        further_cuts: number of further cuts that it has yet to see.
        epoch_s: seconds of an epoch, as trials of the study took them; None where an estimate stands for them.
        at_once: trials that ran at a time meanwhile; None where this machine's workers are counted.
        kept_epochs: those of selection and confirmation among the epochs, which --max-hours never leaves out.
    """

    epochs: float
    own_cut: bool
    further_cuts: int
    epoch_s: float | None = None
    at_once: int | None = None
    kept_epochs: float = 0.0

    @property
    def kept(self) -> "Work":
        """What --max-hours never leaves out: the teacher, selection and confirmation."""
        return replace(self, epochs=self.kept_epochs)

    @property
    def is_nothing(self) -> bool:
        """Whether nothing is left to train."""
        return not (self.epochs or self.further_cuts)


def whole_work(checked: Checked) -> Work:
    """Return all that a study computes, if each epoch costs as much as one of the reference method."""
    plan = checked.plan
    n_searches = 1 + len(plan.tuned_baselines)
    n_trials = n_searches * plan.n_tuning_runs + plan.closing_cost(checked.space)
    n_kept = n_searches * plan.n_selection_runs + plan.n_confirm_runs
    return Work(
        n_trials * plan.epochs, own_cut=True, further_cuts=plan.data_seeds - 1, kept_epochs=n_kept * plan.epochs
    )


def estimate_lines(checked: Checked) -> list[str]:
    """Say how long the students train, and how long the teacher takes where its speed is known."""
    plan, work, workers = checked.plan, whole_work(checked), workers_here(checked.plan)
    one = "one GPU's" if plan.device == "cuda" else "one core's"
    here = "divided by your workers" if workers is None else f"{_hours(checked, work)} on {_workers(workers)} here"
    lines = [f"about {duration(_student_s(checked, work))} of {one} student training; {here}"]
    if checked.teacher.name == EMBEDDED:
        passes_s = duration(_teacher_s(checked, work))
        lines.append(f"about {passes_s} of one core's teacher passes, none where they are cached")
    if (fit_s := _fit_s(checked, work)) > _SHORTEST_FIT_S:
        cuts = "s, one per cut," if plan.data_seeds > 1 else ""
        lines.append(
            f"about {duration(fit_s)} of the teacher's fit{cuts} at this machine's speed, none where it is cached"
        )
    return lines


def store_lines(checked: Checked) -> list[str]:
    """Say where the study's image store lies and what it still takes, from a timed sample; nothing where there is none.

    Without a store for images that are streamed, say that each use decodes an original.
    """
    store = checked.image_store
    if store is None:
        return ["none; every use decodes an original"] if checked.data_path.name == "streamed" else []
    cost, builders = store_cost(store, checked.data.image_files), image_workers()
    lines = [f"{store.folder}, shorter side {store.shorter} px"]
    if cost.n_unshrunk:
        lines.append(f"{cost.n_unshrunk:,} images are not larger and stay in their files")
    if not cost.n_absent:
        return [*lines, f"all {cost.n_images:,} images are there"]
    cores = "1 core" if builders == 1 else f"{builders} cores"
    return [
        *lines,
        f"{cost.n_absent:,} of {cost.n_images:,} images to make: about {size_on_disk(cost.n_bytes)} and "
        f"{duration(cost.seconds / builders)} on {cores} here; {size_on_disk(store.free_bytes)} are free there",
    ]


def expected(checked: Checked, missing: Work | None = None) -> str:
    """Say how long the study will take on these workers, and what would be shorter.

    Args:
        checked: the study.
        missing: of one that was begun, what it lacks; None for a new one.
    """
    plan, work = checked.plan, _work(checked, missing)
    if work.is_nothing:
        return "nothing is left to train"
    workers, lacks = _at_once(checked, work), "" if missing is None else " for what is missing"
    found = "by a step that was timed here" if step_time_here(checked) else "an estimate"
    if work.epoch_s is not None:
        found = _BY_TRIALS
    shorter = "" if missing is not None or plan.recipe == QUICK else "; --recipe quick is for a first look"
    if workers is None:
        return f"about {duration(_student_s(checked, work))} of one worker's training{lacks}, {found}{shorter}"
    return f"about {_hours(checked, work)}{lacks} on {_workers(workers)}, {found}{shorter}"


def step_time_here(checked: Checked) -> StepTime | None:
    """Return how long a step takes on a core of this machine; None where it was not timed or does not train here."""
    if checked.plan.address != LOCAL or checked.plan.device != "cpu":
        return None
    return kept_time(this_machine(), checked.step_shape)


def limit_note(checked: Checked, missing: Work | None = None) -> str | None:
    """Say how much of --max-hours selection and confirmation take; None without a limit, or where that is not known.

    Args:
        checked: the study.
        missing: of one that was begun, what it lacks; None for a new one.
    """
    work = _work(checked, missing)
    kept_s = _kept_s(checked, work)
    if checked.plan.max_hours is None or not kept_s:
        return None
    over = ", more than these hours" if kept_s > _limit_s(checked.plan) else ""
    return (
        f"--max-hours {checked.plan.max_hours:g} never leaves out selection and confirmation; they take about "
        f"{duration(kept_s)}{over} ({_found(work)})"
    )


def refuse_short_limit(checked: Checked, missing: Work | None = None) -> None:
    """Refuse a --max-hours that selection and confirmation alone exceed: it could not be kept.

    Args:
        checked: the study.
        missing: of one that was begun, what it lacks; None for a new one.

    Raises:
        UsageError: they take longer on this machine. What a cluster offers is not known before it is joined.
    """
    plan, work = checked.plan, _work(checked, missing)
    kept_s = _kept_s(checked, work)
    if kept_s is None or kept_s <= _limit_s(plan):
        return
    choices = ["more hours"] + ["fewer runs"] * (missing is not None)
    if missing is None:
        choices += ["--finalists 0"] * bool(plan.n_selection_runs) + ["fewer --confirm-seeds"] * bool(
            plan.confirm_seeds
        )
        choices += ["--recipe quick"] * (plan.recipe != QUICK)
    raise UsageError(
        f"--max-hours must leave room for selection and confirmation, which are never left out and take about "
        f"{duration(kept_s)} ({_found(work)}); got {plan.max_hours:g}; choices: {', '.join(choices)}"
    )


def refuse_long(checked: Checked, missing: Work | None = None) -> None:
    """Refuse a study that the user may not have meant to be so long; --max-hours ends it, but for what it never cuts.

    Args:
        checked: the study.
        missing: of one that was begun, what it lacks; None for a new one.

    Raises:
        UsageError: it takes more than LONG_S on this machine. What a cluster offers is not known before it is joined.
    """
    work = _work(checked, missing)
    workers, whole_s, kept_s = _at_once(checked, work), _study_s(checked, work), _study_s(checked, work.kept)
    if workers is None or whole_s is None or kept_s is None:
        return
    limit_s = _limit_s(checked.plan)
    if min(whole_s, max(limit_s, kept_s)) <= LONG_S:
        return
    takes = "this one takes" if missing is None else "what is missing of this one takes"
    allowed = f", of which --max-hours allows {limit_s / 3600:g}" if limit_s < whole_s else ""
    limited = f"--max-hours {LONG_S / 3600:g}, " if kept_s <= LONG_S else ""
    shorter = "fewer --trials" if checked.plan.recipe == QUICK else "--recipe quick or fewer --trials"
    if missing is not None:
        shorter = "fewer runs"
    elif (fit_s := _fit_s(checked, work)) > LONG_S / 2:
        shorter += f"; the fit of the teacher takes {duration(fit_s)} of it, none with --teacher-form ncm"
    raise UsageError(
        f"a study of more than {LONG_S / 3600:g} hours needs --yes-long; {takes} about {_hours(checked, work)} on "
        f"{_workers(workers)}, {_found(work)}{allowed}; choices: --yes-long, {limited}{shorter}"
    )


def n_passes(checked: Checked) -> tuple[int, int]:
    """Images that the teacher sees: for the study's own cut with D_val and test set, and for each further cut."""
    data = checked.data
    views = len(data.train) * checked.teacher.views
    judged = len(data.test) if checked.plan.confirm_seeds else 0
    return views + len(data.val) + judged, views


def workers_here(plan: StudyPlan) -> int | None:
    """Return how many trials make progress at a time on this machine; on a cluster only --max-concurrent says it.

    Trials that share a core or a GPU take turns, so it counts once.
    """
    return _fitting(plan, max(plan.cpus_per_trial, 1.0))


def trials_here(plan: StudyPlan) -> int | None:
    """Return how many trials run at a time on this machine, those that share a core too: their pace tells the turns."""
    return _fitting(plan, plan.cpus_per_trial)


def _fitting(plan: StudyPlan, cpus: float) -> int | None:
    """Return how many trials fit this machine if each takes so many cores; a plan of which none fits is refused."""
    if plan.address != LOCAL:
        return plan.max_concurrent
    if plan.device == "cuda":
        import torch

        fitting = int(max(1, torch.cuda.device_count()) / max(plan.gpus_per_trial, 1.0))
    else:
        fitting = int(allotted_cores().n / cpus)
    return min(fitting, plan.max_concurrent or fitting)


def _work(checked: Checked, missing: Work | None) -> Work:
    return whole_work(checked) if missing is None else missing


def _workers(n: int) -> str:
    return "1 worker" if n == 1 else f"{n} workers"


def _at_once(checked: Checked, work: Work) -> int | None:
    return work.at_once or (workers_here if work.epoch_s is None else trials_here)(checked.plan)


def _found(work: Work) -> str:
    return "an estimate" if work.epoch_s is None else _BY_TRIALS


def _limit_s(plan: StudyPlan) -> float:
    return inf if plan.max_hours is None else 3600 * plan.max_hours


def _kept_s(checked: Checked, work: Work) -> float | None:
    """Seconds of selection and confirmation alone; None where this machine's workers are not known."""
    workers = _at_once(checked, work)
    return None if workers is None else _student_s(checked, work.kept) / workers


def _hours(checked: Checked, work: Work) -> str:
    seconds = _study_s(checked, work)
    assert seconds is not None, "the workers are known"
    return duration(seconds)


def _study_s(checked: Checked, work: Work) -> float | None:
    """Seconds on the workers of this machine, None where they are not known."""
    workers = _at_once(checked, work)
    if workers is None:
        return None
    on_cores = checked.teacher.name == EMBEDDED and checked.plan.device == "cpu"
    teacher_s = _teacher_s(checked, work) if on_cores else 0.0
    return (_student_s(checked, work) + teacher_s) / workers + _fit_s(checked, work)


def _teacher_s(checked: Checked, work: Work) -> float:
    own, further = n_passes(checked)
    n_images = own * work.own_cut + further * work.further_cuts
    return n_images * checked.teacher_size**2 / _TEACHER_PIXELS * _TEACHER_S


def _fit_s(checked: Checked, work: Work) -> float:
    """Seconds of the probe's fits on all cores of this machine, one fit per cut of the long tail.

    It is 0 where they are few, where the form is another one, and with a GPU, whose speed is not known here.
    """
    plan, data, spec = checked.plan, checked.data, checked.teacher
    size = checked.teacher_file.n_features, len(data.class_names)
    if spec.form != "linear_probe" or plan.device != "cpu":
        return 0.0
    n_folds = spec.folds if spec.targets == "out_of_fold" else 0
    n_fits = work.own_cut + work.further_cuts
    products = n_fits * fit_products(len(data.train), spec.views, *size, n_folds=n_folds)
    return products / _products_per_second(*size) if products >= _SAMPLED_PRODUCTS else 0.0


_products_per_second = cache(products_per_second)


def _student_s(checked: Checked, work: Work) -> float:
    """Seconds of the students on one core or GPU."""
    return work.epochs * (_epoch_s(checked) if work.epoch_s is None else work.epoch_s)


def _epoch_s(checked: Checked) -> float:
    """Seconds of an epoch of the reference point, the mean over those that mix and those that do not."""
    config = checked.reference
    n_steps = len(checked.data.train) // config.batch_size
    return n_steps * _step_s(checked, config.batch_size + config.mix_until * config.n_mixed)


def _step_s(checked: Checked, n_samples: float) -> float:
    """Seconds of a step, as it was timed here or from its multiply-adds; without the teacher's part, some percent."""
    plan, shape = checked.plan, checked.step_shape
    timed = step_time_here(checked)
    if timed is not None:
        return timed.seconds(plan.precision or faster_precision([timed.gain])) * n_samples / shape.n_samples
    one_image = multiply_adds(shape.student, shape.n_classes, shape.in_chans, shape.image_size)
    return step_seconds(one_image, n_samples, plan.device)
