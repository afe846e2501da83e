"""One connection to study.db: what belongs together is one transaction, and a trial's price does not grow."""

import signal
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any

import optuna
import pytest
from optuna.storages import RDBStorage
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.orm import Session

from study.records import connection
from study.records.cached_storage import CachedStorage
from study.records.connection import Database
from study.records.ledger import Ledger


@pytest.fixture
def opened(ledger, database):
    ledger.close()
    opened = Database(database)
    yield opened
    opened.close()


def _attributes(database) -> dict:
    storage = optuna.storages.RDBStorage(f"sqlite:///{database}")
    (study,) = storage.get_all_studies()
    storage.engine.dispose()
    return study.user_attrs.keys() - {"space", "settings"}


def test_writes_of_optuna_and_of_ours_are_kept_together_or_not_at_all(opened, database) -> None:
    def write(name: str) -> None:
        opened.storage.set_study_user_attr(1, name, 1)
        opened.connection.execute("INSERT INTO epoch_records VALUES (?, 1, '{}')", (ord(name),))

    def n_rows() -> int:
        with closing(sqlite3.connect(database)) as reader:
            return reader.execute("SELECT count(*) FROM epoch_records").fetchone()[0]

    def interrupted() -> None:
        with opened.together():
            write("a")
            assert (_attributes(database), n_rows()) == (set(), 0)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with opened.together():
        write("b")
        with opened.together():
            write("c")
        assert n_rows() == 0
    assert (_attributes(database), n_rows()) == ({"b", "c"}, 2)


def test_a_write_that_the_database_refuses_undoes_the_whole_though_optuna_passes_it_over(opened, database) -> None:
    def refused() -> None:
        with opened.together():
            opened.storage.set_study_user_attr(1, "a", 1)
            opened.connection.rollback()  # as Optuna's session does when it swallows an IntegrityError
            opened.storage.set_study_user_attr(1, "b", 1)

    with pytest.raises(sqlite3.IntegrityError, match="was refused"):
        refused()
    assert _attributes(database) == set()


def test_a_driver_that_closes_leaves_one_file_and_one_that_is_read_just_now_loses_nothing(opened, database) -> None:
    opened.storage.set_study_user_attr(1, "a", 1)
    reader = sqlite3.connect(database)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM studies").fetchall()
    opened.close()
    reader.close()
    assert _attributes(database) == {"a"}
    again = Database(database)
    again.close()
    assert [path.name for path in database.parent.iterdir()] == ["study.db"]


