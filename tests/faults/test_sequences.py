"""Whatever Ray, the trials and the machine do, in any order: nothing is lost, repeated, misfiled or left running."""

import os
import shutil
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from optuna.distributions import FloatDistribution
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from search_spaces.knob import Knob
from search_spaces.space import SearchSpace
from study.execution.attempts import AttemptLog
from study.execution.course import Course, CourseScheduler, Phase
from study.execution.failure_budget import FailureBudget
from study.execution.failure_causes import Kind, cause
from study.execution.searchers import LedgerSearcher
from study.records.ledger import Ledger
from study.strategy.search_settings import SearchSettings

SLOTS, TRIALS, EPOCHS, RETRIES = 2, 5, 3, 1
#: How many sequences the slow test plays; `make soak` plays a thousand.
_MANY = int(os.environ.get("CCKD_SEQUENCES", "60"))
_SPACE = SearchSpace(
    name="toy",
    purpose="Does the engine work?",
    method="la",
    tunable=(Knob("lr", FloatDistribution(0.02, 0.8, log=True), "1", "toy", 0.2),),
    default_trials=TRIALS,
)
_SETTINGS = SearchSettings("random", "asha", TRIALS, 0, 7, EPOCHS, (1, 2, 3))
_STATES = {"complete": "COMPLETE", "prune": "PRUNED", "fail": "FAIL"}


