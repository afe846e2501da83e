"""A trial that says nothing loses its worker, and its slot is free again; one that speaks or waits is left alone."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from study.execution import hang_watchdog
from study.execution.attempts import AttemptLog
from study.execution.failure_budget import FailureBudget
from study.execution.hang_watchdog import SETUP_S, HangWatchdog

ROOT = Path(__file__).parents[3]
LIMIT_S = 60.0


class _Ray:
    """One trial, its worker and the clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.killed: list[Any] = []
        monkeypatch.setattr("ray.kill", self.killed.append)
        monkeypatch.setattr(hang_watchdog, "time", SimpleNamespace(monotonic=lambda: self.now))
        self.now = 1000.0
        self.trial = SimpleNamespace(
            trial_id="a", status="RUNNING", run_metadata=SimpleNamespace(last_result_time=-1.0), __hash__=None
        )
        self.workers: dict[str, tuple[str, None]] = {"tracked": ("worker", None)}
        actors = SimpleNamespace(_live_actors_to_ray_actors_resources=self.workers)
        tracked = SimpleNamespace(get=lambda trial: "tracked")
        controller = SimpleNamespace(_trial_to_actor=tracked, _actor_manager=actors)
        self.attempts = AttemptLog(FailureBudget(max_retries=2, max_failures=3))
        self.attempts.begin("a", "run")
        self.watch = HangWatchdog(SimpleNamespace(controller=controller, attempts=self.attempts), LIMIT_S)

    def run(self, seconds: float) -> None:
        """Let time pass, Ray's loop turning every two seconds."""
        end = self.now + seconds
        while self.now < end:
            self.now += 2.0
            self.watch([self.trial])


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> _Ray:
    return _Ray(monkeypatch)


def test_a_silent_trial_loses_its_worker_once_with_that_cause(ray: _Ray) -> None:
    ray.run(LIMIT_S)
    assert ray.killed == []
    ray.run(10.0)
    assert ray.killed == ["worker"]
    attempt = ray.attempts.end("a")
    assert attempt is not None
    assert attempt.cause == "hung: no report for 60 s"


def test_a_trial_that_reports_now_and_then_is_left_alone(ray: _Ray) -> None:
    for k in range(10):
        ray.run(LIMIT_S - 10.0)
        ray.trial.run_metadata.last_result_time = float(k)
    assert ray.killed == []


def test_setup_has_its_own_grace(ray: _Ray) -> None:
    ray.trial.status = "PENDING"
    ray.run(SETUP_S)
    ray.trial.status = "RUNNING"
    ray.run(LIMIT_S)
    assert ray.killed == []
    ray.trial.status = "PENDING"
    ray.run(SETUP_S + LIMIT_S + 10.0)
    assert ray.killed == ["worker"]


def test_a_trial_that_waits_for_a_node_may_wait(ray: _Ray) -> None:
    ray.trial.status = "PENDING"
    ray.workers.clear()
    ray.run(100 * SETUP_S)
    ray.workers["tracked"] = ("worker", None)
    ray.run(LIMIT_S)
    assert ray.killed == []


def test_with_a_limit_of_zero_nothing_hangs(ray: _Ray) -> None:
    ray.watch = HangWatchdog(ray.watch._scheduler, 0.0)
    ray.run(10 * SETUP_S)
    assert ray.killed == []


_PLAY = """
import os, sys, time
from pathlib import Path
from types import SimpleNamespace
from ray import tune
from study.execution.attempts import AttemptLog
from study.execution.failure_budget import FailureBudget
from study.phases.reruns import Rerun, RerunSearcher
from study.execution.course import Course, Phase
from study.execution.tuner import run_trials
from study.execution.workers import ray_session

folder = Path(sys.argv[1])

class Sleeper(tune.Trainable):
    def setup(self, config, context=None):
        self.config = config
    def step(self):
        (folder / f"attempt-{self.config['attempt']}").write_text(str(os.getpid()))
        time.sleep(600 if self.config["attempt"] == 1 else 0)
        return {"done": True, "cause": None, "records": []}
    def save_checkpoint(self, checkpoint_dir):
        return None

plan = SimpleNamespace(
    address="local", verbose=False, cpus_per_trial=1, gpus_per_trial=0, max_concurrent=1, trials_per_process=1,
    trial_timeout=4.0,
)
attempts = AttemptLog(FailureBudget(max_retries=1, max_failures=0))
told, starts = [], iter((1, 2))
ledger = SimpleNamespace(runs=SimpleNamespace(
    start_rerun=lambda name: next(starts), count_rerun_failure=lambda name, cause: told.append(cause) or len(told)
))
searcher = RerunSearcher(
    [Rerun("la", 1, None, {}, export=False)], ledger, attempts, checkpoints="/c",
    on_done=lambda rerun, result: print("done", *told, flush=True),
)
with ray_session(plan) as workers:
    phase = Phase(searcher, lambda: None)
    run_trials(plan, workers, Sleeper, 1, Course(phase, iter(()), attempts, (str(folder / "ray"), "one")))
"""


@pytest.mark.slow
def test_a_stopped_worker_is_freed_within_its_limit_and_the_trial_comes_again(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _PLAY, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE) as driver:
        try:
            worker = tmp_path / "attempt-1"
            while not (worker.exists() and worker.read_text()):
                assert driver.poll() is None, "the driver ended before its first attempt began"
                time.sleep(0.1)
            stopped = int(worker.read_text())
            os.kill(stopped, signal.SIGSTOP)
            # Without the watchdog nothing would come: the attempt sleeps for longer than this.
            out, _ = driver.communicate(timeout=280)
        finally:
            driver.kill()
    assert (tmp_path / "attempt-2").exists()
    assert out.strip() == "done hung: no report for 4 s"
    with pytest.raises(ProcessLookupError):
        os.kill(stopped, 0)
