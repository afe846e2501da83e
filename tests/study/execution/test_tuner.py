"""The trials of a course on Ray: workers from phase to phase, places, progress, the first and second Ctrl-C."""

import os
import pickle
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from study.execution.attempts import AttemptLog
from study.execution.course import Course, CourseSearcher, Phase
from study.execution.failure_budget import FailureBudget
from study.execution.tuner import Places, StepCallback, run_trials
from study.execution.workers import Workers, ray_session
from study.records.ledger import Ledger
from tests.study.execution.two_phases import TwoPhases, phase_of, runs


def _course(on_step: Callable[[], None] = lambda: None, on_interrupt: Callable[[], None] = lambda: None) -> Course:
    """A course whose only phase has no searcher."""
    attempts, nothing = AttemptLog(FailureBudget(max_retries=0, max_failures=0)), None
    return Course(Phase(nothing, on_step), iter(()), attempts, ("/tmp", "ray"), on_interrupt=on_interrupt)


def test_the_progress_callback_is_called_every_turn_and_pickles_without_what_it_holds() -> None:
    turns = []
    callback = StepCallback(_course(), turns.append)
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


def _told(loop: _Loop, during: Callable[[], None] = lambda: None) -> tuple[Any, Course, list[bool]]:
    """A callback in the loop, its course, and whether the loop had ended when the user was told; `during` its turn."""
    told: list[bool] = []
    course = _course(on_interrupt=lambda: told.append(loop.ended))
    callback = StepCallback(course, lambda trials: during())
    callback.setup()
    return callback, course, told


@pytest.mark.parametrize("during", [False, True], ids=["between turns", "during our part of the turn"])
def test_ctrl_c_is_told_before_the_loop_ends_wherever_it_falls(loop: _Loop, during: bool) -> None:
    callback, _, told = _told(loop, _press if during else lambda: None)
    if not during:
        _press()
    assert not loop.ended
    callback.on_step_end(1, [])
    assert told == [False]
    assert loop.ended


def test_without_ctrl_c_nothing_is_told_and_the_loop_goes_on(loop: _Loop) -> None:
    callback, course, told = _told(loop)
    callback.on_step_end(1, [])
    assert (told, loop.ended, course.is_interrupted) == ([], False, False)


@pytest.mark.parametrize("turn_ended", [False, True])
def test_a_second_ctrl_c_raises_at_once(loop: _Loop, turn_ended: bool) -> None:
    callback, *_ = _told(loop)
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
    with pytest.raises(KeyboardInterrupt):
        run_trials(plan, Workers(1), object, None, _course(lambda: said.append("turn")))
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


def test_ctrl_c_between_two_phases_is_heard_at_once_and_begins_no_trial(loop: _Loop, ledger: Ledger) -> None:
    played = TwoPhases(ledger, _press)
    StepCallback(played.course, lambda trials: None).setup()
    searcher = CourseSearcher(played.course)
    for name in "ab":
        searcher.suggest(name)
    played.end(searcher, "a", "b")
    with pytest.raises(KeyboardInterrupt):
        searcher.suggest("c")
    assert played.done == ["la-seed0", "la-seed1", "between"]
    assert set(ledger.runs.rerun_attempts()) == {"la-seed0", "la-seed1"}
    played.course.interrupt()  # raises nothing: the study's own code runs no more


def test_ctrl_c_as_the_last_trial_of_a_phase_ends_begins_no_phase(loop: _Loop, ledger: Ledger) -> None:
    played = TwoPhases(ledger)
    StepCallback(played.course, lambda trials: None).setup()
    searcher = CourseSearcher(played.course)
    for name in "ab":
        searcher.suggest(name)
    _press()
    played.end(searcher, "a", "b")
    with pytest.raises(KeyboardInterrupt):
        searcher.suggest("c")
    assert played.done == ["la-seed0", "la-seed1"]


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
        return phase_of(ledger, attempts, runs(entry, 4), lambda run, leg: found[run.entry].add(leg["worker"]))

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
    monkeypatch.setattr("study.execution.course.keep_idle_workers", lambda *_: None)
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