def test_a_write_waits_for_a_program_that_holds_the_file_and_says_so(
    database, space, settings, seed_of, monkeypatch, capsys
) -> None:
    Ledger.create(database, space, settings()).close()
    monkeypatch.setattr(connection, "_PATIENCE_S", 0.05)
    ledger = Ledger.open(database)
    with closing(sqlite3.connect(database, check_same_thread=False)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        release = threading.Timer(0.5, holder.rollback)
        release.start()
        assert ledger.ask(seed_of).number == 0
        release.join()
    ledger.close()
    told = capsys.readouterr().out.splitlines()
    assert set(told) == {f"NOTE     {database} is held locked by another program; waiting for it"}
    assert len(told) == 1, "said once, however long it takes"


def _on(monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> None:
    """Press Ctrl-C in a method of a library."""
    method = getattr(owner, name)

    def pressed(*args: Any, **how: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        return method(*args, **how)

    monkeypatch.setattr(owner, name, pressed)


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize(
    ("owner", "name"),
    [(DefaultDialect, "do_execute"), (Session, "commit"), (RDBStorage, "set_trial_user_attr")],
)
def test_a_ctrl_c_while_optuna_writes_takes_effect_behind_the_whole(
    ledger, seed_of, monkeypatch, owner: type, name: str
) -> None:
    """SQLAlchemy alone would close the one connection, and every later write would fail."""
    ledger.ask(seed_of)
    with monkeypatch.context() as patch:
        _on(patch, owner, name)
        with pytest.raises(KeyboardInterrupt):
            ledger.fail(0, "no")
    assert ledger.counts()["fail"] == 1
    assert ledger.ask(seed_of).number == 1
    assert [trial.state.name for trial in ledger._storage._backend.get_all_trials(1)] == ["FAIL", "RUNNING"]


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize(
    ("owner", "name"),
    [(DefaultDialect, "do_execute"), (Session, "commit"), (RDBStorage, "get_all_trials")],
)
def test_a_ctrl_c_while_a_study_db_is_opened_leaves_it_whole_and_free(
    ledger, database, monkeypatch, owner: type, name: str
) -> None:
    ledger.close()
    with monkeypatch.context() as patch:
        _on(patch, owner, name)
        with pytest.raises(KeyboardInterrupt):
            Ledger.open(database)
    assert [path.name for path in database.parent.iterdir()] == ["study.db"]
    Ledger.open(database).close()


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize("name", ["do_execute", "do_commit", "do_rollback"])
def test_a_ctrl_c_while_a_study_db_is_made_leaves_none_or_a_whole_one(
    database, space, settings, monkeypatch, name: str
) -> None:
    with monkeypatch.context() as patch:
        _on(patch, DefaultDialect, name)
        with pytest.raises(KeyboardInterrupt):
            Ledger.create(database, space, settings())
    assert {path.name for path in database.parent.iterdir()} <= {"study.db"}
    ledger = Ledger.open(database) if database.exists() else Ledger.create(database, space, settings())
    ledger.close()


@pytest.mark.usefixtures("heard")
def test_a_ctrl_c_ends_the_wait_for_a_file_that_another_program_holds(database, space, settings, monkeypatch) -> None:
    Ledger.create(database, space, settings()).close()
    monkeypatch.setattr(connection, "_PATIENCE_S", 0.05)
    opened = Database(database)

    def write() -> None:
        with opened.together():
            raise AssertionError("the file is held")

    with closing(sqlite3.connect(database)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        monkeypatch.setattr(connection.time, "sleep", lambda _: signal.raise_signal(signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            write()
    with opened.together():
        opened.storage.set_study_user_attr(1, "a", 1)
    opened.close()
    assert _attributes(database) == {"a"}


@pytest.mark.parametrize("lock", ["IMMEDIATE", "EXCLUSIVE"])
def test_a_file_that_is_held_is_opened_when_it_is_free(database, space, settings, monkeypatch, capsys, lock) -> None:
    Ledger.create(database, space, settings()).close()
    monkeypatch.setattr(connection, "_PATIENCE_S", 0.05)
    with closing(sqlite3.connect(database, check_same_thread=False, isolation_level=None)) as holder:
        holder.execute(f"BEGIN {lock}")
        release = threading.Timer(0.5, holder.rollback)
        release.start()
        ledger = Ledger.open(database)
        release.join()
    ledger.close()
    told = capsys.readouterr().out.splitlines()
    assert told == [f"NOTE     {database} is held locked by another program; waiting for it"]


def test_memory_read_again_from_the_file_is_what_it_was(database, space, settings, seed_of, epoch) -> None:
    ledger = Ledger.create(database, space, settings(pruner="asha", n_sobol=2))
    for number in range(6):
        ledger.ask(seed_of)
        ledger.start_attempt(number)
        for k in (1, 2):
            ledger.record(number, [epoch(k, number)])
            ledger.should_prune(number, k)
    ledger.prune(1)
    ledger.fail(2, "no")
    ledger.record(3, [epoch(3), epoch(4)])
    ledger.complete(3)

    def told() -> tuple:
        # Memory and file each note their own time of an end.
        trials = [{k: v for k, v in vars(one).items() if "datetime_complete" not in k} for one in ledger._trials()]
        return trials, ledger.rows()

    before = told()
    ledger._storage.reload()
    ledger.runs.reload()
    assert told() == before
    assert any(trial["_system_attrs"] for trial in before[0]), "halving's rungs are among what must survive"
    ledger.close()


def test_a_new_trial_is_written_without_reading_others_knobs(database, space, settings, seed_of) -> None:
    ledger = Ledger.create(database, space, settings(sampler="random"))
    ledger.ask(seed_of)
    statements: list[str] = []
    ledger._database.connection.set_trace_callback(statements.append)
    asked = ledger.ask(seed_of)
    ledger._database.connection.set_trace_callback(None)
    of_knobs = [statement for statement in statements if "trial_params" in statement]
    assert len(of_knobs) == len(asked.params) > 1
    assert all(statement.startswith("INSERT") for statement in of_knobs)
    ledger.close()


def test_a_search_is_neither_made_nor_deleted_through_memory(opened) -> None:
    cached = CachedStorage(opened.storage)
    with pytest.raises(NotImplementedError):
        cached.delete_study(0)
    with pytest.raises(NotImplementedError):
        optuna.create_study(storage=cached)


@pytest.mark.slow
def test_the_database_does_as_much_for_the_hundredth_trial_as_for_the_fifth(
    database, space, settings, seed_of, epoch
) -> None:
    """Counted, not timed: SQL statements, and steps of SQLite's machine, which a scan of earlier rows would raise."""
    ledger = Ledger.create(database, space, settings(sampler="random", pruner="asha", trials=110))
    counts = {"statements": 0, "steps": 0}

    def count(what: str) -> Callable[..., None]:
        return lambda *_: counts.__setitem__(what, counts[what] + 1)

    ledger._database.connection.set_trace_callback(count("statements"))
    spent = []
    for number in range(110):
        # Counting every step makes a trial many times as slow: only those that are compared.
        counted = count("steps") if number < 15 or number >= 95 else None
        ledger._database.connection.set_progress_handler(counted, 1)
        counts.update(statements=0, steps=0)
        n_knobs = len(ledger.ask(seed_of).params)
        ledger.start_attempt(number)
        for k in (1, 2, 3):
            ledger.record(number, [epoch(k)])
            ledger.should_prune(number, k)
        ledger.record(number, [epoch(4)])
        ledger.complete(number)
        assert (ledger.n_asked, ledger.finished_total, len(ledger.best())) == (number + 1, number + 1, 1)
        ledger.rows()
        spent.append((n_knobs, counts["statements"], counts["steps"]))
    ledger.close()
    for n_knobs in (4, 5):
        early = next(one for one in spent[5:15] if one[0] == n_knobs)
        late = next(one for one in reversed(spent[95:]) if one[0] == n_knobs)
        assert late[1] == early[1]
        # Optuna counts the earlier trials to number a new one: four steps each, microseconds at thousands.
        assert late[2] - early[2] < 6 * 110
