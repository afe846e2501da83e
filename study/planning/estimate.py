"""What a study will cost, and on which teacher: lines of `--dry-run`. No torch, no Ray."""

import textwrap

from study.planning.check import Checked
from study.terminal.progress import duration
from trainables.cckd.config import TrialConfig
from trainables.cckd.teacher.weights import EMBEDDED

#: Student samples (forward and backward, 28x28) a second and core, resnet8_cifar, measured on an AMD EPYC core
#: with AVX-512; what an estimate rests on, so it is only told as "about".
_SAMPLES_PER_S = 1650.0
_REFERENCE_PIXELS = 28 * 28

#: Core seconds of the embedded teacher for an image of 96 x 96 pixels, on such a core; they grow with the area.
_TEACHER_S = 0.007
_TEACHER_PIXELS = 96 * 96


def teacher_lines(checked: Checked) -> list[str]:
    """Which teacher, and how it is made a target; what stands at its default and changes nothing is left out."""
    spec, embeddings = checked.teacher, checked.embeddings
    smoothed = f", {spec.prior_smoothing:g} of it uniform" if spec.prior_smoothing else ""
    lines = [
        ("teacher", f"{spec.name}, {spec.form}, {checked.teacher_size} px, {spec.views} views an image"),
        *([("weights", spec.weights)] if spec.weights else []),
        *([("embedding", f"of the classes, from {embeddings.source}")] if embeddings else []),
        ("prior", f"{spec.prior}{smoothed}"),
        *([("targets", f"out_of_fold, {spec.folds} folds")] if spec.targets == "out_of_fold" else []),
        ("passes", _passes(checked)),
    ]
    return [_line(label, text) for label, text in lines]


def estimate_lines(checked: Checked) -> list[str]:
    """How long the students take, and the teacher where its speed is known."""
    lines = [f"about {duration(_student_s(checked))} of one core's student training, divided by your workers"]
    if checked.teacher.name == EMBEDDED:
        lines.append(f"about {duration(_teacher_s(checked))} of one core's teacher passes, none where they are cached")
    return [_line("estimate" if not k else "", line) for k, line in enumerate(lines)]


def n_passes(checked: Checked) -> tuple[int, int]:
    """Images the teacher sees for the study's own cut, with D_val and test, and for each further one."""
    data = checked.data
    views = len(data.train) * checked.teacher.views
    judged = len(data.test) if checked.plan.confirm_seeds else 0
    return views + len(data.val) + judged, views


def _passes(checked: Checked) -> str:
    own, further = n_passes(checked)
    n_further = checked.plan.data_seeds - 1
    more = f"; {further:,} for each of {n_further} further cuts" if n_further else ""
    return f"{own:,} images{more}; none that are cached"


def _teacher_s(checked: Checked) -> float:
    own, further = n_passes(checked)
    return (own + (checked.plan.data_seeds - 1) * further) * checked.teacher_size**2 / _TEACHER_PIXELS * _TEACHER_S


def _student_s(checked: Checked) -> float:
    """Core seconds of all students, a trial taken as the reference method's cost."""
    plan, data = checked.plan, checked.data
    config = TrialConfig.build({"method": checked.space.method, **plan.training})
    n_steps = len(data.train) // config.batch_size
    samples = plan.epochs * n_steps * config.batch_size / (1 - config.mix_ratio)
    _, height, width = data.image_shape
    n_runs = (1 + len(plan.tuned_baselines)) * plan.n_tuning_runs + plan.n_confirm_runs
    return n_runs * samples * height * width / _REFERENCE_PIXELS / _SAMPLES_PER_S


def _line(label: str, text: str) -> str:
    return textwrap.fill(f"{label:<9} {text}", 80, subsequent_indent=" " * 10, break_long_words=False)
