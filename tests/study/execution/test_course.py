"""The phases of a course: when the next one begins, how many runs are under way, and what ends it."""

import pickle

import pytest
from ray.tune.search import Searcher

from study.execution.course import CourseScheduler, CourseSearcher
from study.records.ledger import Ledger
from tests.study.execution.two_phases import TwoPhases


def test_a_phase_begins_when_all_trials_of_the_one_before_have_ended(ledger: Ledger) -> None:
    played = TwoPhases(ledger)
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

    played = TwoPhases(ledger, fail)
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

    played = TwoPhases(ledger, fail)
    searcher = CourseSearcher(played.course)
    for name in "ab":
        searcher.suggest(name)
    played.end(searcher, "a", "b")
    with pytest.raises(OSError, match="no space left"):
        searcher.suggest("c")
    with pytest.raises(OSError, match="no space left"):
        played.attempts.raise_fault()
    assert not played.course.is_over


def test_no_more_runs_are_handed_out_than_the_nodes_hold(ledger: Ledger) -> None:
    room = [1]
    played = TwoPhases(ledger)
    searcher = CourseSearcher(played.course, lambda: room[0])
    assert searcher.suggest("a")["number"] == "la-seed0"  # type: ignore[index]
    assert searcher.suggest("b") is None
    room[0] = 2
    assert searcher.suggest("b")["number"] == "la-seed1"  # type: ignore[index]
    room[0] = 0
    played.end(searcher, "a", "b")
    assert searcher.suggest("c") is None, "every node is lost: the study waits, it has not ended"


def test_a_course_pickles_without_what_it_holds(ledger: Ledger) -> None:
    course = TwoPhases(ledger).course
    assert pickle.loads(pickle.dumps(CourseSearcher(course))) is not None
    assert vars(pickle.loads(pickle.dumps(CourseScheduler(course)))) == {}
