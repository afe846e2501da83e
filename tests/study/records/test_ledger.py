"""The ledger's laws: one state a trial, filed once, and a crash at any point loses nothing."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

import numpy as np
import optuna
import pytest
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from search_spaces.faults import contains
from study.overview.runs_done import Best, runs_done
from study.records.ledger import Ledger
from study.records.run_tables import AblationRun, RerunAttempts
from study.records.trial_rows import TrialRow
from study.schema import METRIC, STUDY_NAME
from study.strategy.search_settings import SettingsError
from study.strategy.space_filling import PointSampler
from trainables.cckd.records import ClassCounts


def _finish(ledger: Ledger, number: int, epoch: Callable, right: int = 5) -> str:
    ledger.record(number, [epoch(k, right) for k in (1, 2, 3, 4)])
    return ledger.complete(number)


def _optuna(database) -> optuna.Study:
    return optuna.load_study(study_name=STUDY_NAME, storage=f"sqlite:///{database}")


def test_the_first_trial_is_the_reference_point_and_numbers_count_up(ledger, space, seed_of) -> None:
    asked = [ledger.ask(seed_of) for _ in range(7)]
    assert [one.number for one in asked] == list(range(7))
    assert [one.kind for one in asked] == ["reference", *["sobol"] * 4, "tpe", "tpe"]
    assert asked[0].params == space.reference_point()
    assert all(contains(space.distributions[k], v) for one in asked for k, v in one.params.items())


def test_the_study_is_readable_by_plain_optuna(ledger, database, seed_of, epoch) -> None:
    ledger.ask(seed_of)
    _finish(ledger, 0, epoch, right=6)
    study = _optuna(database)
    assert study.metric_names == [METRIC]
    (trial,) = study.trials
    assert trial.state is TrialState.COMPLETE
    assert trial.value == pytest.approx((0.6 + 1.0) / 2)
    assert trial.intermediate_values == dict.fromkeys((1, 2, 3, 4), 0.8)
    assert trial.user_attrs == {
        "kind": "reference",
        "seed": 2**62 + 4,
        "duration_s": 10.0,
    }


def test_a_trial_keeps_the_result_of_its_last_epoch_not_of_its_best(ledger, seed_of, epoch) -> None:
    ledger.ask(seed_of)
    ledger.record(0, [epoch(1, 9), epoch(2, None), epoch(3, 9), epoch(4, 2)])
    assert ledger.complete(0) is TrialState.COMPLETE
    assert ledger.best()[0].value == pytest.approx(0.6)


def test_recording_twice_changes_nothing_and_only_new_evaluations_are_returned(ledger, seed_of, epoch) -> None:
    ledger.ask(seed_of)
    assert ledger.record(0, [epoch(1, 5), epoch(2, None)]) == (1,)
    assert ledger.record(0, [epoch(1, 9), epoch(2, None), epoch(3, 6)]) == (3,)
    (row,) = ledger.rows()
    assert [record.epoch for record in row.records] == [1, 2, 3]
    assert row.records[0].val.correct == (5, 10)


def test_failed_trials_run_again_under_their_own_numbers(ledger, database, seed_of, epoch) -> None:
    asked = [ledger.ask(seed_of) for _ in range(5)]
    _finish(ledger, 0, epoch)
    ledger.start_attempt(1)
    ledger.record(1, [epoch(1)])
    ledger.count_failure(1, "hung: no report")
    causes = ("hung: no report", "non-finite loss: total became nan", "bad configuration: no", "out of memory: 1 of 2")
    for number, cause in enumerate(causes, start=1):
        ledger.fail(number, cause)
    assert ledger.retry_failed() == [1, 4]
    for again in (ledger, Ledger.open(database)):
        assert again.counts() == {"complete": 1, "pruned": 0, "fail": 2, "running": 2}
        assert [(one.number, one.params, one.seed) for one in again.unfinished()] == [
            (asked[number].number, asked[number].params, asked[number].seed) for number in (1, 4)
        ]
        assert again.cause(1) is None
    assert again.count_failure(1, "hung: no report") == 1, "its crashes count from nothing"
    _finish(again, 1, epoch, right=7)
    assert again.start_attempt(4) == 1
    assert again.best()[0].number == 1
    again.close()
    assert _optuna(database).trials[1].value == pytest.approx(0.85)


def test_trials_that_another_program_adds_are_ignored(ledger, database, seed_of, epoch) -> None:
    ledger.ask(seed_of)
    _finish(ledger, 0, epoch, right=4)
    stranger = _optuna(database)
    trial = stranger.ask()
    stranger.tell(trial, 0.99)
    stranger.set_user_attr("note", "mine")
    assert ledger.ask(seed_of).number == 1
    _finish(ledger, 1, epoch, right=6)
    stranger.ask().set_user_attr("colour", "red")
    assert ledger.ask(seed_of).number == 2
    ledger.fail(2, "hung: no report")
    for again in (ledger, Ledger.open(database)):
        assert again.n_asked == 3
        assert again.counts() == {"complete": 2, "pruned": 0, "fail": 1, "running": 0}
        assert (again.best()[0].number, again.best()[0].value) == (1, pytest.approx(0.8))
        assert [row.number for row in again.rows()] == [0, 1, 2]
    assert again.retry_failed() == [2]
    again.record(2, [epoch(k, 7) for k in (1, 2, 3, 4)])
    assert again.complete(2) is TrialState.COMPLETE
    again.close()
    found = runs_done(database, None)
    assert (found.done, found.unfinished) == ({"search": 3}, {})
    assert found.best == Best(2, pytest.approx(0.85), None, 0)


def test_later_runs_that_were_given_up_are_tried_again(ledger) -> None:
    for name, cause in (("kd-seed1", "hung: no report"), ("la-seed1", "non-finite loss: nan"), ("ce-seed1", None)):
        ledger.runs.start_rerun(name)
        if cause:
            ledger.runs.count_rerun_failure(name, cause)
            ledger.runs.fail_rerun(name, cause)
    assert ledger.runs.retry_failed() == ["kd-seed1"]
    known = ledger.runs.rerun_attempts()
    assert (known["kd-seed1"].failed, known["kd-seed1"].failures, known["kd-seed1"].attempts) == (False, 0, 1)
    assert known["la-seed1"].failed
    assert ledger.runs.retry_failed() == []


@pytest.mark.parametrize("first", ["complete", "prune", "fail"])
@pytest.mark.parametrize("second", ["complete", "prune", "fail"])
def test_the_first_end_of_a_trial_counts(ledger, seed_of, epoch, first, second) -> None:
    ledger.ask(seed_of)
    ledger.record(0, [epoch(k) for k in (1, 2, 3, 4)])
    end = {"complete": ledger.complete, "prune": ledger.prune, "fail": lambda n: ledger.fail(n, "cause")}
    state = end[first](0)
    assert state.name == {"complete": "COMPLETE", "prune": "PRUNED", "fail": "FAIL"}[first]
    assert end[second](0) == state
    assert ledger.record(0, [epoch(9)]) == ()
    assert len(ledger.rows()[0].records) == 4
    assert ledger.finished_total == 1


@pytest.mark.parametrize(
    ("records", "cause"),
    [
        ([], "the trial ended without reporting an epoch"),
        ([(1, 5), (2, 5)], "the trial ended after epoch 2 of 4"),
        ([(1, 5), (2, 5), (3, 5), (4, None)], "the last epoch, 4, was not evaluated"),
    ],
)
def test_what_is_no_complete_trial_is_filed_fail_with_its_cause(ledger, seed_of, epoch, records, cause) -> None:
    ledger.ask(seed_of)
    ledger.record(0, [epoch(*one) for one in records])
    assert ledger.complete(0) is TrialState.FAIL
    assert ledger.rows()[0].cause == cause
    assert ledger.counts() == {"complete": 0, "pruned": 0, "fail": 1, "running": 0}


def test_a_result_that_is_no_number_is_filed_fail_and_never_pruned(ledger, seed_of, epoch) -> None:
    ledger.ask(seed_of)
    nothing_seen = epoch(4) | {"val": {"correct": [0, 0], "seen": [0, 0]}}
    assert ledger.record(0, [epoch(k, None) for k in (1, 2, 3)] + [nothing_seen]) == ()
    assert ledger.complete(0) is TrialState.FAIL
    assert ledger.rows()[0].cause == "the balanced accuracy after the last epoch is nan"


def test_a_cause_is_one_line(ledger, seed_of) -> None:
    ledger.ask(seed_of)
    ledger.fail(0, "Traceback:\n  File 'x'\nValueError: no")
    assert ledger.rows()[0].cause == "Traceback: File 'x' ValueError: no"


def test_a_retried_crash_leaves_no_cause_on_a_complete_trial(ledger, seed_of, epoch) -> None:
    ledger.ask(seed_of)
    assert ledger.count_failure(0, "exception: OSError: lost") == 1
    assert _finish(ledger, 0, epoch) is TrialState.COMPLETE
    assert ledger.rows()[0].cause is None


def test_attempts_and_crashes_count_up_across_drivers_each_for_itself(ledger, database, seed_of) -> None:
    ledger.ask(seed_of)
    assert [ledger.start_attempt(0), ledger.start_attempt(0), ledger.start_attempt(0)] == [1, 2, 3]
    assert ledger.count_failure(0, "worker killed: ...") == 1
    ledger.close()
    again = Ledger.open(database)
    assert (again.start_attempt(0), again.count_failure(0, "worker killed: ...")) == (4, 2)


def test_attempts_and_crashes_of_later_runs_count_up_across_drivers(ledger, database) -> None:
    assert [
        ledger.runs.start_rerun("ce-seed1"),
        ledger.runs.start_rerun("ce-seed1"),
        ledger.runs.start_rerun("la-seed1"),
    ] == [1, 2, 1]
    assert ledger.runs.count_rerun_failure("ce-seed1", "hung:\n60 s") == 1
    ledger.runs.fail_rerun("la-seed1", "non-finite loss: it")
    ledger.close()
    again = Ledger.open(database)
    assert again.causes_of_failure() == ["non-finite loss: it"]
    assert again.runs.count_rerun_failure("ce-seed1", "hung: 60 s") == 2
    assert again.runs.rerun_attempts()["ce-seed1"] == RerunAttempts(2, 2, "hung: 60 s", failed=False)
    assert again.runs.start_rerun("la-seed1") == 2
    assert again.causes_of_failure() == [], "it is being tried again"


def test_the_best_are_complete_trials_and_equals_keep_their_order(ledger, seed_of, epoch) -> None:
    for right in (3, 8, 8, 9):
        _finish(ledger, ledger.ask(seed_of).number, epoch, right)
    ledger.ask(seed_of)
    ledger.record(4, [epoch(1, 10)])
    ledger.prune(4)
    assert [one.number for one in ledger.best(top=3)] == [3, 1, 2]
    assert len(ledger.best(top=99)) == 4


def test_the_same_knobs_again_are_another_replicate_with_another_seed(ledger, space, seed_of, monkeypatch) -> None:
    point = PointSampler(space.reference_point())
    monkeypatch.setattr("study.records.ledger.make_sampler", lambda *_: point)
    seeds = [ledger.ask(seed_of).seed for _ in range(3)]
    assert seeds == [2**62 + 4, 2**62 + 1004, 2**62 + 2004]


# ---- after a crash


def test_a_reopened_search_asks_what_an_uninterrupted_one_would(tmp_path, space, settings, seed_of, epoch) -> None:
    def search(path, *, reopen: bool) -> list:
        ledger, asked = Ledger.create(path, space, settings(n_sobol=2)), []
        for k in range(6):
            if reopen:
                ledger.close()
                ledger = Ledger.open(path)
            asked.append(ledger.ask(seed_of))
            _finish(ledger, k, epoch, right=k % 10)
        ledger.close()
        return asked

    assert search(tmp_path / "a.db", reopen=True) == search(tmp_path / "b.db", reopen=False)


def test_a_reopened_search_has_its_space_and_settings(ledger, database, space, settings) -> None:
    ledger.close()
    again = Ledger.open(database)
    assert again.space == space
    assert again.settings == settings()
    again.close()


def test_running_trials_are_handed_out_again_as_they_were(ledger, database, seed_of, epoch) -> None:
    asked = [ledger.ask(seed_of) for _ in range(3)]
    _finish(ledger, 1, epoch)
    ledger.close()
    again = Ledger.open(database)
    assert again.unfinished() == [asked[0], asked[2]]
    assert again.ask(seed_of).number == 3
    again.close()


@pytest.mark.parametrize("n_chosen", [0, 1, 3])
def test_a_driver_that_dies_while_asking_leaves_no_trial_and_the_next_asks_the_same(
    ledger, database, settings, seed_of, monkeypatch, n_chosen
) -> None:
    class Killed(Exception):
        pass

    class Dying(PointSampler):
        """Dies at knob `n_chosen`."""

        def __init__(self, point) -> None:
            super().__init__(point)
            self._left = n_chosen

        def sample_independent(self, *args):
            if not self._left:
                raise Killed
            self._left -= 1
            return super().sample_independent(*args)

    expected = ledger.ask(seed_of).params
    with monkeypatch.context() as patch:
        patch.setattr("study.records.ledger.make_sampler", lambda space, *_: Dying(space.reference_point()))
        with pytest.raises(Killed):
            ledger.ask(seed_of)
    assert (ledger.n_asked, len(_optuna(database).trials)) == (1, 1)
    assert ledger.ask(seed_of).number == 1
    ledger.close()
    again = Ledger.open(database)
    assert [left.number for left in again.unfinished()] == [0, 1]
    assert again.unfinished()[0].params == expected
    again.close()


def test_what_fails_on_the_way_is_undone_in_the_file_and_in_memory(ledger, database, seed_of, epoch) -> None:
    ledger.ask(seed_of)
    ledger.record(0, [epoch(1, 7)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("study.records.ledger.balanced_accuracy", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            ledger.record(0, [epoch(2, 8), epoch(3, 8)])
    assert [record.epoch for record in ledger.rows()[0].records] == [1]
    assert _optuna(database).trials[0].intermediate_values == {1: pytest.approx(0.85)}
    assert ledger.record(0, [epoch(2, 8), epoch(3, 8)]) == (2, 3)
    assert _finish(ledger, 0, epoch) is TrialState.COMPLETE


def test_a_search_is_created_whole_or_not_at_all(database, space, settings, monkeypatch) -> None:
    monkeypatch.setattr(optuna.Study, "set_metric_names", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        Ledger.create(database, space, settings())
    assert list(database.parent.iterdir()) == []


def test_a_search_is_neither_overwritten_nor_opened_from_nothing(ledger, database, space, settings) -> None:
    with pytest.raises(SettingsError, match="exists already"):
        Ledger.create(database, space, settings())
    with pytest.raises(SettingsError, match="does not exist"):
        Ledger.open(database.with_name("other.db"))


def test_a_raised_total_is_kept_and_checked_against_the_grid(database, space, settings) -> None:
    Ledger.create(database, space, settings(sampler="grid")).close()
    Ledger.open(database, trials=20).close()
    again = Ledger.open(database)
    assert again.settings.trials == 20
    again.close()
    with pytest.raises(SettingsError, match="must not exceed the grid's 108 points"):
        Ledger.open(database, trials=200)


def test_a_folder_with_signs_of_a_url_in_its_name_is_only_a_folder(tmp_path, space, settings, seed_of) -> None:
    folder = tmp_path / "50% off? #1"
    folder.mkdir()
    ledger = Ledger.create(folder / "study.db", space, settings())
    ledger.ask(seed_of)
    ledger.close()
    assert [path.name for path in folder.iterdir()] == ["study.db"]


# ---- pruning


def _six_good(ledger: Ledger, seed_of, epoch) -> None:
    for _ in range(6):
        number = ledger.ask(seed_of).number
        for k in (1, 2, 3):
            ledger.record(number, [epoch(k, 9)])
            ledger.should_prune(number, k)
        _finish(ledger, number, epoch, right=9)


@pytest.mark.parametrize("pruner", ["median", "asha", "hyperband"])
def test_a_hopeless_trial_is_stopped_but_not_before_the_first_rung(
    database, space, settings, seed_of, epoch, pruner
) -> None:
    ledger = Ledger.create(database, space, settings(pruner=pruner, trials=99, rungs=(2, 4)))
    _six_good(ledger, seed_of, epoch)
    stopped_at = []
    for _ in range(6):
        number = ledger.ask(seed_of).number
        ledger.record(number, [epoch(1, 0)])
        assert not ledger.should_prune(number, 1)
        for k in (2, 3):
            ledger.record(number, [epoch(k, 0)])
            if ledger.should_prune(number, k):
                stopped_at.append(k)
                assert ledger.prune(number) is TrialState.PRUNED
                break
    # Hyperband's later brackets let some trials through on purpose.
    assert stopped_at == [2] * 6 if pruner != "hyperband" else len(stopped_at) >= 1
    ledger.close()


def test_without_a_pruner_nothing_is_stopped(database, space, settings, seed_of, epoch) -> None:
    ledger = Ledger.create(database, space, settings(pruner="none"))
    _six_good(ledger, seed_of, epoch)
    number = ledger.ask(seed_of).number
    ledger.record(number, [epoch(2, 0)])
    assert not ledger.should_prune(number, 2)
    ledger.close()


@pytest.mark.parametrize("pruner", ["median", "asha", "hyperband"])
def test_the_reference_and_the_sobol_trials_always_run_to_the_end(
    database, space, settings, seed_of, epoch, pruner
) -> None:
    ledger = Ledger.create(database, space, settings(pruner=pruner, n_sobol=9))
    for number in range(10):
        ledger.ask(seed_of)
        for k in (1, 2, 3):
            ledger.record(number, [epoch(k, 9 - number)])  # each worse than all before
            assert not ledger.should_prune(number, k)
        assert _finish(ledger, number, epoch, right=9 - number) is TrialState.COMPLETE
    ledger.close()


def test_no_trial_is_stopped_at_its_last_epoch_or_where_it_was_not_evaluated(ledger, seed_of, epoch) -> None:
    _six_good(ledger, seed_of, epoch)
    number = ledger.ask(seed_of).number
    ledger.record(number, [epoch(1, None), epoch(2, 0), epoch(4, 0)])
    assert not ledger.should_prune(number, 1)
    assert not ledger.should_prune(number, 4)
    assert ledger.should_prune(number, 2)


# ---- why a trial stopped


def test_a_pruned_trial_says_what_it_was_compared_with_when_it_was_stopped(ledger, database, seed_of, epoch) -> None:
    _six_good(ledger, seed_of, epoch)
    number = ledger.ask(seed_of).number
    ledger.start_attempt(number)
    assert ledger.report(number, [epoch(1, 3), epoch(2, 4)])
    at_once = [row.verdict for row in ledger.rows()]
    for right in (0, 0, 1, 1):  # what comes later changes the median, not the verdict
        later = ledger.ask(seed_of).number
        ledger.record(later, [epoch(k, right) for k in (1, 2, 3, 4)])
        ledger.complete(later)
    ledger.close()
    again = Ledger.open(database)
    rows = again.rows()
    again.close()
    assert [row.verdict for row in rows[: number + 1]] == at_once
    stopped = rows[number].verdict
    assert stopped is not None
    reached = np.median([_value_at(row, stopped.epoch) for row in rows[:6]])
    own = max(_value_at(rows[number], epoch) for epoch in range(1, stopped.epoch + 1))
    assert (stopped.value, stopped.threshold, stopped.among) == (own, reached, 6)
    words = f"pruned at epoch {stopped.epoch} by median: {own:.4f} below {reached:.4f}, from 6 trials"
    assert rows[number].stopped == words
    assert {row.stopped for row in rows if row.number != number} == {"finished"}


def _value_at(row: TrialRow, epoch: int) -> float:
    (val,) = (record.val for record in row.records if record.epoch == epoch)
    return float(np.mean(np.divide(val.correct, val.seen)))


def test_a_trial_that_a_pruner_may_not_stop_has_no_verdict(database, space, settings, seed_of, epoch) -> None:
    ledger = Ledger.create(database, space, settings(n_sobol=9))
    _six_good(ledger, seed_of, epoch)
    number = ledger.ask(seed_of).number
    assert not ledger.report(number, [epoch(1, 0), epoch(2, 0)])
    ledger.prune(number)
    assert (ledger.rows()[number].verdict, ledger.rows()[number].stopped) == (None, "pruned at epoch 2")
    ledger.close()


def test_a_trial_is_interrupted_from_the_end_of_its_driver_to_its_next_start(ledger, database, seed_of, epoch) -> None:
    for number in range(3):
        ledger.ask(seed_of)
        ledger.start_attempt(number)
    ledger.record(0, [epoch(1), epoch(2)])
    ledger.fail(2, "made to")
    assert [row.stopped for row in ledger.rows()] == [None, None, "failed: made to"]
    ledger.note_interruption()
    ledger.close()
    again = Ledger.open(database)
    told = ["interrupted after epoch 2", "interrupted after epoch 0", "failed: made to"]
    assert [row.stopped for row in again.rows()] == told
    again.start_attempt(0)
    assert [row.stopped for row in again.rows()] == [None, *told[1:]]
    again.close()


# ---- the ablation


def test_a_run_of_the_ablation_is_filed_once_and_the_runs_of_a_former_best1_stay(ledger, database) -> None:
    counts = ClassCounts((3, 4), (5, 5))
    filed = [
        AblationRun(trial, kind, change, seed, judged_on, counts)
        for trial in (3, 7)
        for kind, change in (("best1", "best1"), ("knob", "tau"), ("part", "tau"))
        for seed in (2**62 + 1, 5)
        for judged_on in ("val", "test")
    ]
    assert len({run.name for run in filed}) == len(filed)
    for run in (*filed, *(replace(run, counts=ClassCounts((0, 0), (5, 5))) for run in filed)):
        ledger.runs.add_ablation_run(run)
    ledger.close()
    again = Ledger.open(database)
    assert again.runs.ablation_runs() == filed
    again.close()


def test_a_study_from_before_there_was_an_ablation_is_opened_and_goes_on(ledger, database) -> None:
    ledger.close()
    with closing(sqlite3.connect(database)) as old, old:
        old.execute("DROP TABLE ablation_runs")
    again = Ledger.open(database)
    assert again.runs.ablation_runs() == []
    again.runs.add_ablation_run(AblationRun(3, "best1", "best1", 5, "val", ClassCounts((3, 4), (5, 5))))
    assert len(again.runs.ablation_runs()) == 1
    again.close()


# ---- the confirmation


def test_a_confirmation_run_is_filed_once_per_entry_and_seed(ledger, database) -> None:
    for record in ({"n": 1}, {"n": 2}):
        ledger.runs.add_confirm_run("la", 1001, None, record)
        ledger.runs.add_confirm_run("best1", 1001, 17, record)
        ledger.runs.add_confirm_run("teacher", None, None, record)
    ledger.close()
    again = Ledger.open(database)
    runs = [(run.entry, run.seed, run.trial, run.record["n"]) for run in again.runs.confirm_runs()]
    assert runs == [("la", 1001, None, 1), ("best1", 1001, 17, 1), ("teacher", None, None, 1)]
    again.close()


def test_a_run_on_another_cut_is_another_run(ledger) -> None:
    for data_seed in (0, 2, 2):
        ledger.runs.add_confirm_run("teacher", None, None, {}, data_seed=data_seed)
        ledger.runs.add_confirm_run("la", 1001, None, {}, data_seed=data_seed)
    keys = [(run.data_seed, run.entry, run.seed) for run in ledger.runs.confirm_runs()]
    assert keys == [(0, "teacher", None), (0, "la", 1001), (2, "teacher", None), (2, "la", 1001)]


def test_a_confirmation_from_before_there_were_cuts_is_of_the_studys_own(ledger, database) -> None:
    ledger.close()
    with closing(sqlite3.connect(database)) as old, old:
        old.execute("DROP TABLE confirm_runs")
        old.execute(
            "CREATE TABLE confirm_runs (entry TEXT NOT NULL, seed INTEGER, trial INTEGER, record TEXT NOT NULL)"
        )
        old.execute("CREATE UNIQUE INDEX one_confirm_run ON confirm_runs (entry, ifnull(seed, -1))")
        old.execute("INSERT INTO confirm_runs VALUES ('la', 1001, NULL, '{}'), ('teacher', NULL, NULL, '{}')")
    for _ in range(2):  # opening a second time changes nothing
        again = Ledger.open(database)
        keys = [(run.data_seed, run.entry, run.seed) for run in again.runs.confirm_runs()]
        assert keys[:2] == [(0, "la", 1001), (0, "teacher", None)]
        again.runs.add_confirm_run("la", 1001, None, {"of": "another cut"}, data_seed=1)
        again.runs.add_confirm_run("la", 1001, None, {"a second time": True})
        assert len(again.runs.confirm_runs()) == 3
        again.close()


def test_a_confirmation_from_before_there_were_lengths_is_of_the_studys_own(ledger, database) -> None:
    ledger.close()
    with closing(sqlite3.connect(database)) as old, old:
        old.execute("DROP TABLE confirm_runs")
        old.execute(
            "CREATE TABLE confirm_runs (entry TEXT NOT NULL, seed INTEGER, trial INTEGER, record TEXT NOT NULL, "
            "data_seed INTEGER NOT NULL DEFAULT 0)"
        )
        old.execute("CREATE UNIQUE INDEX one_confirm_run_a_cut ON confirm_runs (entry, ifnull(seed, -1), data_seed)")
        counts = '{"correct": [3, 1], "seen": [4, 4]}'
        record = f'{{"test": {counts}, "val": {counts}, "selected_on": "reference"}}'
        old.execute("INSERT INTO confirm_runs VALUES ('la', 1001, NULL, ?, 0)", (record,))
    for _ in range(2):  # opening a second time changes nothing
        again = Ledger.open(database)
        (first, *_) = again.runs.confirm_runs()
        assert (first.epochs_factor, first.epochs, first.val) == (1, (), ClassCounts((3, 1), (4, 4)))
        again.runs.add_confirm_run("la", 1001, None, {"at": "twice the length"}, epochs_factor=2)
        again.runs.add_confirm_run("la", 1001, None, {"a second time": True})
        keys = [("la", 1001, None, 0, 1), ("la", 1001, None, 0, 2)]
        assert again.runs.confirm_keys() == keys
        again.close()


def test_runs_of_a_former_best_trial_are_forgotten(ledger) -> None:
    for entry, seed, trial in (("la", 1001, None), ("best1", 1001, 17), ("best1", 1002, 21), ("best2", 1001, 17)):
        ledger.runs.add_confirm_run(entry, seed, trial, {})
    ledger.runs.drop_confirm_runs("best1", but_of=21)
    runs = [(run.entry, run.seed, run.trial) for run in ledger.runs.confirm_runs()]
    assert runs == [("la", 1001, None), ("best1", 1002, 21), ("best2", 1001, 17)]


def test_our_tables_do_not_disturb_optunas_and_can_be_read_beside_the_driver(ledger, database, epoch, seed_of):
    ledger.ask(seed_of)
    ledger.record(0, [epoch(1)])
    reader = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    assert reader.execute("SELECT number, epoch FROM epoch_records").fetchall() == [(0, 1)]
    reader.close()
    RDBStorage(f"sqlite:///{database}")  # checks the layout's version
