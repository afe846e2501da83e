"""The selection phase: the best trials and the reference point, trained again on fresh seeds, judged on D_val.

The best of many single runs is a lucky one: on the default data the winner of 44 trials lost four points when it was
trained again, and stood below the reference point. So the search only nominates; `best1` is the nominee with the best
mean over the fresh runs, and the value that nominated it does not count.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from study.execution.tuner import Workers
from study.phases.phase import Study, StudyInterrupted, check_failures, run_phase
from study.phases.reruns import Rerun, RerunSearcher, given_up, selection_reruns, selection_seeds
from study.phases.ticker import Ticker
from study.planning.plan import StudyPlan
from study.records.ledger import Ledger
from study.records.trial_rows import Finalist
from study.strategy.guards import REFERENCE, kept, told
from study.strategy.objectives import N_CONFIRMED
from study.teacher.bundle import Prepared
from study.terminal.progress import duration
from trainables.cckd.metrics import balanced_accuracy
from trainables.cckd.records import ClassCounts


def select(study: Study, prepared: Prepared, workers: Workers) -> None:
    """Run what the candidates' fresh seeds still miss.

    Raises:
        StudyInterrupted: Ray came back with runs missing.
        StudyFailed: too much has failed.
    """
    plan, ledger = study.checked.plan, study.ledger
    if plan.guards:
        n_kept = ledger.guards_kept()
        reference_failed = f"the reference point, which {told(plan.guards)} compares with, is not complete"
        none_kept = f"no complete trial keeps {told(plan.guards)}"
        _file_guards(study, reference_failed if n_kept is None else none_kept if n_kept == 0 else None)
    if plan.second_objective:
        _say_front(study, plan.second_objective)
    if not plan.finalists or not plan.finalist_seeds:
        return
    from study.execution.schedulers import ListeningScheduler

    shared = {**plan.training, **plan.fixed_knobs}
    space = study.checked.space
    candidates = [(found.number, {**space.config(found.params), **shared}) for found in _candidates(ledger, plan)]
    reruns = selection_reruns(candidates, selection_seeds(plan.seed, plan.finalist_seeds), study.candidate)
    wanted = {(rerun.trial, rerun.seed) for rerun in reruns}

    def filed() -> set[tuple[int | None, int]]:
        return wanted & {(run.trial, run.seed) for run in ledger.runs.selection_runs()}

    def missing() -> list[Rerun]:
        done, hopeless = filed(), given_up(ledger, plan.max_retries)
        return [rerun for rerun in reruns if (rerun.trial, rerun.seed) not in done and rerun.name not in hopeless]

    left = missing()

    def on_done(rerun: Rerun, result: dict[str, Any]) -> None:
        assert rerun.trial is not None, "a candidate is a trial"
        val = result["records"][-1]["val"]
        ledger.runs.add_selection_run(rerun.trial, rerun.seed, ClassCounts(tuple(val["correct"]), tuple(val["seen"])))
        study.shelf.remove(rerun.name)

    if left:
        study.store.update_manifest(phase="selection")
        study.progress.begin("select", len(reruns))
        shelf, failures = study.shelf.root, study.failures
        searcher = RerunSearcher(left, ledger=ledger, failures=failures, checkpoints=shelf, on_done=on_done)

        def note(n_done: int) -> str:
            seconds = ledger.mean_duration_s() * (len(reruns) - n_done) / workers.n_workers
            return f"{duration(seconds)} left, then the confirmation"

        tick = Ticker(study, n_done=lambda: len(filed()), note=note)
        run_phase(study, prepared, workers, "selection", searcher, ListeningScheduler(failures), tick)
        check_failures(study)
        if missing():
            raise StudyInterrupted
        study.progress.end()
        study.export()
    chosen = ranked(ledger, plan)[0]
    runs = fresh_runs(ledger, selection_seeds(plan.seed, plan.finalist_seeds))
    study.keep(chosen_trial=chosen.number)
    if chosen.number in runs and not keeps_guards(ledger, runs, chosen.number):
        _file_guards(study, f"no candidate keeps {told(plan.guards)} on the mean of its fresh runs")
    study.progress.say(
        f"select   {study.entry} is trial {chosen.number}: {chosen.value:.3f} on val over {plan.finalist_seeds} fresh "
        f"seeds, the best of {len(candidates)} candidates"
    )


def ranked(ledger: Ledger, plan: StudyPlan) -> tuple[Finalist, ...]:
    """The trials with every fresh seed, best first, `value` being their mean; the search's own order where none has.

    A trial that was a candidate before the study was extended still counts; one of which a run failed does not: it is
    not known well enough to be recommended.
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
    """Counts on D_val of every trial that was trained again with each of `seeds`, in their order."""
    filed = {(run.trial, run.seed): run.val for run in ledger.runs.selection_runs()}
    trials = {trial for trial, _ in filed} if seeds else set()
    return {
        trial: [filed[trial, seed] for seed in seeds]
        for trial in trials
        if all((trial, seed) in filed for seed in seeds)
    }


def keeps_guards(ledger: Ledger, runs: Mapping[int, Sequence[ClassCounts]], trial: int) -> bool:
    """Whether a trial keeps the guards by its fresh runs; so it does where the reference point has none."""
    return REFERENCE not in runs or kept(ledger.settings.guards, runs[trial], runs[REFERENCE])


def _say_front(study: Study, second: str) -> None:
    """Keep and say which trials the front of two objectives gives; `LedgerReading.best` orders them."""
    front, n_complete = study.ledger.best(study.ledger.n_asked), study.ledger.counts()["complete"]
    study.keep(chosen_trial=front[0].number, front=[found.number for found in front])
    numbers = [found.number for found in front[1:N_CONFIRMED]]
    ends = f"; its ends are trials {numbers[0]} (all) and {numbers[1]} ({second})" if len(numbers) == 2 else ""
    study.progress.say(
        f"front    {len(front)} of {n_complete} complete trials; {study.entry} is its knee, trial {front[0].number}"
        f"{ends}"
    )


def _file_guards(study: Study, unmet: str | None) -> None:
    """Keep in the manifest, and say, how many trials keep the guards, or why best1 is chosen without them."""
    n_kept, n_complete = study.ledger.guards_kept(), study.ledger.counts()["complete"]
    study.keep(guards={"kept": n_kept, "complete": n_complete, "unmet": unmet})
    if unmet:
        study.progress.say(f"NOTE     {unmet}: {study.entry} IS CHOSEN WITHOUT IT")
    else:
        study.progress.say(f"guards   {n_kept} of {n_complete} complete trials keep {told(study.checked.plan.guards)}")


def _candidates(ledger: Ledger, plan: StudyPlan) -> tuple[Finalist, ...]:
    return ledger.candidates(max(plan.finalists, plan.confirm_top))
