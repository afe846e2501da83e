"""The confirmation phase: the finalists and the ladder, trained afresh on the same seeds, judged on test once."""

import shutil
from typing import Any

from study.phase import Study, StudyInterrupted, run_phase
from study.prepare import Prepared, teacher_on_test
from study.progress import duration
from study.reruns import Rerun, RerunSearcher, confirm_reruns, confirm_seeds
from study.selection import ranked
from study.ticker import Ticker
from study.tuner import Workers


def confirm(study: Study, prepared: Prepared, workers: Workers) -> None:
    """Run what the plan's finalists, rungs and seeds still miss, and evaluate the teacher on test.

    Raises:
        StudyInterrupted: Ray came back with runs missing, after Ctrl-C.
    """
    plan, ledger = study.checked.plan, study.ledger
    if not plan.confirm_seeds:
        return
    from ray.tune.schedulers import FIFOScheduler

    space, selected_on = study.checked.space, study.checked.data.selected_on
    shared = {**plan.training, **plan.fixed_knobs}
    best = [
        (found.number, {**space.config(found.params), **shared}) for found in ranked(ledger, plan)[: plan.confirm_top]
    ]
    tasks = confirm_reruns(best, plan.training, confirm_seeds(plan.seed, plan.confirm_seeds))
    entries = {task.entry: {"trial": task.trial, "config": task.config} for task in tasks}
    study.store.update_manifest(phase="confirm", confirm_entries=entries)

    for rank, (number, _) in enumerate(best, start=1):
        ledger.drop_confirm_runs(f"best{rank}", but_of=number)
    filed = {(run.entry, run.seed) for run in ledger.confirm_runs()}
    if ("teacher", None) not in filed:
        counts, passes = teacher_on_test(study.checked, prepared, workers, study.progress)
        test = {"correct": list(counts.correct), "seen": list(counts.seen)}
        ledger.add_confirm_run("teacher", None, None, {"test": test, "val": None, "selected_on": "val"})
        described = study.store.manifest()["teacher"]
        described["forward_passes"] += passes
        study.store.update_manifest(teacher=described)
    left = [task for task in tasks if (task.entry, task.seed) not in filed]
    if not left:
        return
    wanted = {(task.entry, task.seed) for task in tasks}

    def n_done() -> int:
        return len(wanted & {(run.entry, run.seed) for run in ledger.confirm_runs()})

    study.progress.begin("confirm", len(tasks))
    failures: list[str] = []

    def on_done(task: Rerun, result: dict[str, Any] | None) -> None:
        cause = "Ray gave the run up" if result is None else result["cause"]
        if result is None or cause:
            failures.append(f"{task.entry}, seed {task.seed}: {cause}")
            return
        chosen = "reference" if task.trial is None else selected_on
        test = {"correct": result["test_correct"], "seen": result["test_seen"]}
        record = {"test": test, "val": result["records"][-1]["val"], "selected_on": chosen}
        ledger.add_confirm_run(task.entry, task.seed, task.trial, record)
        shutil.rmtree(study.checkpoints / task.name, ignore_errors=True)

    searcher = RerunSearcher(left, checkpoints=study.checkpoints, models=study.store.models, on_done=on_done)
    tick = Ticker(study, n_done=n_done, note=lambda n: _note(study, workers, len(tasks) - n))
    run_phase(study, prepared, workers, "confirm", searcher, FIFOScheduler(), len(left), tick, test=True)
    study.store.update_manifest(failures=failures)
    if n_done() + len(failures) < len(tasks):
        raise StudyInterrupted
    study.progress.end()
    study.progress.say(f"confirm  {n_done()} runs on test, {len(failures)} failed")


def _note(study: Study, workers: Workers, n_left: int) -> str:
    """The time left, a run taken to cost what a trial of the search did."""
    return f"{duration(study.ledger.mean_duration_s() * n_left / workers.n_workers)} left"
