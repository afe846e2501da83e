"""The phases of a course in the same workers; progress, and the first and second Ctrl-C."""

import os
import pickle
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.search import Searcher

from study.execution.attempts import AttemptLog
from study.execution.failure_budget import FailureBudget
from study.execution.schedulers import ListeningScheduler
from study.execution.tuner import Course, CourseSearcher, Phase, Places, StepCallback, run_trials
from study.execution.workers import Workers, ray_session
from study.phases.reruns import Rerun, RerunSearcher
from study.records.ledger import Ledger


def test_the_progress_callback_is_called_every_turn_and_pickles_without_what_it_holds() -> None:
    turns = []
    callback = StepCallback(turns.append, lambda: None)
    callback.on_step_end(1, ["trial"])
    callback.on_step_end(2, [])
    assert turns == [["trial"], []]
    pickle.loads(pickle.dumps(callback))


class _Loop:
    """Tune's loop as far as Ctrl-C goes: its handler ends the loop, and puts the one before it back."""

    def __init__(self) -> None:
        self.ended = False
        self._before = signal.signal(signal.SIGINT, self._hear)

    def _hear(self, *_: object) -> None:
        self.ended = True
        signal.signal(signal.SIGINT, self._before)


def _press() -> None:
    signal.raise_signal(signal.SIGINT)


@pytest.fixture
def loop() -> Iterator[_Loop]:
    # What stands before an & in a script is deaf to Ctrl-C, these tests too.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield _Loop()
    signal.signal(signal.SIGINT, before)


def _told(loop: _Loop, during: Callable[[], None] = lambda: None) -> tuple[Any, list[bool]]:
    """A callback in the loop, and the list of whether the loop had ended when the user was told; `during` its turn."""
    told: list[bool] = []
    callback = StepCallback(lambda trials: during(), lambda: told.append(loop.ended))
    callback.setup()
    return callback, told


@pytest.mark.parametrize("during", [False, True], ids=["between turns", "during our part of the turn"])
def test_ctrl_c_is_told_before_the_loop_ends_wherever_it_falls(loop: _Loop, during: bool) -> None:
    callback, told = _told(loop, _press if during else lambda: None)
    if not during:
        _press()
    assert not loop.ended
    callback.on_step_end(1, [])
    assert told == [False]
    assert loop.ended


def test_without_ctrl_c_nothing_is_told_and_the_loop_goes_on(loop: _Loop) -> None:
    callback, told = _told(loop)
    callback.on_step_end(1, [])
    assert (told, loop.ended, callback.interrupted) == ([], False, False)


@pytest.mark.parametrize("turn_ended", [False, True])
def test_a_second_ctrl_c_raises_at_once(loop: _Loop, turn_ended: bool) -> None:
    callback, _ = _told(loop)
    _press()
    if turn_ended:
        callback.on_step_end(1, [])
    with pytest.raises(KeyboardInterrupt):
        _press()


def test_ctrl_c_in_the_clean_up_behind_the_last_turn_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Tuner:
        def __init__(self, trainable: Any, *, run_config: Any, **_: Any) -> None:
            (self._callback,) = run_config.callbacks

        def fit(self) -> None:
            _Loop()
            self._callback.setup()
            self._callback.on_step_end(1, [])
            _press()

    monkeypatch.setattr("ray.tune.Tuner", Tuner)
    for wrap in ("with_parameters", "with_resources"):
        monkeypatch.setattr(f"ray.tune.{wrap}", lambda trainable, *_, **__: trainable)
    before, said = signal.getsignal(signal.SIGINT), []
    plan: Any = SimpleNamespace(cpus_per_trial=1.0, gpus_per_trial=0.0, trial_timeout=0.0)
    attempts = AttemptLog(FailureBudget(max_retries=0, max_failures=0))
    nothing: Any = None
    phase = Phase(nothing, nothing, lambda: said.append("turn"))
    with pytest.raises(KeyboardInterrupt):
        run_trials(plan, Workers(1), object, None, Course(phase, iter(()), attempts, ("/tmp", "ray")))
    assert said == ["turn"]
    assert signal.getsignal(signal.SIGINT) is before


def test_a_trial_is_kept_to_the_nodes_of_its_moment_and_stranded_when_all_are_lost() -> None:
    one = {"CPU": 1.0}
    usable: dict[str, dict[str, float]] = {"a": one, "b": one, "head": {}}
    places = Places(SimpleNamespace(usable=lambda: dict(usable)), {"CPU": 1.0, "GPU": 0.0})  # type: ignore[arg-type]
    wanted: dict[str, Any] = {}

    def trial(name: str, status: str = "PENDING") -> Any:
        made = SimpleNamespace(trial_id=name, status=status)
        made.update_resources = lambda factory: wanted.update({name: factory})
        places.choose(made)
        return made

    trials = [trial("1"), trial("2", "RUNNING")]
    assert wanted["1"].required_resources == {"CPU": 1.0}
    assert wanted["1"] == wanted["2"], "so that one worker can take both"
    del usable["a"]
    trials.append(trial("3"))
    assert wanted["3"] != wanted["1"]
    assert list(places.stranded(trials)) == []
    usable = {"c": one, "head": {}}
    assert list(places.stranded(trials)) == [trials[0], trials[2]], "a running trial crashes by itself"
    usable = {}
    trials = [trial("4")]
    assert "4" not in wanted
    assert list(places.stranded(trials)) == trials


