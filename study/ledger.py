"""The ledger of a search: the one place where a trial's state is written.

study.db is the whole truth. Nothing needed for a decision lives only in memory, so opening the ledger after a
crash is the same as never having closed it: trials left RUNNING are handed out again under their own number.
Every method that ends a trial may be called twice; the first call counts.
"""

import sqlite3
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Any, Self

import optuna
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import URL
from sqlalchemy.exc import SQLAlchemyError

from search_spaces.space import KnobValue, SearchSpace
from study.ledger_rows import Finalist, TrialRow, finalists, trial_row, unfit_cause, val_summary
from study.pruners import PROTECTED, make_pruner
from study.record_tables import ConfirmRun, RecordTables, SelectionRun
from study.samplers import check_sampler, kind_of, make_sampler
from study.schema import METRIC, STUDY_NAME
from study.settings import SearchSettings, SettingsError
from trainables.cckd.atomic import replacing
from trainables.cckd.metrics import balanced_accuracy
from trainables.cckd.records import ClassCounts, EpochRecord

#: (searched knobs, how many earlier trials have the same ones) -> the trial's seed.
SeedOf = Callable[[Mapping[str, KnobValue], int], int]


@dataclass(frozen=True)
class Suggestion:
    """A trial to run: its Optuna number, searched knobs, what chose them, and its seed."""

    number: int
    params: dict[str, KnobValue]
    kind: str
    seed: int


