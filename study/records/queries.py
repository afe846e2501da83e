"""What can be read from an open search: counts, the best trials, rows, the runs of later phases."""

from collections.abc import Mapping

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from search_spaces.space import SearchSpace
from study.records.cached_storage import MirroredStorage
from study.records.run_tables import RecordTables
from study.records.trial_rows import Finalist, TrialRow, finalists, last_val, of_front, trial_row
from study.strategy.evidence import Evidence
from study.strategy.sampler_view import constrained
from study.strategy.search_settings import SearchSettings, kind_of
from trainables.cckd.metrics import balanced_accuracy
from trainables.cckd.records import ClassCounts


class LedgerReading:
    """The half of the ledger that changes nothing; whoever opens the search sets the attributes.

    Attributes:
        baselines: baseline -> the ledger of its search, where it is tuned too.
    """

    baselines: Mapping[str, "LedgerReading"]
    space: SearchSpace
    settings: SearchSettings
    _evidence: tuple[Evidence, ...]
    _study: Study
    _storage: MirroredStorage
    runs: RecordTables

    @property
    def trials(self) -> tuple[FrozenTrial, ...]:
        """Optuna's trials as they stand, by number."""
        return tuple(self._trials())

    @property
    def n_asked(self) -> int:
        """Trials handed out so far, whatever became of them."""
        return len(self._trials())

    @property
    def finished_total(self) -> int:
        """Trials that are COMPLETE, PRUNED or FAIL."""
        return len(self.finished)

    @property
    def finished(self) -> set[int]:
        """Numbers of the trials that are COMPLETE, PRUNED or FAIL."""
        return {trial.number for trial in self._trials() if trial.state.is_finished()}

    def counts(self) -> dict[str, int]:
        """Return the number of trials by state: complete, pruned, fail, running."""
        states = [trial.state for trial in self._trials()]
        wanted = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING)
        return {state.name.lower(): states.count(state) for state in wanted}

    def mean_duration_s(self) -> float:
        """Return the mean seconds a finished trial trained and evaluated, 0 where none has."""
        spent = [trial.user_attrs.get("duration_s", 0.0) for trial in self._trials() if trial.state.is_finished()]
        return sum(spent) / len(spent) if spent else 0.0

    def best(self, top: int = 1) -> tuple[Finalist, ...]:
        """Return the `top` best COMPLETE trials, best first, equals in the order they were asked.

        Where there are guards, only trials that keep them; all where none does (`guards_kept` tells). Of two objectives
        the front: its knee, its two ends, the rest.
        """
        complete = self._trials(TrialState.COMPLETE)
        reference = self._reference()
        keeping = [trial for trial in complete if self._keeps_guards(trial, reference)]
        if self.settings.second_objective:
            return of_front(keeping or complete, self.settings.second_objective)[:top]
        return finalists(keeping or complete, top)

    def guards_kept(self) -> int | None:
        """Return how many COMPLETE trials keep every guard, None where the reference point is not COMPLETE."""
        reference = self._reference()
        if reference is None:
            return None
        return sum(self._keeps_guards(trial, reference) is True for trial in self._trials(TrialState.COMPLETE))

    def rows(self) -> list[TrialRow]:
        """Return every trial as it stands, by number."""
        reference = self._reference()
        return [
            trial_row(trial, self.runs.epochs(trial.number), self._keeps_guards(trial, reference))
            for trial in self._trials()
        ]

    def candidates(self, top: int) -> tuple[Finalist, ...]:
        """Return the `top` best COMPLETE trials and the reference point, where it is complete and not among them."""
        best = self.best(top)
        complete = finalists(self._trials(TrialState.COMPLETE), self.n_asked)
        reference = [found for found in complete if kind_of(self.settings, found.number) == "reference"]
        return (*best, *(found for found in reference if found not in best))

    def _reference(self) -> ClassCounts | None:
        """Counts of trial 0, which the guards compare with, once it is COMPLETE."""
        first = self._trials()[:1]
        return self._val(first[0]) if first and first[0].state == TrialState.COMPLETE else None

    def _val(self, trial: FrozenTrial) -> ClassCounts | None:
        """Counts on D_val after the last evaluated epoch."""
        return last_val(self.runs.epochs(trial.number))

    def _keeps_guards(self, trial: FrozenTrial, reference: ClassCounts | None) -> bool | None:
        """Whether a COMPLETE trial keeps the guards; None where there are none or that cannot be told."""
        excesses = self._excesses(self._val(trial), reference) if trial.state == TrialState.COMPLETE else None
        return None if excesses is None else all(excess <= 0 for excess in excesses)

    def _excesses(self, val: ClassCounts | None, reference: ClassCounts | None) -> list[float] | None:
        """What a COMPLETE trial with these counts loses beyond each guard; None where that cannot be told."""
        if not self.settings.guards or reference is None or val is None:
            return None
        return [guard.excess([val], [reference]) for guard in self.settings.guards]

    def _seen(self) -> list[FrozenTrial]:
        """The trials as a sampler sees them: with the evidence, and with the guards as constraints."""
        reference = self._reference()
        second = self.settings.second_objective  # never seconds, where there is evidence
        found = [(trial, self._val(trial) if trial.state == TrialState.COMPLETE else None) for trial in self._trials()]
        found += [
            (
                one.trial(self.space, [balanced_accuracy(one.val), *([second.value(one.val, 0.0)] if second else [])]),
                one.val,
            )
            for one in self._evidence
        ]
        judged = [(trial, self._excesses(val, reference)) for trial, val in found]
        return [trial if excesses is None else constrained(trial, excesses) for trial, excesses in judged]

    def causes_of_failure(self) -> list[str | None]:
        """Return why trials, those of tuned baselines too, and later runs failed for good, a cause each."""
        failed = [
            trial.user_attrs.get("cause")
            for ledger in (self, *self.baselines.values())
            for trial in ledger._trials(TrialState.FAIL)
        ]
        return failed + [run.cause for run in self.runs.rerun_attempts().values() if run.failed]

    def _trials(self, *states: TrialState) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False, states=states or None)

    def _trial(self, number: int) -> FrozenTrial:
        trial_id = self._storage.get_trial_id_from_study_id_trial_number(self._study._study_id, number)
        return self._storage.get_trial(trial_id)
