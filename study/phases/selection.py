"""The selection phase: the best trials and the reference point are trained again on fresh seeds and judged on D_val.

The best of many single runs is a lucky one. On the default data, the winner of 44 trials lost four points when it was
trained again and fell below the reference point. So the search only nominates candidates. `best1` is the candidate with
the best mean over its fresh runs; the value that nominated it does not count.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from study.execution.attempts import AttemptLog
from study.execution.course import Phase
from study.execution.workers import Workers
from study.phases.reruns import Rerun, RerunQueue, run_reruns
from study.phases.search import SearchTarget
from study.phases.state.study_in_progress import Study
from study.planning.plan import StudyPlan
from study.records.ledger import Ledger
from study.records.run_tables import counts_of
from study.records.trial_rows import Finalist
from study.schema import BEST, PhaseName
from study.strategy.guards import REFERENCE, kept, told
from study.strategy.objectives import N_CONFIRMED
from trainables.cckd.metrics import balanced_accuracy
from trainables.cckd.random_streams import derive_seed
from trainables.cckd.records import ClassCounts


def select(study: Study, target: SearchTarget, attempts: AttemptLog, workers: Workers) -> Iterator[Phase]:
    """Yield the phase of the missing selection runs, then choose the winner of a search.

    Raises:
        StudyFailed: failures exceed a limit.
    """
    plan, ledger = study.checked.plan, target.ledger
    if plan.guards:
        n_kept = ledger.guards_kept()
        reference_failed = f"the reference point, which {told(plan.guards)} compares with, is not complete"
        none_kept = f"no complete trial keeps {told(plan.guards)}"
        _report_guards(study, target, reference_failed if n_kept is None else none_kept if n_kept == 0 else None)
    if plan.second_objective:
        _report_front(study, target, plan.second_objective)
    if not plan.n_candidates:
        return
    found = ledger.candidates(plan.n_candidates)
    candidates = [(candidate.number, target.config(candidate.params)) for candidate in found]
    seeds = selection_seeds(plan.seed, plan.finalist_seeds)
    # Seed by seed, so that an early stop leaves whole seeds.
    entry = target.ledger.runs.candidate
    runs = [Rerun(entry, seed, number, config, export=False) for seed in seeds for number, config in candidates]
    queue = _queue(target, runs)
    if queue.missing(study):
        study.store.update_manifest(phase=PhaseName.SELECTION if target.entry == BEST else target.title)
        yield from run_reruns(study, ledger, queue, attempts, workers)
        study.export()
    chosen, fresh = ranked(ledger, plan)[0], fresh_runs(ledger, seeds)
    target.keep(chosen_trial=chosen.number)
    if chosen.number in fresh and not keeps_guards(ledger, fresh, chosen.number):
        _report_guards(study, target, f"no candidate keeps {told(plan.guards)} on the mean of its fresh runs")
    study.progress.say(
        f"select   {target.entry} is trial {chosen.number}: {chosen.value:.3f} on val over {plan.finalist_seeds} fresh "
        f"seeds, the best of {len(candidates)} candidates"
    )


def _queue(target: SearchTarget, runs: Sequence[Rerun]) -> RerunQueue:
    table = target.ledger.runs

    def record(run: Rerun, result: dict[str, Any]) -> None:
        assert run.trial is not None, "a candidate is a trial"
        table.add_selection_run(run.trial, run.seed, counts_of(result["records"][-1]["val"]))

    return RerunQueue(
        title="select",
        runs=runs,
        counted={run.name for run in runs},
        recorded=table.recorded_reruns,
        record=record,
        checkpoints=target.checkpoints,
        note=", then the confirmation",
    )


def selection_seeds(study_seed: int, n_seeds: int) -> tuple[int, ...]:
    """Return the training seeds of the selection: hashes like the seeds of search trials, but different ones."""
    return tuple(derive_seed("selection", study_seed, k) for k in range(1, n_seeds + 1))


def ranked(ledger: Ledger, plan: StudyPlan) -> tuple[Finalist, ...]:
    """Return the trials with a run on every fresh seed, best mean first; `value` is that mean.

    If no trial has all these runs, return the best trials in the order of the search. A trial that was a candidate
    before the study was extended still counts. A trial with a failed run does not: too little is known about it.
    """
    seeds = selection_seeds(plan.seed, plan.finalist_seeds) if plan.finalists else ()
    runs = fresh_runs(ledger, seeds)
    known = [
        Finalist(found.number, found.params, sum(map(balanced_accuracy, runs[found.number])) / len(seeds))
        for found in ledger.best(ledger.n_asked)
        if found.number in runs
    ]
    known = [found for found in known if keeps_guards(ledger, runs, found.number)] or known
    if not known:
        return ledger.best(plan.confirm_top)
    return tuple(sorted(known, key=lambda found: (-found.value, found.number)))


def fresh_runs(ledger: Ledger, seeds: Sequence[int]) -> dict[int, list[ClassCounts]]:
    """Return the counts on D_val, in the order of `seeds`, of every trial that was trained again with each of them."""
    filed = {(run.trial, run.seed): run.val for run in ledger.runs.selection_runs()}
    trials = {trial for trial, _ in filed} if seeds else set()
    return {
        trial: [filed[trial, seed] for seed in seeds]
        for trial in trials
        if all((trial, seed) in filed for seed in seeds)
    }


def keeps_guards(ledger: Ledger, runs: Mapping[int, Sequence[ClassCounts]], trial: int) -> bool:
    """Return whether a trial's fresh runs keep the guards; True if the reference point has no fresh runs."""
    return REFERENCE not in runs or kept(ledger.settings.guards, runs[trial], runs[REFERENCE])


def _report_front(study: Study, target: SearchTarget, second: str) -> None:
    """Write the front of two objectives to the manifest and the terminal; `SearchReader.best` orders it."""
    front, n_complete = target.ledger.best(target.ledger.n_asked), target.ledger.counts()["complete"]
    target.keep(chosen_trial=front[0].number, front=[found.number for found in front])
    numbers = [found.number for found in front[1:N_CONFIRMED]]
    ends = f"; its ends are trials {numbers[0]} (all) and {numbers[1]} ({second})" if len(numbers) == 2 else ""
    study.progress.say(
        f"front    {len(front)} of {n_complete} complete trials; {target.entry} is its knee, trial {front[0].number}"
        f"{ends}"
    )


def _report_guards(study: Study, target: SearchTarget, unmet: str | None) -> None:
    """Write to manifest and terminal how many trials keep the guards, or why the winner is chosen without them."""
    n_kept, n_complete = target.ledger.guards_kept(), target.ledger.counts()["complete"]
    target.keep(guards={"kept": n_kept, "complete": n_complete, "unmet": unmet})
    if unmet:
        study.progress.say(f"NOTE     {unmet}: {target.entry} IS CHOSEN WITHOUT IT")
    else:
        study.progress.say(f"guards   {n_kept} of {n_complete} complete trials keep {told(study.checked.plan.guards)}")
