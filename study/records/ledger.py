"""The ledger of a search: the one place where a trial's state is written.

study.db is the whole truth. What is held in memory (`MirroredStorage`, `RecordTables`) only saves reading it: every
method writes to study.db, in one transaction, before its answer can be acted upon, so opening the ledger after a
crash is the same as never having closed it: trials left RUNNING are handed out again under their own number.
Every method that ends a trial may be called twice; the first call counts.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from math import isfinite
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import optuna
from optuna.trial import FrozenTrial, TrialState

from search_spaces.space import KnobValue, SearchSpace
from study.records.cached_storage import MirroredStorage
from study.records.connection import Database
from study.records.creation import add_search, make_search, opening, search_names
from study.records.queries import LedgerReading
from study.records.run_tables import RecordTables, one_line
from study.records.trial_rows import duration_s, unfit_cause
from study.schema import BASELINE_PREFIX, STUDY_NAME
from study.strategy.evidence import Evidence
from study.strategy.pruners import PROTECTED
from study.strategy.sampler_view import SeeingSampler
from study.strategy.search_settings import SearchSettings, check_sampler, kind_of, make_pruner, make_sampler
from trainables.cckd.metrics import balanced_accuracy
from trainables.cckd.records import EpochRecord

#: (searched knobs, how many earlier trials have the same ones) -> the trial's seed.
SeedOf = Callable[[Mapping[str, KnobValue], int], int]


P = ParamSpec("P")
R = TypeVar("R")


def _whole(method: Callable[Concatenate["Ledger", P], R]) -> Callable[Concatenate["Ledger", P], R]:
    """Make all that a method writes one transaction; where it fails, memory forgets it as study.db does."""

    @wraps(method)
    def run(self: "Ledger", *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            with self._database.together():
                answer = method(self, *args, **kwargs)
                self._storage.write_new()
                return answer
        except BaseException:
            self._storage.reload()
            self.runs.reload()
            raise

    return run


@dataclass(frozen=True)
class Suggestion:
    """A trial to run: its Optuna number, searched knobs, what chose them, and its seed."""

    number: int
    params: dict[str, KnobValue]
    kind: str
    seed: int


class Ledger(LedgerReading):
    """A search's trials, in study.db. One driver at a time, in one thread (`StudyLock`).

    `create` and `open` give the ledger of the studied method, with those of tuned baselines in `baselines`.

    Args:
        database: the open study.db; `_read` follows.
        search: name of the search.
    """

    def __init__(self, database: Database, search: str) -> None:
        self._database, self._search = database, search
        self._storage = MirroredStorage(database.storage, search)
        self._study = optuna.load_study(study_name=search, storage=self._storage)
        self.runs = RecordTables(database, search)
        self.baselines: dict[str, Ledger] = {}

    def _read(self, trials: int | None = None) -> None:
        """Read how the search goes; `trials`, where given, is its new total."""
        stored = self._study.user_attrs
        self.space = SearchSpace.from_json(stored["space"])
        self.settings = SearchSettings.from_json(stored["settings"])
        self._evidence = tuple(Evidence.from_json(plain) for plain in stored.get("evidence", ()))
        if trials is not None:
            self.settings = replace(self.settings, trials=trials)
            check_sampler(self.space, self.settings)
            with self._database.together():
                self._study.set_user_attr("settings", self.settings.to_json())
        # Not the study's own pruner: Optuna lets a sampler see one bracket of Hyperband's only, and that after the
        # pruner's first verdict since it was made; a study that was resumed would go on with other trials.
        self._pruner = make_pruner(self.settings)

    @classmethod
    def create(
        cls, database: Path, space: SearchSpace, settings: SearchSettings, evidence: Sequence[Evidence] = ()
    ) -> Self:
        """Make study.db with an empty search, whole or not at all, and open it; the sampler learns from `evidence`.

        Raises:
            SettingsError: the file exists, or the space cannot give so many trials.
        """
        check_sampler(space, settings)
        make_search(database, space, settings, evidence)
        return cls.open(database)

    @classmethod
    def open(cls, database: Path, *, trials: int | None = None) -> Self:
        """Open an existing search; `trials`, where given, is its new total, and that of every baseline's.

        Raises:
            SettingsError: no file or a damaged one, or a space cannot give so many trials.
        """
        with opening(database):
            return cls._of(Database(database), trials)

    @classmethod
    def read(cls, database: Path) -> Self:
        """Open a copy in memory of an existing search, to read it; a driver may be writing to the file.

        Raises:
            SettingsError: no file or a damaged one, or another program holds it locked.
        """
        with opening(database):
            return cls._of(Database(database, copied=True))

    @classmethod
    def _of(cls, opened: Database, trials: int | None = None) -> Self:
        try:
            ledgers = {name: cls(opened, name) for name in search_names(opened.storage)}
            main = ledgers[STUDY_NAME]
            with opened.together():
                for ledger in ledgers.values():
                    ledger._read(trials)
        except BaseException:
            opened.close()
            raise
        main.baselines = {
            name.removeprefix(BASELINE_PREFIX): ledger for name, ledger in ledgers.items() if ledger is not main
        }
        return main

    def tune(self, baseline: str, space: SearchSpace) -> "Ledger":
        """Return the search of a baseline, beside this one and on its settings; made where there is none.

        One that is there keeps the space that it was made with.

        Raises:
            SettingsError: the space cannot give so many trials.
        """
        if baseline not in self.baselines:
            check_sampler(space, self.settings)
            search = BASELINE_PREFIX + baseline
            with self._database.together():
                add_search(self._database, search, space, self.settings)
                made = Ledger(self._database, search)
            made._read()
            self.baselines[baseline] = made
        return self.baselines[baseline]

    def close(self) -> None:
        """Close the database; the ledger is of no use afterwards."""
        self._database.close()

    # ---- handing trials out

    @_whole
    def ask(self, seed_of: SeedOf) -> Suggestion:
        """Choose the next trial."""
        number = self.n_asked
        # Points that depend on a number only go on behind those that the other study has had.
        behind = 1 + max((known.number for known in self._evidence), default=-1)
        sampler = make_sampler(self.space, self.settings, number, behind)
        sees_more = self.settings.guards or self._evidence
        self._study.sampler = SeeingSampler(sampler, self._seen) if sees_more else sampler
        trial = self._study.ask()
        assert trial.number == number, "somebody else writes to this study"
        params, kind = self.space.suggest(trial), kind_of(self.settings, number)
        replicate = sum(other.params == params for other in self._trials()[:number])
        seed = seed_of(params, replicate)
        trial.set_user_attr("kind", kind)
        trial.set_user_attr("seed", seed)
        return Suggestion(number, params, kind, seed)

    def unfinished(self) -> list[Suggestion]:
        """Return the trials RUNNING in study.db, to be continued; for a driver that has started none."""
        return [
            Suggestion(left.number, dict(left.params), left.user_attrs["kind"], left.user_attrs["seed"])
            for left in self._trials(TrialState.RUNNING)
        ]

    @_whole
    def start_attempt(self, number: int) -> int:
        """Count one more start of trial `number` and return the count, from 1."""
        trial = self._trial(number)
        attempt = int(trial.user_attrs.get("attempts", 0)) + 1
        self._set(trial, attempts=attempt)
        return attempt

    # ---- what trials report

    @_whole
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
        self.runs.add_epochs(number, epochs)
        return self._report(trial, epochs)

    @_whole
    def should_prune(self, number: int, epoch: int) -> bool:
        """Tell whether trial `number` should stop after `epoch`; never at the last epoch or between rungs.

        The reference point and the Sobol trials are never stopped. The pruner hears of them all the same:
        halving files what a trial reached when it is asked, and later trials compete against that.
        """
        trial = self._trial(number)
        if epoch not in trial.intermediate_values or epoch >= self.settings.epochs or self.settings.second_objective:
            return False
        verdict = self._pruner.prune(self._study, trial)
        return verdict and kind_of(self.settings, number) not in PROTECTED

    @_whole
    def report(self, number: int, records: Iterable[Mapping[str, Any]]) -> bool:
        """File epochs of trial `number`, judge its evaluations one by one, prune it where one is bad enough.

        One transaction, so that a driver that dies leaves no evaluation unjudged. A continued trial reports several at
        once; each is judged before the next is known, and what comes after the one that ends the trial is not filed.

        Args:
            number: the trial.
            records: as for `record`, ascending.

        Returns:
            Whether the trial has been pruned now.
        """
        for part in _up_to_evaluations(records):
            evaluated = self.record(number, part)
            if evaluated and self.should_prune(number, evaluated[-1]):
                self.prune(number)
                return True
        return False

    @_whole
    def count_failure(self, number: int, cause: str) -> int:
        """Count a crash of trial `number`, which may be tried again, and return how many it had over all drivers."""
        trial = self._trial(number)
        failures = int(trial.user_attrs.get("failures", 0)) + 1
        if not trial.state.is_finished():
            self._set(trial, failures=failures, last_error=one_line(cause))
        return failures

    # ---- ending trials

    @_whole
    def complete(self, number: int) -> str:
        """End trial `number` with the result of its last epoch; return the state it has now.

        A trial that ended early, was not evaluated at its last epoch, or has a result that is no number is
        filed FAIL with that cause, never COMPLETE.
        """
        trial = self._trial(number)
        if not trial.state.is_finished():
            records = self.runs.epochs(number)
            cause = unfit_cause(records, self.settings.epochs)
            if cause:
                return self.fail(number, cause)
            last = records[-1].val
            assert last is not None, "an unevaluated last epoch is a cause"
            second = self.settings.second_objective
            others = [second.value(last, duration_s(records))] if second else []
            self._end(trial, TrialState.COMPLETE, [balanced_accuracy(last), *others])
        return self._trial(number).state.name

    @_whole
    def prune(self, number: int) -> str:
        """End trial `number` early, with the result of its last evaluated epoch; return its state."""
        trial = self._trial(number)
        if not trial.state.is_finished():
            self._end(trial, TrialState.PRUNED)
        return self._trial(number).state.name

    @_whole
    def fail(self, number: int, cause: str) -> str:
        """End trial `number` as failed because of `cause`; return its state."""
        trial = self._trial(number)
        if not trial.state.is_finished():
            self._set(trial, cause=one_line(cause))
            self._end(trial, TrialState.FAIL)
        return self._trial(number).state.name

    def _set(self, trial: FrozenTrial, **attributes: Any) -> None:
        for key, value in attributes.items():
            self._storage.set_trial_user_attr(trial._trial_id, key, value)

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

    def _end(self, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None = None) -> None:
        # A finished trial takes no more attributes, so they come first.
        self._set(trial, duration_s=duration_s(self.runs.epochs(trial.number)))
        self._study.tell(trial.number, values, state)


def _up_to_evaluations(records: Iterable[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    """Cut the records behind each evaluated epoch."""
    part: list[Mapping[str, Any]] = []
    for record in records:
        part.append(record)
        if record["val"] is not None:
            yield part
            part = []
    if part:
        yield part