class Ledger:
    """The search's trials, in study.db. One driver at a time, in one thread (`StudyLock`)."""

    def __init__(self, database: Path, *, trials: int | None) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._storage = RDBStorage(_url(database))
        self._study = optuna.load_study(study_name=STUDY_NAME, storage=self._storage)
        self._records = RecordTables(database)
        stored = self._study.user_attrs
        self.space = SearchSpace.from_json(stored["space"])
        self.settings = SearchSettings.from_json(stored["settings"])
        if trials is not None:
            self.settings = replace(self.settings, trials=trials)
            check_sampler(self.space, self.settings)
            self._study.set_user_attr("settings", self.settings.to_json())
        self._study.pruner = make_pruner(self.settings)
        for trial in self._trials(TrialState.RUNNING):
            # A crash may have come between the two writes of `record`.
            self._report(trial, self._records.epochs(trial.number))

    @classmethod
    def create(cls, database: Path, space: SearchSpace, settings: SearchSettings) -> Self:
        """Make study.db with an empty search, whole or not at all, and open it.

        Raises:
            SettingsError: the file exists, or the space cannot give so many trials.
        """
        check_sampler(space, settings)
        if database.exists():
            raise SettingsError(f"a search is created once; {database} exists already")
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with replacing(database) as beside:
            storage = RDBStorage(_url(beside))
            study = optuna.create_study(study_name=STUDY_NAME, storage=storage, direction="maximize")
            with warnings.catch_warnings():
                # Experimental since 3.2; it only names the axis in dashboards and plots.
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                study.set_metric_names([METRIC])
            study.set_user_attr("space", space.to_json())
            study.set_user_attr("settings", settings.to_json())
            _dispose(storage)
        return cls(database, trials=None)

    @classmethod
    def open(cls, database: Path, *, trials: int | None = None) -> Self:
        """Open an existing search; `trials`, where given, is its new total.

        Raises:
            SettingsError: no file or a damaged one, or the space cannot give so many trials.
        """
        if not database.exists():
            raise SettingsError(f"there is no search to open; {database} does not exist")
        try:
            return cls(database, trials=trials)
        except (KeyError, SQLAlchemyError, sqlite3.Error) as error:
            raise SettingsError(
                f"{database} must be a study's intact database; opening it gave {type(error).__name__}"
            ) from error

    def close(self) -> None:
        """Close both connections; the ledger is of no use afterwards."""
        self._records.close()
        _dispose(self._storage)

    # ---- handing trials out

    def ask(self, seed_of: SeedOf) -> Suggestion:
        """Choose the next trial."""
        number = self.n_asked
        self._study.sampler = make_sampler(self.space, self.settings, number)
        trial = self._study.ask()
        assert trial.number == number, "somebody else writes to this study"
        return self._settled(trial, seed_of)

    def unfinished(self, seed_of: SeedOf) -> list[Suggestion]:
        """Return the trials RUNNING in study.db, to be continued; for a driver that has started none.

        A trial whose knobs are incomplete, because a driver died while choosing them, gets the missing ones.
        """
        found = []
        for left in self._trials(TrialState.RUNNING):
            self._study.sampler = make_sampler(self.space, self.settings, left.number)
            found.append(self._settled(optuna.Trial(self._study, left._trial_id), seed_of))
        return found

    def start_attempt(self, number: int) -> int:
        """Count one more start of trial `number` and return the count, from 1."""
        trial = self._trial(number)
        attempt = int(trial.user_attrs.get("attempts", 0)) + 1
        self._set(trial, attempts=attempt)
        return attempt

    # ---- what trials report

    def record(self, number: int, records: Iterable[Mapping[str, Any]]) -> tuple[int, ...]:
        """File epochs of trial `number`; known epochs, and those of a finished trial, are ignored.

        Args:
            number: the trial.
            records: `EpochRecord.to_dict()` of each epoch.

        Returns:
            The epochs evaluated that were not known before, ascending.
        """
        trial = self._trial(number)
        if trial.state.is_finished():
            return ()
        epochs = [EpochRecord.from_dict(record) for record in records]
        self._records.add_epochs(number, epochs)
        return self._report(trial, epochs)

    def should_prune(self, number: int, epoch: int) -> bool:
        """Tell whether trial `number` should stop after `epoch`; never at the last epoch or between rungs.

        The reference point and the Sobol trials are never stopped. The pruner hears of them all the same:
        halving files what a trial reached when it is asked, and later trials compete against that.
        """
        trial = self._trial(number)
        if epoch not in trial.intermediate_values or epoch >= self.settings.epochs:
            return False
        verdict = self._study.pruner.prune(self._study, trial)
        return verdict and kind_of(self.settings, number) not in PROTECTED

    def note_error(self, number: int, cause: str) -> None:
        """Keep the cause of a crash, which fails the trial only if it is not retried."""
        trial = self._trial(number)
        if not trial.state.is_finished():
            self._set(trial, last_error=_one_line(cause))

    def last_error(self, number: int) -> str | None:
        """Return the cause kept last, None where there was no crash."""
        return self._trial(number).user_attrs.get("last_error")

    # ---- ending trials

    def complete(self, number: int) -> str:
        """End trial `number` with the result of its last epoch; return the state it has now.

        A trial that ended early, was not evaluated at its last epoch, or has a result that is no number is
        filed FAIL with that cause, never COMPLETE.
        """
        trial = self._trial(number)
        if not trial.state.is_finished():
            records = self._records.epochs(number)
            cause = unfit_cause(records, self.settings.epochs)
            if cause:
                return self.fail(number, cause)
            last = records[-1].val
            assert last is not None, "an unevaluated last epoch is a cause"
            self._end(trial, TrialState.COMPLETE, value=balanced_accuracy(last))
        return self._trial(number).state.name

    def prune(self, number: int) -> str:
        """End trial `number` early, with the result of its last evaluated epoch; return its state."""
        trial = self._trial(number)
        if not trial.state.is_finished():
            self._end(trial, TrialState.PRUNED)
        return self._trial(number).state.name

    def fail(self, number: int, cause: str) -> str:
        """End trial `number` as failed because of `cause`; return its state."""
        trial = self._trial(number)
        if not trial.state.is_finished():
            self._set(trial, cause=_one_line(cause))
            self._end(trial, TrialState.FAIL)
        return self._trial(number).state.name

    # ---- reading

    @property
    def n_asked(self) -> int:
        """Trials handed out so far, whatever became of them."""
        return len(self._trials())

    @property
    def finished_total(self) -> int:
        """Trials that are COMPLETE, PRUNED or FAIL."""
        return len(self._trials(TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL))

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
        """Return the `top` best COMPLETE trials, best first, equals in the order they were asked."""
        return finalists(self._trials(TrialState.COMPLETE), top)

    def rows(self) -> list[TrialRow]:
        """Return every trial as it stands, by number."""
        epochs = self._records.all_epochs()
        return [trial_row(trial, epochs.get(trial.number, [])) for trial in self._trials()]

    # ---- selection and confirmation

    def candidates(self, top: int) -> tuple[Finalist, ...]:
        """Return the `top` best COMPLETE trials and the reference point, where it is complete and not among them."""
        best = self.best(top)
        complete = finalists(self._trials(TrialState.COMPLETE), self.n_asked)
        reference = [found for found in complete if kind_of(self.settings, found.number) == "reference"]
        return (*best, *(found for found in reference if found not in best))

    def add_selection_run(self, trial: int, seed: int, val: ClassCounts) -> None:
        """File one run of the selection; a second for the same (trial, seed) is ignored."""
        self._records.add_selection_run(trial, seed, val)

    def selection_runs(self) -> list[SelectionRun]:
        """Return the selection's runs, in the order they were filed."""
        return self._records.selection_runs()

    def add_confirm_run(self, entry: str, seed: int | None, trial: int | None, record: Mapping[str, Any]) -> None:
        """File one run of the confirmation; a second for the same (entry, seed) is ignored."""
        self._records.add_confirm_run(entry, seed, trial, record)

    def drop_confirm_runs(self, entry: str, *, but_of: int) -> None:
        """Forget an entry's runs of any other trial: a study that was extended may have another best."""
        self._records.drop_confirm_runs(entry, but_of=but_of)

    def confirm_runs(self) -> list[ConfirmRun]:
        """Return the confirmation's runs, in the order they were filed."""
        return self._records.confirm_runs()

    def _trials(self, *states: TrialState) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False, states=states or None)

    def _trial(self, number: int) -> FrozenTrial:
        trial_id = self._storage.get_trial_id_from_study_id_trial_number(self._study._study_id, number)
        return self._storage.get_trial(trial_id)

    def _set(self, trial: FrozenTrial, **attributes: Any) -> None:
        for key, value in attributes.items():
            self._storage.set_trial_user_attr(trial._trial_id, key, value)

    def _settled(self, trial: optuna.Trial, seed_of: SeedOf) -> Suggestion:
        params = self.space.suggest(trial)
        kind = kind_of(self.settings, trial.number)
        seed = trial.user_attrs.get("seed")
        if seed is None:
            replicate = sum(other.params == params for other in self._trials() if other.number < trial.number)
            seed = seed_of(params, replicate)
            trial.set_user_attr("kind", kind)
            trial.set_user_attr("seed", seed)
        return Suggestion(trial.number, params, kind, seed)

    def _report(self, trial: FrozenTrial, records: Iterable[EpochRecord]) -> tuple[int, ...]:
        fresh = []
        for record in records:
            if record.val is None or record.epoch in trial.intermediate_values:
                continue
            value = balanced_accuracy(record.val)
            if isfinite(value):  # a pruner would stop a NaN; it is to end as FAIL, with its cause
                self._storage.set_trial_intermediate_value(trial._trial_id, record.epoch, value)
                fresh.append(record.epoch)
        return tuple(sorted(fresh))

    def _end(self, trial: FrozenTrial, state: TrialState, value: float | None = None) -> None:
        # A finished trial takes no more attributes, so they come first.
        self._set(trial, **val_summary(self._records.epochs(trial.number)))
        self._study.tell(trial.number, value, state)


def _url(database: Path) -> str:
    # Built, not pasted: a '?' or '%' in a folder's name would be read as syntax.
    return URL.create("sqlite", database=str(database.absolute())).render_as_string()


def _dispose(storage: RDBStorage) -> None:
    storage.remove_session()
    storage.engine.dispose()


def _one_line(cause: str) -> str:
    return " ".join(cause.split())[:500]
