"""The search phase: Ray runs the trials that the ledger chooses, until study.db holds the planned total."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from search_spaces.knob import KnobValue
from study.execution.attempts import AttemptLog
from study.execution.course import Phase
from study.execution.searchers import LedgerSearcher
from study.execution.tasks import Future, TaskError
from study.execution.workers import Workers
from study.phases.state.study_in_progress import NothingComplete, Study
from study.phases.state.ticker import Ticker
from study.planning.spaces import baseline_space
from study.records.ledger import Ledger
from study.schema import BEST, SEARCH_LOOKS
from study.strategy.stopping import SETTLED, SHARE_OF_LEVEL, due
from study.terminal.faults import one_line
from study.terminal.progress import duration
from trainables.cckd.random_streams import derive_seed
from trainables.checkpoint_store import CheckpointStore


@dataclass(frozen=True)
class SearchTarget:
    """The method that a search and the selection after it tune: the studied method, or a baseline.

    Attributes:
        ledger: its search.
        checkpoints: the checkpoints of its trials and selection runs.
        fixed: values that all its trials share: training settings, and knobs fixed by `--set`.
        title: names the search to the user.
        entry: the confirmation entry of its winner.
        n_later: cost of the phases after its search, in trials.
        keep: writes what search and selection have found to the manifest.
    """

    ledger: Ledger
    checkpoints: CheckpointStore
    fixed: Mapping[str, Any]
    title: str
    entry: str
    n_later: int
    keep: Callable[..., object]

    def config(self, params: Mapping[str, KnobValue]) -> dict[str, Any]:
        """Return the flat configuration of a trial without its seed."""
        return {**self.ledger.space.config(params), **self.fixed}


class Looks:
    """The looks at the search of the studied method, which end it where one finds it settled (`--stop-when settled`).

    A look is taken in a process beside the driver, and trials go on meanwhile. The manifest keeps what was found, so
    that a resumed study takes no look twice.

    Args:
        study: the study.
        target: whose search it is; a tuned baseline's is never looked at, so that no rival is tuned less.
    """

    def __init__(self, study: Study, target: SearchTarget) -> None:
        self._study, self._ledger, self._trials = study, target.ledger, study.checked.plan.trials
        self._takes_any = study.checked.plan.stop_when == SETTLED and target.entry == BEST
        self._found: list[dict[str, Any]] = list(study.store.manifest().get(SEARCH_LOOKS, []))
        self._pending: tuple[int, Future] | None = None

    @property
    def settled(self) -> bool:
        """Whether a look at a search of so many trials has found it settled."""
        return self._takes_any and any(row["settled"] and row["of"] == self._trials for row in self._found)

    def __call__(self) -> None:
        """Take the look that is due, or note what the last one has found; called on every turn of Ray's loop."""
        if not self._takes_any or self.settled:
            return
        if self._pending is not None:
            n_finished, answer = self._pending
            if answer.is_ready:
                self._pending = None
                self._note(n_finished, answer)
        elif due(self._trials, self._ledger.finished_total, [row["finished"] for row in self._found]):
            study = self._study
            answer = study.engine.beside(study.analyses.look, study.store.path, SHARE_OF_LEVEL)
            self._pending = self._ledger.finished_total, answer

    def _note(self, n_finished: int, answer: Future) -> None:
        try:
            settled, text = answer.result()
        except TaskError as error:
            settled, text = False, f"the look failed: {one_line(str(error))}"
        self._found.append({"finished": n_finished, "of": self._trials, "settled": settled, "text": text})
        self._study.store.update_manifest(**{SEARCH_LOOKS: self._found})
        self._study.progress.say(f"NOTE     {'no further trial' if settled else 'the search goes on'}: {text}")


def studied_method(study: Study) -> SearchTarget:
    """Return the studied method as the target of the search."""
    plan = study.checked.plan
    return SearchTarget(
        ledger=study.ledger,
        checkpoints=study.checkpoints,
        fixed={**plan.training_in(study.ledger.space), **plan.fixed_knobs},
        title="search",
        entry=BEST,
        n_later=plan.n_selection_runs
        + len(plan.tuned_baselines) * plan.n_tuning_runs
        + plan.closing_cost(study.ledger.space),
        keep=study.store.update_manifest,
    )