def _runs(entry: str, n_runs: int) -> list[Rerun]:
    return [Rerun(entry, seed, None, {}, export=False) for seed in range(n_runs)]


def _phase(
    ledger: Ledger, attempts: AttemptLog, runs: Sequence[Rerun], done: Callable[[Rerun, dict[str, Any]], None]
) -> Phase:
    searcher = RerunSearcher(runs, ledger, attempts, checkpoints="", on_done=done)
    return Phase(searcher, ListeningScheduler(attempts), lambda: None)


class _Course:
    """Two phases of two runs each; `between` is done after the first one."""

    def __init__(self, ledger: Ledger, between: Callable[[], None] = lambda: None) -> None:
        self.done: list[str] = []
        self.attempts = AttemptLog(FailureBudget(max_retries=1, max_failures=0))
        first, second = (
            _phase(ledger, self.attempts, _runs(entry, 2), lambda run, _: self.done.append(run.name))
            for entry in ("la", "kd")
        )

        def rest() -> Iterator[Phase]:
            self.done.append("between")
            between()
            yield second
            self.done.append("after")

        self.course = Course(first, rest(), self.attempts, ("/tmp", "ray"))

    def end(self, searcher: CourseSearcher, *names: str) -> None:
        for name in names:
            searcher.on_trial_complete(name, {"records": [], "done": True, "cause": None})


def test_a_phase_begins_when_all_trials_of_the_one_before_have_ended(ledger: Ledger) -> None:
    played = _Course(ledger)
    searcher = CourseSearcher(played.course)
    assert [searcher.suggest(name)["number"] for name in "ab"] == ["la-seed0", "la-seed1"]  # type: ignore[index]
    assert searcher.suggest("c") is None
    played.end(searcher, "b")
    assert searcher.suggest("c") is None, "the first run may come again"
    played.end(searcher, "a")
    assert played.done == ["la-seed1", "la-seed0"]
    assert [searcher.suggest(name)["number"] for name in "cd"] == ["kd-seed0", "kd-seed1"]  # type: ignore[index]
    played.end(searcher, "c", "d")
    assert not played.course.is_over
    assert searcher.suggest("e") == Searcher.FINISHED
    assert played.done == ["la-seed1", "la-seed0", "between", "kd-seed0", "kd-seed1", "after"]
    assert played.course.is_over


def test_too_many_failures_end_a_course_behind_the_trials_that_still_run(ledger: Ledger) -> None:
    def fail() -> None:
        raise RuntimeError(played.attempts.budget.verdict)

    played = _Course(ledger, fail)
    searcher = CourseSearcher(played.course)
    for name in "ab":
        searcher.suggest(name)
    searcher.on_trial_complete("a", {"records": [], "done": True, "cause": "configuration: no"})
    assert played.attempts.budget.verdict
    assert searcher.suggest("c") is None, "its end is recorded"
    assert played.done == []
    played.end(searcher, "b")
    with pytest.raises(RuntimeError, match="failed"):
        searcher.suggest("c")
    assert played.done == ["la-seed1", "between"]


def test_what_a_study_raises_between_two_phases_is_kept_for_the_end_of_the_run(ledger: Ledger) -> None:
    def fail() -> None:
        raise OSError("no space left")

    played = _Course(ledger, fail)
    searcher = CourseSearcher(played.course)
    for name in "ab":
        searcher.suggest(name)
    played.end(searcher, "a", "b")
    with pytest.raises(OSError, match="no space left"):
        searcher.suggest("c")
    with pytest.raises(OSError, match="no space left"):
        played.attempts.raise_fault()
    assert not played.course.is_over


def test_ctrl_c_between_two_phases_is_heard_at_once_and_begins_no_trial(loop: _Loop, ledger: Ledger) -> None:
    played = _Course(ledger, _press)
    callback = StepCallback(lambda trials: None, lambda: None, lambda: played.course.is_between)
    callback.setup()
    searcher = CourseSearcher(played.course)
    for name in "ab":
        searcher.suggest(name)
    played.end(searcher, "a", "b")
    with pytest.raises(KeyboardInterrupt):
        searcher.suggest("c")
    assert played.done == ["la-seed0", "la-seed1", "between"]
    assert set(ledger.runs.rerun_attempts()) == {"la-seed0", "la-seed1"}
    assert not played.course.is_between


