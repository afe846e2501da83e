"""One search of a study.db, to be read: its space, settings, trials, and the runs of later phases."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import optuna
from optuna.trial import FrozenTrial, TrialState

from search_spaces.space import SearchSpace
from study.records.cached_storage import CachedStorage
from study.records.connection import Database
from study.records.creation import opening, search_names
from study.records.run_tables import RunTables
from study.records.trial_rows import Finalist, TrialRow, finalists, last_val, of_front, trial_row
from study.schema import BASELINE_PREFIX, STUDY_NAME
from study.strategy.evidence import Evidence
from study.strategy.optuna_private import constrained
from study.strategy.search_settings import SearchSettings, kind_of
from study.terminal.signals import uninterrupted
from trainables.cckd.records import ClassCounts


class SearchReader:
    """One search: the search of the studied method, or the search of a tuned baseline.

    `read` opens the search of the studied method; `baselines` holds the searches of its tuned baselines.

    Args:
        database: the open study.db.
        search: name of the search.

    Attributes:
        space, settings: of this search.
        runs: our own tables in study.db.
        baselines: baseline -> its search.
    """

    baselines: Mapping[str, "SearchReader"]

    def __init__(self, database: Database, search: str) -> None:
        self._database, self._search = database, search
        self._storage = CachedStorage(database.storage, search)
        self._study = optuna.load_study(study_name=search, storage=self._storage)
        stored = self._study.user_attrs
        self.space = SearchSpace.from_json(stored["space"])
        self.settings = SearchSettings.from_json(stored["settings"])
        self._evidence = tuple(Evidence.from_json(plain) for plain in stored.get("evidence", ()))
        self.runs = RunTables(database, search)
        self.baselines = {}

    @classmethod
    def read(cls, database: Path) -> Self:
        """Open a copy of study.db in memory; a driver may write to the file meanwhile.

        Raises:
            SettingsError: the file is missing, damaged, or locked by another program.
        """
        with opening(database):
            return cls._open_all(Database(database, copied=True))

    @classmethod
    def _open_all(cls, database: Database) -> Self:
        with ExitStack() as on_error:
            on_error.callback(database.close)
            with uninterrupted():
                searches = {name: cls(database, name) for name in search_names(database.storage)}
                main = searches.pop(STUDY_NAME)
            on_error.pop_all()
        main.baselines = {name.removeprefix(BASELINE_PREFIX): search for name, search in searches.items()}
        return main

    def close(self) -> None:
        """Close the database; nothing of this search can be read afterwards."""
        self._database.close()

    @property
    def trials(self) -> tuple[FrozenTrial, ...]:
        """Optuna's trials as they stand, by number."""
        return tuple(self._trials())

    @property
    def n_asked(self) -> int:
        """Number of trials handed out so far, in any state."""
        return len(self._trials())

    @property
    def finished_total(self) -> int:
        """Number of trials that are COMPLETE, PRUNED, or FAIL."""
        return len(self.finished)

    @property
    def finished(self) -> set[int]:
        """Numbers of the trials that are COMPLETE, PRUNED, or FAIL."""
        return {trial.number for trial in self._trials() if trial.state.is_finished()}

    def counts(self) -> dict[str, int]:
        """Return the number of trials by state: complete, pruned, fail, running."""
        states = [trial.state for trial in self._trials()]
        wanted = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING)
        return {state.name.lower(): states.count(state) for state in wanted}

    def mean_duration_s(self) -> float:
        """Return the mean seconds that a finished trial took to train and evaluate; 0 if no trial has finished."""
        spent = [trial.user_attrs.get("duration_s", 0.0) for trial in self._trials() if trial.state.is_finished()]
        return sum(spent) / len(spent) if spent else 0.0

    def mean_epochs(self) -> float:
        """Return the mean number of epochs of a finished trial; the planned number if no trial has finished."""
        planned = self.settings.epochs
        ended = [
            planned if trial.state is TrialState.COMPLETE else trial.last_step or 0
            for trial in self._trials()
            if trial.state.is_finished()
        ]
        return sum(ended) / len(ended) if ended else planned

    def best(self, top: int = 1) -> tuple[Finalist, ...]:
        """Return the `top` best COMPLETE trials, best first, equal ones by number.

        With guards, only trials that keep them count, or all trials if none does (see `guards_kept`). With two
        objectives, return the front: its knee, its two ends, then the rest.
        """
        complete = self._trials(TrialState.COMPLETE)
        reference = self._reference()
        keeping = [trial for trial in complete if self._keeps_guards(trial, reference)]
        if self.settings.second_objective:
            return of_front(keeping or complete, self.settings.second_objective)[:top]
        return finalists(keeping or complete, top)

    def guards_kept(self) -> int | None:
        """Return how many COMPLETE trials keep every guard; None if the reference point is not COMPLETE."""
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
        """Return the `top` best COMPLETE trials, then the reference point if it is COMPLETE and not among them."""
        best = self.best(top)
        complete = finalists(self._trials(TrialState.COMPLETE), self.n_asked)
        reference = [found for found in complete if kind_of(self.settings, found.number) == "reference"]
        return (*best, *(found for found in reference if found not in best))

    def _reference(self) -> ClassCounts | None:
        """Return the counts of trial 0, with which the guards compare; None until it is COMPLETE."""
        first = self._trials()[:1]
        return self._val(first[0]) if first and first[0].state == TrialState.COMPLETE else None

    def _val(self, trial: FrozenTrial) -> ClassCounts | None:
        """Return the counts on D_val after the last evaluated epoch."""
        return last_val(self.runs.epochs(trial.number))

    def _keeps_guards(self, trial: FrozenTrial, reference: ClassCounts | None) -> bool | None:
        """Return whether a COMPLETE trial keeps the guards; None without guards, or if that cannot be known."""
        excesses = self._excesses(self._val(trial), reference) if trial.state == TrialState.COMPLETE else None
        return None if excesses is None else all(excess <= 0 for excess in excesses)

    def _excesses(self, val: ClassCounts | None, reference: ClassCounts | None) -> list[float] | None:
        """Return how far these counts of a COMPLETE trial break each guard; None if that cannot be known."""
        if not self.settings.guards or reference is None or val is None:
            return None
        return [guard.excess([val], [reference]) for guard in self.settings.guards]

    def _trials_for_sampler(self) -> list[FrozenTrial]:
        """Return the trials that a sampler sees: with the evidence, and with the guards as constraints."""
        reference = self._reference()
        second = self.settings.second_objective  # never the seconds of a trial if there is evidence
        found = [(trial, self._val(trial) if trial.state == TrialState.COMPLETE else None) for trial in self._trials()]
        for one in self._evidence:
            values = [one.value, *([second.value(one.val, 0.0)] if second and one.val else [])]
            found.append((one.trial(self.space, values), one.val))
        judged = [(trial, self._excesses(val, reference)) for trial, val in found]
        return [trial if excesses is None else constrained(trial, excesses) for trial, excesses in judged]

    def cause(self, number: int) -> str | None:
        """Return why trial `number` failed for good; None if it has not."""
        cause: str | None = self._trial(number).user_attrs.get("cause")
        return cause

    def causes_of_failure(self) -> list[str | None]:
        """Return one cause per failure for good: of trials, of trials of tuned baselines, and of later runs."""
        failed = [
            trial.user_attrs.get("cause")
            for ledger in (self, *self.baselines.values())
            for trial in ledger._trials(TrialState.FAIL)
        ]
        return failed + [run.cause for run in self.runs.rerun_attempts().values() if run.failed]

    def _trials(self, *states: TrialState) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False, states=states or None)

    def _trial(self, number: int) -> FrozenTrial:
        return self._storage.get_trial(number)
