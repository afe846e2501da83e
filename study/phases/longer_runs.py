"""Longer runs: entries of the confirmation are trained again at a multiple of its epochs, each schedule whole.

A gain at one training length may be an effect of too little training. On fashion_mnist_lt a gain of 7 points over `la`
at 20 epochs was 1 point at 150. So `la`, `kd` and `best1` are trained at twice the epochs too, on seeds of the
confirmation, so that differences between the lengths are paired.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from study.execution.attempts import AttemptLog
from study.execution.course import Phase
from study.execution.workers import Workers
from study.phases.confirmation import queue_on_test, runs_of_cut
from study.phases.reruns import Rerun, given_up, run_reruns
from study.phases.state.study_in_progress import Study
from study.planning.plan import CHECK_FACTOR, StudyPlan
from study.schema import PhaseName


def train_longer(study: Study, attempts: AttemptLog, workers: Workers) -> Iterator[Phase]:
    """Yield the phases of the missing runs at a longer training, on the study's own cut, the shorter length first.

    Raises:
        StudyFailed: failures exceed a limit.
    """
    plan = study.checked.plan
    if not plan.n_longer_runs:
        return
    runs, n_run = longer_reruns(runs_of_cut(study, 0), plan), 0
    note = ", then the ablation" if plan.ablation_seeds else ""
    for factor in plan.n_longer_runs:
        of_length = [run for run in runs if run.epochs_factor == factor]
        queue = replace(queue_on_test(study, "longer", of_length), cost=factor, note=note)
        n_left = len(queue.missing(study))
        if n_left and not study.has_time_for(n_left * factor):
            study.leave_out(f"{n_left} runs at {factor} times the epochs")
            continue
        if n_left:
            study.store.update_manifest(phase=PhaseName.LONGER)
            yield from run_reruns(study, study.ledger, queue, attempts, workers)
        n_run += n_left
    if n_run:
        names = {run.name for run in runs}
        n_failed = len(names & given_up(study.ledger, plan.max_retries))
        n_recorded = len(names & study.ledger.runs.recorded_reruns())
        study.progress.say(f"longer   {n_recorded} runs at a longer training, {n_failed} failed")


def longer_reruns(runs: Sequence[Rerun], plan: StudyPlan) -> list[Rerun]:
    """Return one rerun per (length, entry, seed): the check at twice the epochs, and what --epochs-factor asks for.

    Args:
        runs: the confirmation's runs on the study's own cut, seed by seed.
        plan: of the study.
    """
    checked_seeds = list(dict.fromkeys(run.seed for run in runs))[: plan.long_seeds]
    wanted = [(CHECK_FACTOR, run) for run in runs if run.entry in plan.checked_entries and run.seed in checked_seeds]
    wanted += [(plan.epochs_factor, run) for run in runs if plan.epochs_factor > 1]
    longer = [_longer(run, factor) for factor, run in wanted]
    return list({run.name: run for run in longer}.values())


def _longer(run: Rerun, factor: int) -> Rerun:
    config = run.config | {"epochs": factor * run.config["epochs"]}
    return replace(run, config=config, epochs_factor=factor, export=False)
