"""The adapters follow the order of Ray's calls: results, ends, stops, crashes and retries reach the ledger once."""

from types import SimpleNamespace

import pytest
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from study.execution.attempts import AttemptLog
from study.execution.course import Course, CourseScheduler, Phase
from study.execution.failure_budget import FailureBudget
from study.execution.searchers import LedgerSearcher
from study.records.ledger import Ledger


def _scheduler(searcher: LedgerSearcher) -> CourseScheduler:
    """The scheduler of a course whose only phase is the searcher's."""
    return CourseScheduler(Course(Phase(searcher, lambda: None), iter(()), searcher.attempts, ("/tmp", "ray")))


@pytest.fixture
def adapters(ledger, seed_of):
    attempts = AttemptLog(FailureBudget(max_retries=1, max_failures=3))
    searcher = LedgerSearcher(ledger, attempts, seed_of=seed_of, settings={"epochs": 4}, extras={"folder": "x"})
    return searcher, _scheduler(searcher)


def _trial(trial_id: str, config: dict, **more) -> SimpleNamespace:
    trial = SimpleNamespace(trial_id=trial_id, config=config, **more)
    trial.set_config = lambda new: setattr(trial, "config", new)
    return trial


def _result(records, *, done=False, cause=None) -> dict:
    return {"records": records, "done": done, "cause": cause}


def test_a_suggestion_holds_number_attempt_extras_and_the_whole_configuration(adapters, space, seed_of) -> None:
    config = {"method": "la", **space.reference_point(), "epochs": 4}
    assert adapters[0].suggest("a") == {
        "number": 0,
        "attempt": 1,
        "folder": "x",
        "config": {**config, "seed": seed_of(config, 0)},
    }


def test_the_searcher_ends_at_the_total_and_not_before(adapters) -> None:
    numbers = [adapters[0].suggest(str(k))["number"] for k in range(12)]
    assert numbers == list(range(12))
    assert adapters[0].suggest("one more") is None, "one of those that run may come back"
    for k in range(12):
        adapters[0].on_trial_complete(str(k), _result([], done=True, cause="..."))
    assert adapters[0].suggest("one more") == Searcher.FINISHED


def test_trials_of_a_killed_driver_come_first_with_a_new_attempt(adapters, ledger, database, seed_of) -> None:
    configs = [adapters[0].suggest(str(k)) for k in range(2)]
    ledger.close()
    reopened, attempts = Ledger.open(database), AttemptLog(FailureBudget(max_retries=1, max_failures=3))
    again = LedgerSearcher(reopened, attempts, seed_of=seed_of, settings={"epochs": 4}, extras={"folder": "x"})
    assert again.suggest("x") == configs[0] | {"attempt": 2}
    assert again.suggest("y") == configs[1] | {"attempt": 2}
    assert again.suggest("z")["number"] == 2


def test_the_last_result_comes_only_with_the_end_and_is_filed(adapters, ledger, epoch) -> None:
    searcher, scheduler = adapters
    trial = _trial("a", searcher.suggest("a"))
    for k in (1, 2, 3):
        assert scheduler.on_trial_result(None, trial, _result([epoch(k)])) == TrialScheduler.CONTINUE
    last = _result([epoch(4, 8)], done=True)
    scheduler.on_trial_complete(None, trial, last)
    searcher.on_trial_complete("a", last)
    searcher.on_trial_complete("a", last)
    assert ledger.counts() == {"complete": 1, "pruned": 0, "fail": 0, "running": 0}
    assert ledger.best()[0].value == pytest.approx(0.9)


def test_a_stopped_trial_is_pruned_though_ray_calls_it_complete(adapters, ledger, epoch, monkeypatch) -> None:
    searcher, scheduler = adapters
    trial = _trial("a", searcher.suggest("a"))
    monkeypatch.setattr(ledger, "should_prune", lambda number, epoch: epoch == 2)
    assert scheduler.on_trial_result(None, trial, _result([epoch(1)])) == TrialScheduler.CONTINUE
    stop = _result([epoch(2)])
    assert scheduler.on_trial_result(None, trial, stop) == TrialScheduler.STOP
    stop["done"] = True  # as Ray marks it
    scheduler.on_trial_complete(None, trial, stop)
    searcher.on_trial_complete("a", stop)
    (row,) = ledger.rows()
    assert (row.state, row.cause, len(row.records)) == ("PRUNED", None, 2)


def test_a_known_evaluation_is_not_judged_again(adapters, ledger, epoch, monkeypatch) -> None:
    searcher, scheduler = adapters
    trial = _trial("a", searcher.suggest("a"))
    judged = []
    monkeypatch.setattr(ledger, "should_prune", lambda number, epoch: judged.append(epoch))
    scheduler.on_trial_result(None, trial, _result([epoch(1), epoch(2, None)]))
    # A continued trial reports all it has.
    scheduler.on_trial_result(None, trial, _result([epoch(1), epoch(2, None), epoch(3)]))
    scheduler.on_trial_result(None, trial, _result([epoch(1), epoch(3)]))
    assert judged == [1, 3]