def forwards_teacher(study: Study) -> bool:
    """Return whether a trial of the study may ask for `forward` targets: the knob is fixed to them, or searched."""
    plan, method = study.checked.plan, studied_method(study)
    baselines = [baseline_space(name, study.checked.space, plan) for name in plan.tuned_baselines]
    fixed = [{**method.ledger.space.fixed, **method.fixed}, *(space.fixed for space in baselines)]
    searched = {knob.name for space in (method.ledger.space, *baselines) for knob in space.tunable}
    return "mix_targets" in searched or any(knobs.get("mix_targets") == "forward" for knobs in fixed)


def search(study: Study, target: SearchTarget, attempts: AttemptLog, workers: Workers) -> Iterator[Phase]:
    """Yield the phase of the missing trials of a search, then say how they have ended.

    Raises:
        StudyFailed: failures exceed a limit.
        NothingComplete: every trial has ended and none is complete.
    """
    plan, ledger, looks, held_back = study.checked.plan, target.ledger, Looks(study, target), False
    if ledger.finished_total < plan.trials and (ledger.unfinished() or not looks.settled):
        study.store.update_manifest(phase=target.title)
        study.progress.begin(target.title, plan.trials)
        searcher = LedgerSearcher(
            ledger,
            attempts,
            seed_of=lambda config, replicate: derive_seed("trial", plan.seed, config, replicate),
            settings=target.fixed,
            extras={"checkpoints": target.checkpoints.root},
            may_begin=lambda: study.has_time_for(attempts.n_running + 1 + target.n_later),
            is_settled=lambda: looks.settled,
        )
        tick = Ticker(
            study,
            n_done=lambda: ledger.finished_total,
            seconds_left=lambda n: seconds_left(study, target, workers, plan.trials if looks.settled else n),
            note=lambda left_s: best_and_time_left(target, left_s),
            all_phases=True,
        )

        def on_step() -> None:
            tick()
            looks()

        yield Phase(searcher, on_step)
        study.end_phase()
        study.export()
        held_back = searcher.held_back and not looks.settled
        if held_back:
            study.leave_out(f"{plan.trials - ledger.finished_total} of {plan.trials} trials ({target.title})")
    counts = ledger.counts()
    states = f"{counts['complete']} complete, {counts['pruned']} pruned, {counts['fail']} failed"
    study.progress.say(f"{target.title:<8} {states}")
    study.check_failures()
    if not counts["complete"]:
        causes = sorted({row.cause for row in ledger.rows() if row.cause})
        if held_back:
            causes.append(f"--max-hours {plan.max_hours:g} left no time for a trial: give more")
        raise NothingComplete(f"no trial completed; causes: {'; '.join(causes) or 'none noted'}")


def seconds_left(study: Study, target: SearchTarget, workers: Workers, n_done: int) -> float | None:
    """Return the time left for all phases at the speed that is measured; None before the first trial has ended.

    While too little is measured, the mean cost of the finished trials stands for it.
    """
    plan, ledger = study.checked.plan, target.ledger
    n_left = plan.trials - n_done
    left_s = study.pace.seconds_for(n_left * ledger.mean_epochs() + target.n_later * plan.epochs)
    if left_s is None and n_done:
        left_s = ledger.mean_duration_s() * (n_left + target.n_later) / workers.n_workers
    return left_s


def best_and_time_left(target: SearchTarget, left_s: float | None) -> str:
    """Say the best value so far and the time left."""
    best = target.ledger.best()
    found = f"best {best[0].value:.3f} (trial {best[0].number})" if best else "best -"
    # All 64 of 64 trials may be done while minutes are left: the time of the later phases.
    return found if left_s is None else f"{found}, {duration(left_s)} left{' in all' if target.n_later else ''}"
