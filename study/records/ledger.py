"""The ledger of a search: the one place where the state of a trial is written.

study.db is the whole truth. The copies in memory (`CachedStorage`, `RunTables`) only save reading it. Every method
writes to study.db, in one transaction, before it returns. So opening the ledger after a crash is the same as never
having closed it: trials left RUNNING are handed out again under their own number. Every method that ends a trial may be
called twice; only the first call counts.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import wraps
from math import isfinite
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from optuna.trial import FrozenTrial, TrialState

from search_spaces.knob import KnobValue
from search_spaces.space import SearchSpace
from study.records.connection import Database
from study.records.creation import add_search, make_search, opening
from study.records.search_reader import SearchReader
from study.records.trial_rows import duration_s, unfit_cause
from study.schema import BASELINE_PREFIX, KIND
from study.strategy.evidence import Evidence, n_behind
from study.strategy.optuna_private import reopen_trials
from study.strategy.pruners import PROTECTED, verdict_on
from study.strategy.sampler_view import SeeingSampler
from study.strategy.search_settings import SearchSettings, check_sampler, kind_of, make_pruner, make_sampler
from study.terminal.faults import one_line
from study.terminal.signals import uninterrupted
from trainables.cckd.errors import fails_again
from trainables.cckd.metrics import balanced_accuracy
from trainables.cckd.records import EpochRecord

#: (searched knobs, number of earlier trials with the same ones) -> the seed of a new trial.
SeedOf = Callable[[Mapping[str, KnobValue], int], int]

P = ParamSpec("P")
R = TypeVar("R")


def _whole(method: Callable[Concatenate["Ledger", P], R]) -> Callable[Concatenate["Ledger", P], R]:
    """Make all writes of a method one transaction; if it fails, memory is read again from study.db."""

    @wraps(method)
    def run(self: "Ledger", *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            with self._database.together():
                answer = method(self, *args, **kwargs)
                self._storage.write_new()
                return answer
        except BaseException:
            with uninterrupted():
                self._storage.reload()
                self.runs.reload()
            raise

    return run


@dataclass(frozen=True)
class Suggestion:
    """A trial to run: its Optuna number, its searched knobs, the kind of its choice (`kind_of`), and its seed."""

    number: int
    params: dict[str, KnobValue]
    kind: str
    seed: int


class Ledger(SearchReader):
    """A search of study.db that is open for writing. One driver at a time, in one thread (see `study_lock`).

    `create` and `open` return the ledger of the studied method; `baselines` holds the ledgers of tuned baselines.
    """

    baselines: dict[str, "Ledger"]

    def __init__(self, database: Database, search: str) -> None:
        super().__init__(database, search)
        # The pruner is not part of the Optuna study. Optuna shows a sampler only one bracket of Hyperband's trials, and
        # only after the first verdict of a new pruner. A resumed study would go on with other trials.
        self._pruner = make_pruner(self.settings)

    @classmethod
    def create(
        cls, database: Path, space: SearchSpace, settings: SearchSettings, evidence: Sequence[Evidence] = ()
    ) -> Self:
        """Make study.db with an empty search, whole or not at all, and open it; the sampler learns from `evidence`.

        Raises:
            SettingsError: the file exists, or the space does not have so many trials.
        """
        check_sampler(space, settings)
        make_search(database, space, settings, evidence)
        return cls.open(database)

    @classmethod
    def open(cls, database: Path, *, trials: int | None = None) -> Self:
        """Open an existing search.

        Args:
            database: the file.
            trials: the new total number of trials of this search and of every baseline; None for no change.

        Raises:
            SettingsError: the file is missing or damaged, or a space does not have so many trials.
        """
        with opening(database):
            main = cls._open_all(Database(database))
            if trials is not None:
                try:
                    with main._database.together():
                        ledgers: list[Ledger] = [main, *main.baselines.values()]
                        for ledger in ledgers:
                            ledger._extend(trials)
                except BaseException:
                    main.close()
                    raise
            return main

    def _extend(self, trials: int) -> None:
        self.settings = replace(self.settings, trials=trials)
        check_sampler(self.space, self.settings)
        self._study.set_user_attr("settings", self.settings.to_json())
        self._pruner = make_pruner(self.settings)

    def tune(self, baseline: str, space: SearchSpace) -> "Ledger":
        """Return the search of a baseline, which has the settings of this search; make it if it does not exist.

        An existing search keeps the space with which it was made.

        Raises:
            SettingsError: the space does not have so many trials.
        """
        if baseline not in self.baselines:
            check_sampler(space, self.settings)
            search = BASELINE_PREFIX + baseline
            with self._database.together():
                add_search(self._database, search, space, self.settings)
                self.baselines[baseline] = Ledger(self._database, search)
        return self.baselines[baseline]

    @_whole
    def ask(self, seed_of: SeedOf) -> Suggestion:
        """Choose the next trial."""
        number = self.n_asked
        # Points that depend only on a number continue after the points of the warm-start study.
        sampler = make_sampler(self.space, self.settings, number, n_behind(self._evidence))
        sees_more = self.settings.guards or self._evidence
        self._study.sampler = SeeingSampler(sampler, self._trials_for_sampler) if sees_more else sampler
        trial = self._study.ask()
        assert trial.number == number, "another program writes to this study"
        params, kind = self.space.suggest(trial), kind_of(self.settings, number)
        replicate = sum(other.params == params for other in self._trials()[:number])
        seed = seed_of(params, replicate)
        trial.set_user_attr(KIND, kind)
        trial.set_user_attr("seed", seed)
        return Suggestion(number, params, kind, seed)

    def unfinished(self) -> list[Suggestion]:
        """Return the trials that study.db holds as RUNNING, to be continued by a driver that has started none."""
        return [
            Suggestion(left.number, dict(left.params), left.user_attrs[KIND], left.user_attrs["seed"])
            for left in self._trials(TrialState.RUNNING)
        ]

    @_whole
    def start_attempt(self, number: int) -> int:
        """Count one more start of trial `number` and return the number of starts."""
        trial = self._trial(number)
        attempt = int(trial.user_attrs.get("attempts", 0)) + 1
        self._set(trial, attempts=attempt, **({"interrupted": False} if trial.user_attrs.get("interrupted") else {}))
        return attempt

    @_whole
    def note_interruption(self) -> None:
        """Note of every trial that is not finished that its driver has ended; its next start takes the note back."""
        for trial in self._trials(TrialState.RUNNING):
            self._set(trial, interrupted=True)

    @_whole
    def record(self, number: int, records: Iterable[Mapping[str, Any]]) -> tuple[int, ...]:
        """Record epochs of trial `number`; ignore known epochs, and all epochs of a finished trial.

        Args:
            number: the trial.
            records: `EpochRecord.to_dict()` of each epoch.

        Returns:
            The evaluated epochs that were not known before, ascending.
        """
        trial = self._trial(number)
        if trial.state.is_finished():
            return ()
        epochs = [EpochRecord.from_dict(record) for record in records]
        self.runs.add_epochs(number, epochs)
        fresh = []
        for epoch in epochs:
            if epoch.val is None or epoch.epoch in trial.intermediate_values:
                continue
            value = balanced_accuracy(epoch.val)
            if isfinite(value):  # a pruner would stop the trial at a NaN; it must end as FAIL with its cause
                self._storage.set_trial_intermediate_value(number, epoch.epoch, value)
                fresh.append(epoch.epoch)
        return tuple(sorted(fresh))

    @_whole
    def should_prune(self, number: int, epoch: int) -> bool:
        """Return whether trial `number` should stop after `epoch`; never at the last epoch or between rungs.

        The reference point and the evenly spread trials are never stopped. The pruner judges them all the same: a
        halving pruner records what a trial has reached when it is asked, and later trials compete with that.
        Why the trial should stop is recorded at once: what it was compared with changes with every further result.
        """
        trial = self._trial(number)
        if epoch not in trial.intermediate_values or epoch >= self.settings.epochs or self.settings.second_objective:
            return False
        stops = self._pruner.prune(self._study, trial)
        if not stops or kind_of(self.settings, number) in PROTECTED:
            return False
        judged = self._trial(number)  # with what the pruner has recorded
        verdict = verdict_on(self.settings.pruner, self._pruner, self._study, judged)
        self._set(judged, verdict=asdict(verdict))
        return True

    @_whole
    def report(self, number: int, records: Iterable[Mapping[str, Any]]) -> bool:
        """Record epochs of trial `number`, judge its evaluations one by one, and prune it if one is bad enough.

        This is one transaction, so that a driver that dies leaves no evaluation unjudged. A continued trial reports
        several evaluations at once. Each is judged before the next one is known. Epochs after the one that ends the
        trial are not recorded.

        Args:
            number: the trial.
            records: as for `record`, in ascending order.

        Returns:
            Whether this call has pruned the trial.
        """
        for part in _up_to_evaluations(records):
            evaluated = self.record(number, part)
            if evaluated and self.should_prune(number, evaluated[-1]):
                self.prune(number)
                return True
        return False

    @_whole
    def count_failure(self, number: int, cause: str) -> int:
        """Count a crash of trial `number`, which may be tried again; return its number of crashes over all drivers."""
        trial = self._trial(number)
        failures = int(trial.user_attrs.get("failures", 0)) + 1
        if not trial.state.is_finished():
            self._set(trial, failures=failures, last_error=one_line(cause))
        return failures

    @_whole
    def complete(self, number: int) -> TrialState:
        """End trial `number` with the result of its last epoch and return its state.

        The state is FAIL, never COMPLETE, for a trial that ended early, was not evaluated at its last epoch, or has a
        result that is not a number.
        """
        state = self._trial(number).state
        if state.is_finished():
            return state
        records = self.runs.epochs(number)
        cause = unfit_cause(records, self.settings.epochs)
        if cause:
            return self.fail(number, cause)
        last = records[-1].val
        assert last is not None, "an unevaluated last epoch is a cause"
        second = self.settings.second_objective
        others = [second.value(last, duration_s(records))] if second else []
        return self._end(number, TrialState.COMPLETE, [balanced_accuracy(last), *others])

    @_whole
    def prune(self, number: int) -> TrialState:
        """End trial `number` early with the result of its last evaluated epoch; return its state."""
        return self._end(number, TrialState.PRUNED)

    @_whole
    def fail(self, number: int, cause: str) -> TrialState:
        """End trial `number` as failed because of `cause`; return its state."""
        return self._end(number, TrialState.FAIL, cause=one_line(cause))

    @_whole
    def retry_failed(self) -> list[int]:
        """Make failed trials RUNNING again, to be continued like those of a dead driver; return their numbers.

        A trial whose configuration is at fault would fail again, and stays failed.
        """
        failed = [trial.number for trial in self._trials(TrialState.FAIL) if not fails_again(self.cause(trial.number))]
        reopen_trials(self._database.connection, self._storage.stored_ids(failed))
        self._storage.reload()
        return failed

    def _set(self, trial: FrozenTrial, **attributes: Any) -> None:
        for key, value in attributes.items():
            self._storage.set_trial_user_attr(trial.number, key, value)

    def _end(
        self, number: int, state: TrialState, values: Sequence[float] | None = None, **attributes: Any
    ) -> TrialState:
        """End a trial that has not ended yet; return its state."""
        trial = self._trial(number)
        if not trial.state.is_finished():
            # Optuna refuses attributes of a finished trial, so they come first.
            self._set(trial, **attributes, duration_s=duration_s(self.runs.epochs(number)))
            self._study.tell(number, values, state)
        return self._trial(number).state


def _up_to_evaluations(records: Iterable[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    """Split the records after each evaluated epoch."""
    part: list[Mapping[str, Any]] = []
    for record in records:
        part.append(record)
        if record["val"] is not None:
            yield part
            part = []
    if part:
        yield part