def test_ctrl_c_as_the_last_trial_of_a_phase_ends_begins_no_phase(loop: _Loop, ledger: Ledger) -> None:
    played = _Course(ledger)
    callback = StepCallback(lambda trials: None, lambda: None, lambda: played.course.is_between)
    callback.setup()
    played.course.is_interrupted = lambda: callback.interrupted
    searcher = CourseSearcher(played.course)
    for name in "ab":
        searcher.suggest(name)
    _press()
    played.end(searcher, "a", "b")
    with pytest.raises(KeyboardInterrupt):
        searcher.suggest("c")
    assert played.done == ["la-seed0", "la-seed1"]


def test_no_more_runs_are_handed_out_than_the_nodes_hold(ledger: Ledger) -> None:
    room = [1]
    played = _Course(ledger)
    searcher = CourseSearcher(played.course, lambda: room[0])
    assert searcher.suggest("a")["number"] == "la-seed0"  # type: ignore[index]
    assert searcher.suggest("b") is None
    room[0] = 2
    assert searcher.suggest("b")["number"] == "la-seed1"  # type: ignore[index]
    room[0] = 0
    played.end(searcher, "a", "b")
    assert searcher.suggest("c") is None, "every node is lost: the study waits, it has not ended"


def test_a_course_pickles_without_what_it_holds(ledger: Ledger) -> None:
    assert pickle.loads(pickle.dumps(CourseSearcher(_Course(ledger).course))) is not None


def _stub() -> type:
    def meet(folder: Path, number: str) -> None:
        """The first two runs of a phase wait for each other, so that both workers take part."""
        met = [folder / f"{number[:2]}-seed{seed}" for seed in (0, 1)]
        if (folder / number) in met:
            (folder / number).touch()
            while not all(path.exists() for path in met):
                time.sleep(0.05)

    from ray.tune import Trainable

    class Stub(Trainable):
        def setup(self, config: dict[str, Any], context: Any = None) -> None:
            self._number, self._folder = config["number"], context

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            self._number = new_config["number"]
            return True

        def step(self) -> dict[str, Any]:
            meet(self._folder, self._number)
            # The last run of a phase leaves the other worker without a trial for a while.
            time.sleep(1.5 if self._number.endswith("seed3") else 0.1)
            return {"records": [], "done": True, "cause": None, "worker": os.getpid()}

        def save_checkpoint(self, checkpoint_dir: str) -> None:
            return None

    return Stub


def _workers_of_two_phases(
    ledger: Ledger, folder: Path, between: Callable[[set[int]], None] = lambda workers: None
) -> tuple[set[int], set[int]]:
    """The processes of two phases of four runs on two workers; `between` is done with those of the first phase."""
    plan: Any = SimpleNamespace(
        address="local",
        verbose=False,
        cpus_per_trial=1.0,
        gpus_per_trial=0.0,
        max_concurrent=2,
        trials_per_process=1,
        trial_timeout=0.0,
    )
    attempts = AttemptLog(FailureBudget(max_retries=1, max_failures=0))
    found: dict[str, set[int]] = {"la": set(), "kd": set()}

    def phase(entry: str) -> Phase:
        return _phase(ledger, attempts, _runs(entry, 4), lambda run, leg: found[run.entry].add(leg["worker"]))

    def rest() -> Iterator[Phase]:
        between(found["la"])
        yield phase("kd")

    course = Course(phase("la"), rest(), attempts, (str(folder / "ray"), "two"))
    with ray_session(plan) as workers:
        assert workers.n_workers == 2
        run_trials(plan, workers, _stub(), folder, course)
    assert course.is_over
    assert len(ledger.runs.rerun_attempts()) == 8
    return found["la"], found["kd"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_workers_of_a_phase_train_the_next_one(ledger: Ledger, tmp_path: Path) -> None:
    first, second = _workers_of_two_phases(ledger, tmp_path)
    assert len(first) == 2
    assert second == first


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_ray_alone_would_end_idle_workers(ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where this fails, `keep_idle_workers` has become needless."""
    monkeypatch.setattr("study.execution.schedulers.keep_idle_workers", lambda *_: None)
    first, second = _workers_of_two_phases(ledger, tmp_path)
    assert second != first


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_worker_that_dies_between_two_phases_costs_a_retry_at_most(ledger: Ledger, tmp_path: Path) -> None:
    def kill(workers: set[int]) -> None:
        os.kill(min(workers), signal.SIGKILL)

    first, second = _workers_of_two_phases(ledger, tmp_path, kill)
    assert max(first) in second
    assert min(first) not in second
    assert not any(run.failed for run in ledger.runs.rerun_attempts().values())