def test_a_deterministic_failure_is_filed_with_its_cause(adapters, ledger, epoch) -> None:
    searcher, _ = adapters
    searcher.suggest("a")
    searcher.on_trial_complete("a", _result([epoch(1)], done=True, cause="loss term 'kd' became nan"))
    (row,) = ledger.rows()
    assert (row.state, row.cause, len(row.records)) == ("FAIL", "loss term 'kd' became nan", 1)


def _crash(tmp_path, error: str) -> dict:
    path = tmp_path / "error.txt"
    path.write_text(
        f'Failure # 1 (occurred at 2026-11-24_04-05-36)\n  File "x.py", line 7, in step\n    f()\n{error}\n\n'
    )
    return {"error_file": str(path)}


def _play_crash(adapters, tmp_path, trial_id: str, config: dict, error: str) -> None:
    searcher, scheduler = adapters
    trial = _trial(trial_id, config, **_crash(tmp_path, error))
    scheduler.on_trial_error(None, trial)
    searcher.on_trial_complete(trial_id, error=True)
    searcher.on_trial_complete(trial_id, error=True)


def test_a_crashed_trial_comes_again_as_a_new_attempt_and_is_filed_with_its_cause_at_last(adapters, ledger, tmp_path):
    first = adapters[0].suggest("a")
    _play_crash(adapters, tmp_path, "a", first, "OSError: lost")
    assert ledger.counts()["running"] == 1
    second = adapters[0].suggest("b")
    assert second == first | {"attempt": 2}
    _play_crash(adapters, tmp_path, "b", second, "OSError: disk full")
    (row,) = ledger.rows()
    assert (row.state, row.cause, row.attempts) == ("FAIL", "exception: OSError: disk full", 2)
    assert adapters[0].suggest("c")["number"] == 1


def test_crashes_count_over_drivers_but_a_killed_driver_is_none(ledger, database, seed_of, tmp_path) -> None:
    def driver(opened) -> tuple[LedgerSearcher, CourseScheduler]:
        attempts = AttemptLog(FailureBudget(max_retries=1, max_failures=3))
        searcher = LedgerSearcher(opened, attempts, seed_of=seed_of)
        return searcher, _scheduler(searcher)

    for k in range(3):  # three drivers die with the trial
        driver(ledger)[0].suggest(f"{k}")
        ledger.close()
        ledger = Ledger.open(database)
    for k in range(2):
        adapters = driver(ledger)
        _play_crash(adapters, tmp_path, f"crash {k}", adapters[0].suggest(f"crash {k}"), "OSError: lost")
        state = ledger.rows()[0].state
        ledger.close()
        ledger = Ledger.open(database)
    assert (state, ledger.rows()[0].attempts) == ("FAIL", 5)
    ledger.close()


def test_too_many_failures_end_the_queue_with_the_most_frequent_cause(adapters, ledger) -> None:
    for k in range(4):
        adapters[0].suggest(str(k))
        told = "bad configuration: no" if k else "non-finite loss: it"
        adapters[0].on_trial_complete(str(k), _result([], done=True, cause=told))
    assert adapters[0].suggest("more") == Searcher.FINISHED
    assert ledger.n_asked == 4


def test_a_trial_ray_takes_back_before_it_began_stays_running(adapters, ledger) -> None:
    adapters[0].suggest("a")
    adapters[0].on_trial_complete("a")
    assert ledger.counts() == {"complete": 0, "pruned": 0, "fail": 0, "running": 1}


def test_a_run_that_met_a_damaged_image_stays_to_be_done_and_no_other_begins(adapters, ledger) -> None:
    searcher, _ = adapters
    searcher.suggest("a")
    searcher.suggest("b")
    searcher.attempts.crash("a", "damaged image: 3.png is torn")
    searcher.on_trial_complete("a", error=True)
    assert searcher.attempts.budget.verdict == "damaged image: 3.png is torn"
    assert searcher.suggest("c") == Searcher.FINISHED
    assert ledger.counts() == {"complete": 0, "pruned": 0, "fail": 0, "running": 2}
    assert [left.number for left in ledger.unfinished()] == [0, 1]


def test_a_run_that_ray_takes_back_before_it_begins_is_handed_out_again(adapters) -> None:
    searcher, _ = adapters
    config = searcher.suggest("a")
    searcher.on_trial_complete("a")
    assert searcher.suggest("b") == config | {"attempt": 2}
