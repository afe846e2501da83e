"""What study.db holds, read with SQLite alone, is what the ledger and its tables wrote."""

import sqlite3
from contextlib import closing

import pytest

from study.overview.runs_done import Best, runs_done
from study.records.run_tables import AblationRun
from trainables.cckd.records import ClassCounts


def _search(ledger, seed_of, epoch) -> None:
    """Six trials: two complete, one pruned, one failed, one that trains, one that has just begun."""
    for _ in range(6):
        ledger.ask(seed_of)
    for number, right in ((0, 4), (1, 8)):
        ledger.record(number, [epoch(k, right) for k in (1, 2, 3, 4)])
        ledger.complete(number)
    ledger.record(2, [epoch(1)])
    ledger.prune(2)
    ledger.fail(3, "exception: boom")
    ledger.record(4, [epoch(1), epoch(2, None)])


def test_the_search_is_counted_while_its_driver_holds_the_file_open(ledger, database, seed_of, epoch) -> None:
    _search(ledger, seed_of, epoch)
    found = runs_done(database, None)
    assert found.done == {"search": 3}
    assert found.failed == {"search": 1}
    assert found.unfinished == {"search trial 4": 2, "search trial 5": 0}
    assert found.best == Best(1, pytest.approx(0.9), None, 0)


def test_best1_is_judged_by_its_fresh_runs(ledger, database, seed_of, epoch) -> None:
    _search(ledger, seed_of, epoch)
    for seed, right in enumerate((6, 8, 10)):
        ledger.runs.add_selection_run(0, seed, ClassCounts((right, 10), (10, 10)))
        ledger.runs.add_selection_run(1, seed, ClassCounts((1, 10), (10, 10)))
    found = runs_done(database, 0)
    assert found.done["selection"] == 6
    # values 0.8, 0.9, 1.0: sd 0.1
    assert found.best == Best(0, pytest.approx(0.9), pytest.approx(0.1 / 3**0.5), 3)


def test_a_chosen_trial_without_fresh_runs_keeps_its_own_value(ledger, database, seed_of, epoch) -> None:
    _search(ledger, seed_of, epoch)
    assert runs_done(database, 0).best == Best(0, pytest.approx(0.7), None, 0)


def test_a_class_without_images_does_not_count(ledger, database, seed_of, epoch) -> None:
    _search(ledger, seed_of, epoch)
    ledger.runs.add_selection_run(0, 1, ClassCounts((5, 0), (10, 0)))
    assert runs_done(database, 0).best == Best(0, pytest.approx(0.5), None, 1)


def test_every_later_run_is_counted_in_its_phase_and_only_what_has_not_ended_is_unfinished(ledger, database) -> None:
    runs = ledger.runs
    started = (
        ("candidate-trial0-seed5", "selection"),
        ("candidate-la-trial2-seed5", "tune la"),
        ("kd-seed1", "confirm"),
        ("best1-trial0-seed1-cut1", "confirm"),
        ("kd-seed1-x2", "longer"),
        ("ablation-val-part-mixing-trial0-seed9", "ablation"),
    )
    for name, _ in started:
        runs.start_rerun(name)
    assert list(runs_done(database, 0).unfinished) == [name for name, _ in started]
    runs.add_selection_run(0, 5, ClassCounts((1,), (2,)))
    runs.add_confirm_run("teacher", None, None, {})
    runs.add_confirm_run("kd", 1, None, {})
    runs.add_confirm_run("best1", 1, 0, {}, data_seed=1)
    runs.add_confirm_run("kd", 1, None, {}, epochs_factor=2)
    runs.add_ablation_run(AblationRun(0, "part", "mixing", 9, "val", ClassCounts((1,), (2,))))
    runs.add_ablation_run(AblationRun(7, "part", "mixing", 9, "val", ClassCounts((1,), (2,))))
    found = runs_done(database, 0)
    assert found.done == {"selection": 1, "confirm": 2, "longer": 1, "ablation": 1}
    assert found.unfinished == {"candidate-la-trial2-seed5": None}
    for name, _ in started:
        runs.fail_rerun(name, "hung: no report")
    found = runs_done(database, 0)
    assert found.failed == {phase: sum(other == phase for _, other in started) for _, phase in started}
    assert found.unfinished == {}


@pytest.mark.parametrize("missing", [("epochs_factor",), ("epochs_factor", "data_seed")])
def test_a_study_of_an_earlier_version_is_read(ledger, database, missing) -> None:
    ledger.runs.add_confirm_run("kd", 1, None, {})
    ledger.close()
    with closing(sqlite3.connect(database)) as file, file:
        file.execute("DROP INDEX one_confirm_run_a_length")
        for column in missing:
            file.execute(f"ALTER TABLE confirm_runs DROP COLUMN {column}")
    assert runs_done(database, None).done == {"confirm": 1}


def test_a_tuned_baseline_is_a_phase_of_its_own(ledger, database, space, seed_of, epoch) -> None:
    tuned = ledger.tune("la", space)
    for _ in range(2):
        tuned.ask(seed_of)
    tuned.record(0, [epoch(k) for k in (1, 2, 3, 4)])
    tuned.complete(0)
    tuned.runs.add_selection_run(0, 3, ClassCounts((1,), (2,)))
    found = runs_done(database, None)
    assert found.done == {"tune la": 2}
    assert found.unfinished == {"tune la trial 1": 0}
    assert found.best is None


def test_another_programs_study_of_any_name_is_ignored(ledger, database) -> None:
    with closing(sqlite3.connect(database)) as file, file:
        for number, name in enumerate(("search-x; DROP TABLE trials", "search-" + "a" * 65, "mine", "")):
            file.execute("INSERT INTO studies VALUES (?, ?)", (100 + number, name))
            file.execute("INSERT INTO trials (number, study_id, state) VALUES (0, ?, 'COMPLETE')", (100 + number,))
    assert runs_done(database, None).done == {}


@pytest.mark.parametrize("content", [None, b"", b"not a database", b"SQLite format 3\x00" + b"\xff" * 4096])
def test_a_file_that_is_no_study_is_an_error_of_sqlite_and_is_not_made(tmp_path, content) -> None:
    database = tmp_path / "study.db"
    if content is not None:
        database.write_bytes(content)
    with pytest.raises(sqlite3.Error):
        runs_done(database, None)
    assert database.exists() == (content is not None)
