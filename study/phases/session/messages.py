"""The messages of a session to its user, apart from the progress of its phases."""

import logging
import os

from study.execution.workers import load
from study.phases.state.study_in_progress import Study
from study.planning.checked import Checked
from study.planning.cores import allotted_cores
from study.planning.plan import LOCAL
from study.planning.preview.estimate import expected, limit_note
from study.planning.preview.missing import left_to_do
from study.planning.preview.training_length import training_length
from study.records.ledger import Ledger
from study.records.store import StudyStore
from study.schema import n_ended
from study.terminal.progress import Progress

log = logging.getLogger("study")

#: Failed runs that are named on the terminal; the report names all of them.
_MOST_FAILURES = 3


def say_plan(progress: Progress, checked: Checked, store: StudyStore, ledger: Ledger) -> None:
    """Say what the study is: its folder, its data, its plan, and how long it takes."""
    plan, data, n_ablation = checked.plan, checked.data, checked.plan.most_ablation_runs(checked.space)
    if plan.fallback_from:
        progress.say(f"NOTE     {plan.fallback_from} cannot be had here: {plan.fallback_reason}")
        progress.say(f"NOTE     using {plan.data} instead; its images are 8x8 digits and its teacher is weak")
    progress.say(f"study    {store.path}")
    progress.say(
        f"data     {plan.data}: {sum(data.counts)} training, {len(data.val)} val, {len(data.test)} test images; "
        f"{checked.data_path}"
    )
    if checked.class_order:
        progress.say(f"classes  {checked.class_order}")
    if small := checked.image_store:
        progress.say(f"store    images with a shorter side of {small.shorter} px are read from {small.folder}")
    for caution in checked.cautions:
        progress.say(f"NOTE     {caution.text}")
    if data.skipped:
        progress.say(
            f"NOTE     {len(data.skipped)} image files that cannot be used are left out; {store.log} names them"
        )
        log.warning("image files left out:\n%s", "\n".join(data.skipped))
    if plan.points:
        progress.say(f"points   {checked.points_text}")
    if checked.warm:
        progress.say(f"warm     {checked.warm}")
    cores = allotted_cores()
    if plan.address == LOCAL and cores.limited_by:
        progress.say(f"cores    {cores.n} of this machine's {os.cpu_count()}: {cores.limited_by} allots no more")
    if checked.origins:  # of a new study
        progress.say(f"recipe   {plan.recipe} of {data.spec.name}: {plan.student}, {plan.epochs} epochs")
        for note in training_length(checked).notes:
            progress.say(f"NOTE     {note}")
    missing = left_to_do(checked, ledger, store.manifest())
    progress.say(f"time     {expected(checked, missing)}")
    if limit := limit_note(checked, missing):
        progress.say(f"NOTE     {limit}")
    if plan.address == LOCAL:
        progress.say(f"machine  {load(plan)}")
    progress.say(
        f"plan     {plan.trials} trials of {plan.epochs} epochs ({plan.sampler}, pruner {plan.pruner}), "
        + (
            f"{plan.n_selection_runs} runs to choose among the best {plan.n_candidates}, "
            if plan.n_selection_runs
            else ""
        )
        + (f"as many for each of {', '.join(plan.tuned_baselines)}, " if plan.tuned_baselines else "")
        + f"{plan.n_confirm_runs} on test"
        + "".join(f", {n} at {factor} times the epochs" for factor, n in plan.n_longer_runs.items())
        + (f", at most {n_ablation} to see what settings and parts buy" if n_ablation else "")
        + (f", on {plan.data_seeds} cuts of the long tail" if plan.data_seeds > 1 else "")
    )


def say_lost(known: dict[str, int], found: dict[str, int]) -> None:
    """Say so if study.db holds fewer finished trials than study.json knew; a damaged study.db-wal causes this."""
    before, now_there = map(n_ended, (known, found))
    if now_there < before:
        told = f"study.db holds {now_there} finished trials, and study.json knew {before}: the others are run again"
        log.warning("%s", told)
        print(f"NOTE     {told}")


def say_retried(trials: int, runs: int, stay: int) -> None:
    """Say how many failed trials and later runs are tried again, and how many stay failed."""
    more = f"; {stay} would fail again and stay failed" if stay else ""
    print(f"NOTE     {trials} failed trials and {runs} later runs are tried again{more}")


def say_failures(study: Study) -> None:
    """Say which runs of the later phases failed for good; the search has already said how many trials did."""
    failed = study.store.manifest()["failures"]
    if failed:
        more = f"; and {len(failed) - _MOST_FAILURES} more" if len(failed) > _MOST_FAILURES else ""
        study.progress.say(
            f"NOTE     {len(failed)} of the later runs failed, listed under Study health in the report: "
            f"{'; '.join(failed[:_MOST_FAILURES])}{more}"
        )
