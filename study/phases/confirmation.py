"""The confirmation phase: the finalists and the ladder, trained afresh on the same seeds, judged on test once.

With `--data-seeds` all of that is done on several cuts of the long tail, one after the other, so that no two bundles
of images and teacher outputs are needed at a time. The teacher is part of what is judged: it is fitted on every cut.
"""

from typing import Any

from study.execution.tuner import Workers
from study.phases.baselines import tuned_entries
from study.phases.phase import Study, StudyInterrupted, check_failures, run_phase
from study.phases.reruns import Rerun, RerunSearcher, confirm_reruns, confirm_seeds, given_up
from study.phases.selection import ranked
from study.phases.ticker import Ticker
from study.planning.checked import Checked
from study.planning.tail_subsets import recut
from study.records.ledger import Ledger
from study.records.run_tables import RunKey
from study.teacher.bundle import Prepared, prepare, teacher_on_test
from study.teacher.image_holding import hold_images
from study.terminal.progress import duration

_TEACHER = "teacher"

#: What the manifest leaves out of a further cut's teacher: the passes are summed up with those of the study's own.
_PASSES = ("forward_passes", "verification_passes")


def confirm(study: Study, prepared: Prepared, workers: Workers) -> None:
    """Run what the plan's cuts, finalists, rungs and seeds still miss, and evaluate each cut's teacher on test.

    Raises:
        StudyInterrupted: Ray came back with runs missing.
        StudyFailed: too much has failed.
        DataError: a cut that is not the one that was looked at when the study started.
    """
    plan, ledger = study.checked.plan, study.ledger
    if not plan.confirm_seeds:
        return
    space = study.checked.space
    shared = {**plan.training, **plan.fixed_knobs}
    best = [
        (found.number, {**space.config(found.params), **shared}) for found in ranked(ledger, plan)[: plan.confirm_top]
    ]
    tuned = {entry: (found.number, config) for entry, (found, config) in tuned_entries(study).items()}
    cuts = [
        confirm_reruns(best, plan.training, confirm_seeds(plan.seed, plan.confirm_seeds, data_seed), data_seed, tuned)
        for data_seed in range(plan.data_seeds)
    ]
    entries = {task.entry: {"trial": task.trial, "config": task.config} for task in cuts[0]}
    study.store.update_manifest(phase="confirm", confirm_entries=entries)
    for task in cuts[0]:
        if task.trial is not None:
            ledger.runs.drop_confirm_runs(task.entry, but_of=task.trial)

    tasks = [task for cut in cuts for task in cut]
    n_run = 0
    for data_seed, cut in enumerate(cuts):
        left = _missing(study, cut)
        if left or (data_seed, _TEACHER, None) not in _filed(ledger):
            _confirm_cut(study, data_seed, prepared, workers, left, tasks)
        n_run += len(left)
    if n_run:
        n_failed = len({task.name for task in tasks} & given_up(ledger, plan.max_retries))
        study.progress.say(f"confirm  {_n_done(ledger, tasks)} runs on test, {n_failed} failed")


def _confirm_cut(
    study: Study,
    data_seed: int,
    prepared: Prepared,
    workers: Workers,
    left: list[Rerun],
    tasks: list[Rerun],
) -> None:
    """Bring one cut to its end: its teacher on test, the runs `left` of it; `prepared` is the study's own cut."""
    from study.execution.schedulers import ListeningScheduler

    ledger, selected_on, checked = study.ledger, study.checked.data.selected_on, study.checked
    if data_seed:
        checked, prepared = _prepare_cut(study, data_seed, workers)
    if (data_seed, _TEACHER, None) not in _filed(ledger):
        counts, passes = teacher_on_test(checked, prepared, workers, study.progress)
        test = {"correct": list(counts.correct), "seen": list(counts.seen)}
        record = {"test": test, "val": None, "selected_on": "val"}
        ledger.runs.add_confirm_run(_TEACHER, None, None, record, data_seed=data_seed)
        _count_passes(study, passes)
    if not left:
        return

    def on_done(task: Rerun, result: dict[str, Any]) -> None:
        if task.export:
            study.keep_model(task.name)
        chosen = "reference" if task.trial is None else selected_on
        test = {"correct": result["test_correct"], "seen": result["test_seen"], "confusion": result["test_confusion"]}
        record = {"test": test, "val": result["records"][-1]["val"], "selected_on": chosen}
        record["separability"] = {name: result[f"test_{name}"] for name in ("deviation", "intra", "inter")}
        ledger.runs.add_confirm_run(task.entry, task.seed, task.trial, record, data_seed=data_seed)
        study.shelf.remove(task.name)

    study.progress.begin("confirm", len(tasks))
    shelf, failures = study.shelf.root, study.failures
    searcher = RerunSearcher(left, ledger=ledger, failures=failures, checkpoints=shelf, on_done=on_done)
    tick = Ticker(study, n_done=lambda: _n_done(ledger, tasks), note=lambda n: _note(study, workers, len(tasks) - n))
    scheduler = ListeningScheduler(failures)
    run_phase(study, prepared, workers, "confirm", searcher, scheduler, tick, test=True, passing=data_seed > 0)
    check_failures(study)
    if _missing(study, left):
        raise StudyInterrupted
    study.progress.end()


def _prepare_cut(study: Study, data_seed: int, workers: Workers) -> tuple[Checked, Prepared]:
    """Cut another long tail and fit the teacher to it; the manifest keeps what that teacher is."""
    n_cuts = study.checked.plan.data_seeds
    study.progress.say(f"cut      {data_seed + 1} of {n_cuts}: other training images, the same D_val and test")
    checked = hold_images(recut(study.checked, data_seed), workers, study.progress)
    prepared = prepare(checked, workers, study.progress)
    _count_passes(study, prepared.teacher["forward_passes"])
    described = {key: value for key, value in prepared.teacher.items() if key not in _PASSES}
    recuts = study.store.manifest().get("recuts", {})
    study.store.update_manifest(recuts=recuts | {str(data_seed): {"sha256": checked.data.sha256, "teacher": described}})
    return checked, prepared


def _count_passes(study: Study, passes: int) -> None:
    described = study.store.manifest()["teacher"]
    described["forward_passes"] += passes
    study.store.update_manifest(teacher=described)


def _missing(study: Study, tasks: list[Rerun]) -> list[Rerun]:
    """Those of `tasks` that have neither a result nor failed for good."""
    filed, hopeless = _filed(study.ledger), given_up(study.ledger, study.checked.plan.max_retries)
    return [task for task in tasks if task.key not in filed and task.name not in hopeless]


def _filed(ledger: Ledger) -> set[RunKey]:
    return {run.key for run in ledger.runs.confirm_runs()}


def _n_done(ledger: Ledger, tasks: list[Rerun]) -> int:
    return len({task.key for task in tasks} & _filed(ledger))


def _note(study: Study, workers: Workers, n_left: int) -> str:
    """The time left, a run taken to cost what a trial of the search did."""
    return f"{duration(study.ledger.mean_duration_s() * n_left / workers.n_workers)} left"
