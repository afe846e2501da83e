"""The teacher's fit to its features: from the cache of fits, in the driver, or on a worker.

A private Ray without a GPU has nothing that the driver lacks: the driver may use every core, and no trial runs yet. On
a cluster, or with a GPU, the fit is a task of a worker (`fit_task`). The driver then needs neither cores nor memory.
"""

from functools import partial
from typing import Any

import numpy as np

from study.execution.tasks import (
    TaskDied,
    get,
    put,
    start_actor_beside_driver,
    start_on_worker,
    start_whole,
    wait_for_one,
)
from study.execution.workers import Workers, load
from study.planning.checked import Checked
from study.planning.plan import LOCAL
from study.teacher.feature_pass import TeacherPass
from study.teacher.fit_task import FitQuestion, StepKeeper, fit
from study.teacher.worker_tasks import read_classifier
from study.terminal.pace import Silence
from study.terminal.progress import Progress, duration
from trainables.cckd.bundle.mapped_features import FileArray
from trainables.cckd.errors import TeacherError
from trainables.cckd.teacher.fit.fit_cache import FitCache
from trainables.cckd.teacher.fit.fit_steps import FitSteps, StepFolder, Tell
from trainables.cckd.teacher.fit.fitted_teacher import Classifier, FittedTeacher, fit_teacher, n_steps
from trainables.cckd.teacher.spec import OWN_CLASSIFIER

#: Workers that may die over one fit, as over a task that Ray tries again by itself.
_MOST_WORKERS = 4
#: Seconds between two looks at what the fit has told.
_LOOK_EVERY_S = 1.0


def teacher_fit(
    checked: Checked, train: TeacherPass, val: TeacherPass, workers: Workers, progress: Progress
) -> FittedTeacher:
    """Return the teacher's fit from the cache of fits, or fit the teacher now. Needs Ray.

    Raises:
        TeacherError: every worker that was given the fit has died.
    """
    data, spec, plan = checked.data, checked.teacher, checked.plan
    kept = FitCache(
        spec,
        train.store,
        data.train.labels,
        val.store,
        data.val.labels,
        embeddings_sha256=checked.embeddings.sha256 if checked.embeddings else None,
        outputs=checked.outputs if spec.classes else None,
    )
    fitted = kept.load()
    if fitted is not None:
        return fitted
    steps = StepFolder(kept.steps)
    options: dict[str, Any] = {
        "n_classes": len(data.class_names),
        "classifier": _classifier(checked),
        "embeddings": checked.embeddings,
    }
    in_driver = plan.address == LOCAL and plan.device == "cpu"
    progress.say(f"teacher  fitting its form, {spec.form}{'' if in_driver else ', on a worker'}")
    tell = _teller(progress, n_steps(spec))
    if in_driver:
        fitted = fit_teacher(
            spec, train.features, data.train.labels, val.features, data.val.labels,
            steps=FitSteps(steps, tell), **options,
        )  # fmt: skip
    else:
        question = FitQuestion(spec, data.train.labels, data.val.labels, options)
        fitted = _on_worker(checked, kept, question, train, val, workers, progress, tell)
    progress.end()
    kept.keep(fitted)
    steps.remove()
    return fitted


def _on_worker(
    checked: Checked,
    kept: FitCache,
    question: FitQuestion,
    train: TeacherPass,
    val: TeacherPass,
    workers: Workers,
    progress: Progress,
    tell: Tell,
) -> FittedTeacher:
    """Fit on a worker, and on another one if it dies, which goes on behind the last step that was kept."""
    plan = checked.plan
    keeper = start_actor_beside_driver(StepKeeper, kept.steps)
    asked = put(question)
    train_at, val_at = (_shared(one, one_machine=plan.address == LOCAL) for one in (train, val))
    silence = Silence(progress.say, "no step of the teacher's fit is finished", partial(load, plan))
    for left in reversed(range(_MOST_WORKERS)):
        n_threads = workers.fit_cpus(plan)
        reference = start_whole(plan, n_threads, fit, keeper, asked, train_at, val_at, n_threads, plan.device)
        try:
            return _watched(reference, keeper, tell, silence)
        except TaskDied as died:
            if not left:
                raise TeacherError(
                    f"the teacher's fit must end on a worker; {_MOST_WORKERS} have died over it, the last one so: "
                    f"{died}; its finished steps are kept"
                ) from died
            progress.say(f"NOTE     the worker of the teacher's fit has died; another one goes on: {died}")
    raise AssertionError("the last worker returns or raises")


def _watched(reference: Any, keeper: Any, tell: Tell, silence: Silence) -> FittedTeacher:
    """Return the fit behind `reference`; pass on meanwhile what it tells."""
    is_done = False
    while not is_done:
        is_done = bool(wait_for_one([reference], _LOOK_EVERY_S))
        for done, note in get(keeper.news.remote()):
            silence.end()
            tell(done, note)
        silence()
    fitted: FittedTeacher = get(reference)
    return fitted


def _shared(passed: TeacherPass, *, one_machine: bool) -> Any:
    """Return what a worker reads features from: the cache's file on one machine, else the object store."""
    if one_machine and isinstance(passed.features, np.memmap):
        return FileArray.of(passed.features)
    return put(np.asarray(passed.features))


def _teller(progress: Progress, total: int) -> Tell:
    """Begin a phase of `total` steps, and return what shows them.

    The time left is that of the last step, times the steps left. The steps take longer and longer, and the last ones
    may not be needed.
    """
    before = 0.0
    if total:
        progress.begin("teacher", total)

    def tell(done: int, note: str) -> None:
        nonlocal before
        now = progress.elapsed_s
        left, before = (total - done) * (now - before), now
        progress.update(done, f"{note}, {duration(left)} left" if done < total else note)

    return tell


def _classifier(checked: Checked) -> Classifier | None:
    """Return the network's own classifier if the teacher's form needs it; otherwise None."""
    embeddings, file = checked.embeddings, checked.teacher_file
    projects = embeddings is not None and embeddings.vectors.shape[1] == file.n_outputs
    if checked.teacher.form not in OWN_CLASSIFIER and not projects:
        return None
    found: Classifier = get(start_on_worker(checked.plan, read_classifier, file, checked.teacher_size))
    if checked.outputs is None:
        return found
    places = [checked.outputs.index(name) for name in checked.data.class_names]
    return found[0][places], found[1][places]
