"""An error of our own code in one of Ray's callbacks ends the phase as itself, whatever Ray makes of it."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from study.execution.attempts import AttemptLog
from study.execution.course import Course, Phase
from study.execution.failure_budget import FailureBudget
from study.execution.searchers import LedgerSearcher
from study.execution.tuner import run_trials
from study.execution.workers import Workers, ray_session
from study.phases.reruns import Rerun, RerunSearcher
from trainables.cckd.errors import TeacherError

PLAN: Any = SimpleNamespace(
    address="local",
    verbose=False,
    cpus_per_trial=1.0,
    gpus_per_trial=0.0,
    precision="float32",
    max_concurrent=1,
    trials_per_process=1,
    device="cpu",
    trial_timeout=0.0,
)
WORKERS = Workers(n_workers=1)
RUNS = [Rerun(entry, 1, None, {}, export=False) for entry in ("ce", "la", "kd")]
FULL = OSError(28, "No space left on device")


def _log(verify: Callable[[], None] = lambda: None) -> AttemptLog:
    return AttemptLog(FailureBudget(max_retries=1, max_failures=1), before_result=verify)


def _refuse() -> None:
    raise TeacherError("8 of 8 views computed again came out otherwise")


def _full(*_: Any) -> None:
    raise FULL


class _Tuner:
    """Tune, as it is at a trial's end: it logs what the searcher raises, and the trial has failed once more."""

    def __init__(self, trainable: Any, *, tune_config: Any, run_config: Any) -> None:
        self._searcher, self._scheduler = tune_config.search_alg, tune_config.scheduler
        self._folder, (self._turns,) = Path(run_config.storage_path), run_config.callbacks

    def fit(self) -> None:
        error_file = self._folder / "error.txt"
        error_file.write_text("Failure # 1 (occurred at 2026-11-24_04-05-36)\nTuneError: traceback\n")
        for number in range(len(RUNS)):
            config = self._searcher.suggest(f"{number}")
            if isinstance(config, str):
                return
            trial = SimpleNamespace(
                trial_id=f"{number}", config=config, error_file=str(error_file), status="TERMINATED"
            )
            self._turns.on_step_end(number, [trial])
            self.end(trial)
            self._turns.on_step_end(number, [trial])

    def end(self, trial: Any) -> None:
        try:
            self._searcher.on_trial_complete(trial.trial_id, {"cause": None, "records": []})
        except Exception:
            self._scheduler.on_trial_error(None, trial)
            self._searcher.on_trial_complete(trial.trial_id, error=True)


class _ReportingTuner(_Tuner):
    """Tune at a result that is not the trial's last: it takes what the scheduler raises for the trial's failure."""

    def end(self, trial: Any) -> None:
        with pytest.raises((TeacherError, OSError)):
            self._scheduler.on_trial_result(None, trial, {"records": []})


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Callable[[type], None]:
    """Replace Tune."""
    for wrap in ("with_parameters", "with_resources"):
        monkeypatch.setattr(f"ray.tune.{wrap}", lambda trainable, *_, **__: trainable)
    return lambda tuner: monkeypatch.setattr("ray.tune.Tuner", tuner)


@pytest.fixture
def swallowing(play: Callable[[type], None]) -> None:
    play(_Tuner)


def _run(folder: Path, searcher: Any, trainable: type = object) -> None:
    phase = Phase(searcher, on_step=lambda: None)
    run_trials(PLAN, WORKERS, trainable, None, Course(phase, iter(()), searcher.attempts, (str(folder), "confirm")))


@pytest.mark.usefixtures("swallowing")
def test_what_a_callback_raises_ends_the_phase_as_itself_and_the_run_stays_to_be_done(ledger, tmp_path: Path) -> None:
    attempts = _log()
    searcher = RerunSearcher(RUNS, ledger, attempts, checkpoints="", on_done=_full)
    with pytest.raises(OSError, match="No space left"):
        _run(tmp_path, searcher)
    counted = ledger.runs.rerun_attempts()
    assert list(counted) == ["ce-seed1"], "nothing more is started"
    assert (counted["ce-seed1"].failures, counted["ce-seed1"].failed) == (0, False), "it was not the run's fault"


@pytest.mark.usefixtures("swallowing")
def test_a_search_whose_ledger_cannot_be_written_leaves_its_trial_running(
    ledger, tmp_path: Path, seed_of, monkeypatch
) -> None:
    attempts = _log()
    searcher = LedgerSearcher(ledger, attempts, seed_of=seed_of)
    monkeypatch.setattr(ledger, "report", _full)
    with pytest.raises(OSError, match="No space left"):
        _run(tmp_path, searcher)
    assert ledger.counts() == {"complete": 0, "pruned": 0, "fail": 0, "running": 1}


@pytest.mark.usefixtures("swallowing")
def test_a_teachers_cache_that_is_another_teachers_ends_the_phase_as_itself(ledger, tmp_path: Path) -> None:
    attempts = _log(_refuse)
    searcher = RerunSearcher(RUNS, ledger, attempts, checkpoints="", on_done=lambda *_: None)
    with pytest.raises(TeacherError, match="8 of 8 views"):
        _run(tmp_path, searcher)
    assert list(ledger.runs.rerun_attempts()) == ["ce-seed1"], "nothing more is started"


@pytest.mark.usefixtures("swallowing")
def test_a_teachers_cache_is_verified_once_there_are_results_and_before_they_are_filed(ledger, tmp_path: Path) -> None:
    done: list[str] = []
    attempts = _log(lambda: done.append("verified"))

    def file(run: Rerun, result: dict[str, Any]) -> None:
        done.append(run.entry)

    searcher = RerunSearcher(RUNS, ledger, attempts, checkpoints="", on_done=file)
    _run(tmp_path, searcher)
    assert done == ["verified", "ce", "verified", "la", "verified", "kd"]


def test_a_result_that_is_not_a_trials_last_is_not_recorded_unverified(ledger, tmp_path, seed_of, play) -> None:
    attempts = _log(_refuse)
    play(_ReportingTuner)
    searcher = LedgerSearcher(ledger, attempts, seed_of=seed_of)
    with pytest.raises(TeacherError, match="8 of 8 views"):
        _run(tmp_path, searcher)
    assert ledger.rows()[0].records == ()


def test_a_result_that_is_not_a_trials_last_and_cannot_be_recorded_ends_the_phase_as_itself(
    ledger, tmp_path: Path, seed_of, play, monkeypatch
) -> None:
    searcher = LedgerSearcher(ledger, _log(), seed_of=seed_of)
    play(_ReportingTuner)
    monkeypatch.setattr(ledger, "report", _full)
    with pytest.raises(OSError, match="No space left"):
        _run(tmp_path, searcher)
    assert ledger.counts() == {"complete": 0, "pruned": 0, "fail": 0, "running": 1}


def _quick(good: type) -> type:
    class Quick(good):
        def setup(self, config: dict[str, Any], context: Any = None) -> None: ...

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            return True

        def cleanup(self) -> None: ...

        def step(self) -> dict[str, Any]:
            return {"records": [], "done": True, "cause": None}

        def save_checkpoint(self, checkpoint_dir: str) -> None:
            return None

    return Quick


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_ray_itself_does_not_swallow_it(ledger, tmp_path: Path) -> None:
    from ray import tune

    attempts = _log()
    searcher = RerunSearcher(RUNS, ledger, attempts, checkpoints="", on_done=_full)
    with ray_session(PLAN), pytest.raises(OSError, match="No space left"):
        _run(tmp_path, searcher, _quick(tune.Trainable))
    assert list(ledger.runs.rerun_attempts()) == ["ce-seed1"]
