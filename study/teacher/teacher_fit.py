"""The teacher's fit to its features: from the cache of fits, in the driver, or on a worker.

A private Ray without a GPU has nothing that the driver lacks: the driver may use every core, and no trial runs yet. On
a cluster, or with a GPU, the fit is a task of a worker (`fit_task`). The driver then needs neither cores nor memory.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from study.execution.tasks import (
    TaskDied,
    TaskStranded,
    cancel,
    get,
    put,
    start_actor_beside_driver,
    start_on_worker,
    start_once_on_worker,
    wait_for_one,
)
from study.execution.workers import Workers, load
from study.planning.checked import Checked
from study.planning.plan import LOCAL, StudyPlan
from study.teacher.feature_pass import TeacherPass
from study.teacher.fit_task import FitQuestion, StepKeeper, fit, fit_memory
from study.teacher.worker_tasks import read_classifier
from study.terminal.pace import Silence
from study.terminal.progress import Progress, duration
from trainables.cckd.bundle.mapped_features import source_of
from trainables.cckd.errors import TeacherError
from trainables.cckd.teacher.cache.cache_lock import CacheLock
from trainables.cckd.teacher.fit.fit_cache import FitCache
from trainables.cckd.teacher.fit.fit_steps import FitSteps, StepFolder
from trainables.cckd.teacher.fit.fitted_teacher import Classifier, FittedTeacher, fit_teacher, n_steps
from trainables.cckd.teacher.spec import OWN_CLASSIFIER

#: Workers that may die over one fit, as over a task that Ray tries again by itself.
_MOST_WORKERS = 4
#: Seconds between two looks at what the fit has reported.
_LOOK_EVERY_S = 1.0
#: A step counts as standing still after so many times the longest one so far. Each takes longer than the one before.
_SLOWER = 4

#: Shows a report of the fit: the number of steps that are done, a note, and the time (`time.monotonic`).
Show = Callable[[int, str, float], None]


def teacher_fit(
    checked: Checked, train: TeacherPass, val: TeacherPass, workers: Workers, progress: Progress
) -> FittedTeacher:
    """Return the teacher's fit from the cache of fits, or fit the teacher now. Needs Ray.

    Of studies that want the same fit one fits, and the others wait for it.

    Raises:
        TeacherError: every worker that was given the fit has died, or its device has too little memory.
    """
    data, spec = checked.data, checked.teacher
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
    with CacheLock(kept.path) as lock:
        wait = partial(progress.say, "teacher  another study fits the same teacher; waiting")
        with suppress(OSError):  # this user cannot write into the cache: no other study will find the fit there
            lock.take(wait, unless=lambda: False)
        return kept.load() or _fit_now(checked, kept, train, val, workers, progress)


def _fit_now(
    checked: Checked, kept: FitCache, train: TeacherPass, val: TeacherPass, workers: Workers, progress: Progress
) -> FittedTeacher:
    data, spec, plan = checked.data, checked.teacher, checked.plan
    steps = StepFolder(kept.steps)
    options: dict[str, Any] = {
        "n_classes": len(data.class_names),
        "classifier": _classifier(checked),
        "embeddings": checked.embeddings,
    }
    in_driver = plan.address == LOCAL and plan.device == "cpu"
    progress.say(f"teacher  fitting its form, {spec.form}{'' if in_driver else ', on a worker'}")
    show = _show(progress, n_steps(spec, train.features.shape, len(data.class_names)))
    if in_driver:
        with fit_memory(plan.device):
            fitted = fit_teacher(
                spec, train.features, data.train.labels, val.features, data.val.labels,
                steps=FitSteps(steps, lambda done, note: show(done, note, time.monotonic())), **options,
            )  # fmt: skip
    else:
        question = FitQuestion(spec, data.train.labels, data.val.labels, options)
        sources = (put(source_of(one.features, one_machine=plan.address == LOCAL)) for one in (train, val))
        fitted = _on_workers(checked, kept, workers, progress, show, put(question), *sources)
    progress.end()
    kept.keep(fitted)
    steps.remove()
    return fitted


def _on_workers(
    checked: Checked, kept: FitCache, workers: Workers, progress: Progress, show: Show, *arguments: Any
) -> FittedTeacher:
    """Fit on a worker, and on another one if it dies, which goes on behind the last step that was kept."""
    plan, n_died = checked.plan, 0
    why = partial(load, plan)
    silence = Silence(progress.say, "no worker has begun the teacher's fit", why)
    between = Silence(progress.say, "the teacher's fit has ended no step", why)
    while True:
        try:
            return _on_worker(plan, kept, workers, silence, between, show, *arguments)
        except TaskStranded:
            silence()
            time.sleep(_LOOK_EVERY_S)
        except TaskDied as died:
            n_died += 1
            if n_died == _MOST_WORKERS:
                raise TeacherError(
                    f"the teacher's fit must end on a worker; {_MOST_WORKERS} have died over it, the last one so: "
                    f"{died}; its finished steps are kept"
                ) from died
            progress.say(f"NOTE     the worker of the teacher's fit has died; another one goes on: {died}")
            silence.end()


def _on_worker(
    plan: StudyPlan,
    kept: FitCache,
    workers: Workers,
    silence: Silence,
    between: Silence,
    show: Show,
    *arguments: Any,
) -> FittedTeacher:
    """Fit on a worker and show its reports.

    Args:
        plan: the study.
        kept: where its steps are kept.
        workers: of the Ray session.
        silence: is told until the worker has begun.
        between: is told from then on while no step ends.
        show: shows a report.
        arguments: of `fit`, after the keeper.

    Raises:
        TaskDied: the worker has died.
        TaskStranded: every node that might have begun the fit is lost.
    """
    nodes = workers.trial_nodes(plan)
    if nodes is not None and not nodes:
        raise TaskStranded("no node can run a trial")
    keeper = start_actor_beside_driver(StepKeeper, kept.steps)
    reference = start_once_on_worker(plan, nodes, fit, keeper, *arguments, plan)
    before: float | None = None
    longest_s = 0.0
    while True:
        is_done = bool(wait_for_one([reference], _LOOK_EVERY_S))
        for report in get(keeper.news.remote()):
            at = report[-1]
            longest_s, before = max(longest_s, at - (at if before is None else before)), at
            show(*report)
            between.end(_SLOWER * longest_s)
        if is_done:
            break
        if before is not None:
            between()
            continue
        silence()
        if nodes is not None and nodes.isdisjoint(workers.trial_nodes(plan) or ()):
            cancel(reference)
            raise TaskStranded("the nodes are lost")
    fitted: FittedTeacher = get(reference)
    return fitted


def _show(progress: Progress, total: int) -> Show:
    """Begin a phase of `total` steps, and return what shows its reports.

    The time left is the time of the last step, times the steps left. The steps take longer and longer, and the last
    ones may not be needed.
    """
    before = time.monotonic()
    if total:
        progress.begin("teacher", total)

    def show(done: int, note: str, at: float) -> None:
        nonlocal before
        left, before = (total - done) * (at - before), at
        if total:
            progress.update(done, f"{note}, {duration(left)} left" if 0 < done < total else note)

    return show


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