class Sequences(RuleBasedStateMachine):
    """Plays Ray: two slots, the order of its calls, and a driver that can be killed between any two of them."""

    empty: Path
    errors: Path

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.ids = 0
        #: What a Ray trial runs, by its id: the trial, and how many epochs it has reported.
        self.slots: dict[str, tuple[SimpleNamespace, int]] = {}
        #: Trials that are RUNNING in the ledger and in no slot: left by a dead driver, crashed, or taken back by Ray.
        self.waiting: set[int] = set()
        self.attempts: dict[int, int] = {}
        self.crashes: dict[int, int] = {}
        self.ended: dict[int, tuple[str, str | None]] = {}
        self.knobs: dict[int, tuple[dict[str, Any], int]] = {}

    @initialize()
    def begin(self) -> None:
        shutil.copy(self.empty, self.folder / "study.db")
        self._open()

    def _open(self) -> None:
        self.ledger = Ledger.open(self.folder / "study.db")
        self.log = AttemptLog(FailureBudget(max_retries=RETRIES, max_failures=TRIALS, n_workers=1000))
        self.searcher = LedgerSearcher(self.ledger, self.log, seed_of=lambda config, replicate: 100 + replicate)
        phase = Phase(self.searcher, lambda: None)
        self.scheduler = CourseScheduler(Course(phase, iter(()), self.log, ("/tmp", "ray")))

    # ---- Ray's calls

    @precondition(lambda self: len(self.slots) < SLOTS)
    @rule()
    def ask(self) -> None:
        self.ids += 1
        name = f"ray-{self.ids}"
        config = self.searcher.suggest(name)
        if config is None or config == Searcher.FINISHED:
            assert not self.waiting, "what is left to do is handed out"
            assert self.ledger.n_asked == TRIALS
            assert (config is None) == bool(self.slots), "Ray asks again or ends"
            return
        number, knobs = config["number"], config["config"]
        if self.waiting:
            assert number in self.waiting, "what was begun comes first"
            self.waiting.discard(number)
        else:
            assert number not in self.knobs, "no trial is handed out twice"
            assert knobs["lr"] not in [known["lr"] for known, _ in self.knobs.values()], "no configuration comes again"
            self.knobs[number] = (knobs, number)
        assert self.knobs[number][0] == knobs
        self.attempts[number] = self.attempts.get(number, 0) + 1
        assert config["attempt"] == self.attempts[number]
        trial = SimpleNamespace(trial_id=name, config=config, error_file=str(self.errors))
        trial.set_config = lambda new: setattr(trial, "config", new)
        self.scheduler.on_trial_add(SimpleNamespace(_tune_controller=None), trial)
        self.slots[name] = (trial, 0)

    @precondition(lambda self: self.slots)
    @rule(data=st.data(), right=st.integers(0, 10), repeat=st.booleans())
    def report(self, data, right: int, repeat: bool) -> None:
        name, trial, done = self._one(data)
        if done + 1 >= EPOCHS:
            return
        first = 1 if repeat else done + 1  # a continued trial reports all it has
        result = _result([_epoch(k, right) for k in range(first, done + 2)])
        self.slots[name] = (trial, done + 1)
        if self.scheduler.on_trial_result(None, trial, result) == TrialScheduler.STOP:
            result["done"] = True
            self.scheduler.on_trial_complete(None, trial, result)
            self._end(name, "PRUNED", result)

    @precondition(lambda self: self.slots)
    @rule(data=st.data(), right=st.integers(0, 10))
    def finish(self, data, right: int) -> None:
        name, _, _ = self._one(data)
        self._finish(name, right)

    @precondition(lambda self: self.slots)
    @rule(data=st.data(), cause=st.sampled_from(["non-finite loss: it", "bad configuration: no"]))
    def fault(self, data, cause: str) -> None:
        name, _, _ = self._one(data)
        self._end(name, "FAIL", _result([], done=True, cause=cause), cause)

    @precondition(lambda self: self.slots)
    @rule(data=st.data())
    def end_too_early(self, data) -> None:
        name, trial, _ = self._one(data)
        known = len(self.ledger.rows()[trial.config["number"]].records)
        if known < EPOCHS:
            cause = f"the trial ended after epoch {known} of {EPOCHS}" if known else "the trial ended without"
            self._end(name, "FAIL", _result([], done=True), cause)

    @precondition(lambda self: self.slots)
    @rule(data=st.data(), hung=st.booleans())
    def crash(self, data, hung: bool) -> None:
        """It comes again, unless that was once too often; a trial that hangs is killed, and so crashes."""
        name, trial, _ = self._one(data)
        number = trial.config["number"]
        if hung:
            self.log.hang(name, 60.0)
        self.scheduler.on_trial_error(None, trial)
        self.crashes[number] = self.crashes.get(number, 0) + 1
        if self.crashes[number] > RETRIES:
            told = cause(Kind.HUNG, "no report for 60 s") if hung else "exception: OSError: lost"
            self._end(name, "FAIL", None, told)
            return
        for _ in range(2):  # Ray may say it twice
            self.searcher.on_trial_complete(name, error=True)
        del self.slots[name]
        self.waiting.add(number)

    @precondition(lambda self: self.slots)
    @rule(data=st.data())
    def take_back(self, data) -> None:
        """Ray has taken back a run that had not begun, for instance because its node is lost; it comes again."""
        name, trial, _ = self._one(data)
        for _ in range(2):  # Ray may say it twice
            self.searcher.on_trial_complete(name)
        del self.slots[name]
        self.waiting.add(trial.config["number"])

    # ---- what else happens

    @precondition(lambda self: self.ended)
    @rule(data=st.data())
    def a_survivor_reports_once_more(self, data) -> None:
        number = data.draw(st.sampled_from(sorted(self.ended)))
        before = self.ledger.rows()[number]
        assert self.ledger.record(number, [_epoch(k, 9) for k in range(1, EPOCHS + 1)]) == ()
        assert self.ledger.complete(number).name == self.ended[number][0]
        assert self.ledger.rows()[number] == before

    @precondition(lambda self: self.slots)
    @rule()
    def kill(self) -> None:
        """What is on the disk is all that the next driver has."""
        after = Path(tempfile.mkdtemp())
        for file in self.folder.glob("study.db*"):
            if not file.name.endswith("-shm"):
                shutil.copy(file, after)
        self.ledger.close()
        shutil.rmtree(self.folder)
        self.folder = after
        self.waiting |= {trial.config["number"] for trial, _ in self.slots.values()}
        self.slots.clear()
        self._open()

    # ---- what must hold, always

    @invariant()
    def every_trial_is_where_it_belongs(self) -> None:
        if not hasattr(self, "ledger"):
            return
        rows = self.ledger.rows()
        assert [row.number for row in rows] == list(range(len(self.knobs)))
        in_slots = {trial.config["number"] for trial, _ in self.slots.values()}
        assert {row.number for row in rows if row.state == "RUNNING"} == in_slots | self.waiting
        assert len(in_slots) == len(self.slots) <= SLOTS
        for row in rows:
            assert (row.params["lr"], row.attempts) == (self.knobs[row.number][0]["lr"], self.attempts[row.number])
            assert [record.epoch for record in row.records] == list(range(1, len(row.records) + 1))
            if row.number in self.ended:
                state, cause = self.ended[row.number]
                assert row.state == state
                assert row.cause == cause or (cause and row.cause and row.cause.startswith(cause))

    def teardown(self) -> None:
        """Drain the queue: it ends, with every trial ended once."""
        if hasattr(self, "ledger"):
            for _ in range(2 * TRIALS):
                while self.slots:
                    self._finish(next(iter(self.slots)), right=5)
                self.ask()
            assert not self.slots
            counts = self.ledger.counts()
            assert counts.pop("running") == 0
            assert sum(counts.values()) == TRIALS == len(self.ended)
            self.every_trial_is_where_it_belongs()
            self.ledger.close()
        shutil.rmtree(self.folder)

    def _one(self, data) -> tuple[str, SimpleNamespace, int]:
        name = data.draw(st.sampled_from(sorted(self.slots)))
        return name, *self.slots[name]

    def _finish(self, name: str, right: int) -> None:
        """It reports all its epochs; one before the last that no driver has judged yet may still end it."""
        trial, done = self.slots[name]
        number = trial.config["number"]
        n_judged = len(self.ledger.rows()[number].records)
        result = _result([_epoch(k, right) for k in range(done + 1, EPOCHS + 1)], done=True)
        self.scheduler.on_trial_complete(None, trial, result)
        self._end(name, "COMPLETE", result)
        row = self.ledger.rows()[number]
        if row.state == "PRUNED":
            assert n_judged < len(row.records) < EPOCHS
            self.ended[number] = ("PRUNED", None)

    def _end(self, name: str, state: str, result: dict[str, Any] | None, cause: str | None = None) -> None:
        trial, _ = self.slots.pop(name)
        for _ in range(2):  # Ray may say it twice
            self.searcher.on_trial_complete(name, result, error=result is None)
        number = trial.config["number"]
        assert number not in self.ended
        self.ended[number] = (state, cause)


def _epoch(epoch: int, right: int) -> dict[str, Any]:
    val = {"correct": [right, 10], "seen": [10, 10]}
    return {"epoch": epoch, "losses": {"total": 1.0}, "lr": 0.1, "val": val, "train_s": 1.0, "eval_s": 0.5}


def _result(records: list[dict[str, Any]], *, done: bool = False, cause: str | None = None) -> dict[str, Any]:
    return {"records": records, "done": done, "cause": cause}


@pytest.mark.parametrize("n_sequences", [10, pytest.param(_MANY, marks=pytest.mark.slow)])
def test_no_sequence_of_events_loses_repeats_or_misfiles_a_trial(tmp_path: Path, n_sequences: int) -> None:
    Ledger.create(tmp_path / "empty.db", _SPACE, _SETTINGS).close()
    (tmp_path / "error.txt").write_text("Failure # 1 (occurred at 2026-11-24_06-00-00)\nOSError: lost\n")

    class Here(Sequences):
        empty = tmp_path / "empty.db"
        errors = tmp_path / "error.txt"

    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=n_sequences,
            stateful_step_count=20,
            deadline=None,
            derandomize=n_sequences != _MANY,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
