"""Whole searches without Ray: under every sampler and pruner they end, and alike however often the driver is killed.

A search with one worker is played against a made-up trainer whose curves depend on the knobs, so that pruners have
something to judge and TPE and GP something to learn.
"""

import random
from binascii import crc32
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product
from math import log
from pathlib import Path
from typing import Any

import pytest
from optuna.pruners import HyperbandPruner
from optuna.storages import RDBStorage
from ray.tune.search import Searcher

from search_spaces.faults import contains
from search_spaces.space import SearchSpace
from study.execution.attempts import AttemptLog
from study.execution.failure_budget import FailureBudget
from study.execution.searchers import LedgerSearcher
from study.records.ledger import Ledger
from study.strategy.pruners import PROTECTED, PRUNERS
from study.strategy.samplers import SAMPLERS
from study.strategy.search_settings import kind_of, make_pruner

EPOCHS, RUNGS, TRIALS = 8, (2, 4, 8), 13
#: The fast tests play every pruner and every sampler but gp, which is slow; the slow tests play all other pairs.
FAST = {
    *(("random", "asha"), ("tpe", "hyperband"), ("qmc", "median"), ("grid", "none"), ("sobol+tpe", "median")),
    *(("lhs", "none"), ("lhs+tpe", "median")),
}
COURSES = [
    pytest.param(*course, id="-".join(course), marks=() if course in FAST else pytest.mark.slow)
    for course in product(SAMPLERS, PRUNERS)
]


def _right(params: dict[str, Any], epoch: int) -> int:
    """Right answers of 1,000 in the first class; depends on every knob, grows with the epochs, never ties twice."""
    off = abs(params["tau"] - 0.8) + abs(log(params["lr"] / 0.1)) / 4 + 0.1 * params["depth"]
    off += 0.3 * abs(log(params["inner"])) if params["switch"] else 0.1
    return int(1000 / (1 + off) * epoch / (epoch + 1))


def _epoch(params: dict[str, Any], epoch: int) -> dict[str, Any]:
    val = {"correct": [_right(params, epoch), 900], "seen": [1000, 1000]} if epoch in RUNGS else None
    return {"epoch": epoch, "losses": {"total": 1.0}, "lr": 0.1, "val": val, "train_s": 2.0, "eval_s": 0.5}


class Killed(BaseException):
    """The driver dies here."""


def play(database: Path, seed_of: Callable[..., int], *, kills: random.Random | None = None) -> list[tuple[Any, ...]]:
    """Run the search in `database` to its end as Ray does with one worker; return what became of each trial.

    Args:
        kills: chooses when each driver dies: just before or just after its second to sixth write. None: no driver dies.
    """
    saved: dict[int, int] = {}
    while True:
        ledger = Ledger.open(database)
        if kills:
            ledger._database.together = _mortal(ledger, kills.randint(2, 6), after=kills.random() < 0.5)
        try:
            _drive(ledger, seed_of, saved)
        except Killed:
            ledger.close()
            continue
        rows = ledger.rows()
        ledger.close()
        assert [row.number for row in rows if row.state == "PRUNED" and row.verdict is None] == []
        assert all(row.verdict.value < row.verdict.threshold for row in rows if row.verdict)
        return [(row.number, row.kind, row.params, row.state, row.seed, len(row.records), row.val) for row in rows]


def _drive(ledger: Ledger, seed_of: Callable[..., int], saved: dict[int, int]) -> None:
    """Play Ray and a worker that saves the epochs of a leg, a rung at a time, before the driver hears of them."""
    attempts = AttemptLog(FailureBudget(max_retries=0, max_failures=0))
    searcher = LedgerSearcher(ledger, attempts, seed_of=seed_of)
    while (config := searcher.suggest("ray")) != Searcher.FINISHED:
        assert isinstance(config, dict)
        number, reported, stops = config["number"], 0, False
        while not stops:
            saved[number] = next((rung for rung in RUNGS if rung > saved.get(number, 0)), EPOCHS)
            # A continued trial reports all that it has.
            records = [_epoch(config["config"], epoch) for epoch in range(reported + 1, saved[number] + 1)]
            reported, result = saved[number], {"records": records, "cause": None}
            stops = reported == EPOCHS or searcher.on_result("ray", result)
        searcher.on_trial_complete("ray", result)


def _mortal(ledger: Ledger, n_writes: int, *, after: bool) -> Callable[[], Any]:
    """`Database.together` of a driver that dies before or after its n-th transaction."""
    together, left = ledger._database.together, n_writes

    @contextmanager
    def mortal() -> Iterator[None]:
        nonlocal left
        whole = not ledger._database.connection.held
        left -= whole
        if whole and not left and not after:
            raise Killed
        with together():
            yield
        if whole and not left:
            raise Killed

    return mortal


@pytest.fixture
def begin(tmp_path: Path, space: SearchSpace, settings: Callable[..., Any], monkeypatch) -> Callable[..., Path]:
    def make(name: str, **changes: Any) -> Path:
        parts = {"trials": TRIALS, "n_sobol": 5, "epochs": EPOCHS, "rungs": RUNGS} | changes
        Ledger.create(tmp_path / name, space, settings(**parts)).close()
        # Optuna reads all its migrations at every opening to learn the newest: most of the time of these tests.
        newest = RDBStorage(f"sqlite:///{tmp_path / name}").get_head_version()
        monkeypatch.setattr("optuna.storages._rdb.storage._VersionManager.get_head_version", lambda self: newest)
        return tmp_path / name

    return make


def test_the_fast_tests_play_every_sampler_but_gp_and_every_pruner() -> None:
    assert {sampler for sampler, _ in FAST} == {*SAMPLERS} - {"gp"}
    assert {pruner for _, pruner in FAST} == {*PRUNERS}


@pytest.mark.parametrize(("sampler", "pruner"), COURSES)
def test_a_search_ends_alike_however_often_its_driver_is_killed(
    begin, space, settings, seed_of, sampler, pruner
) -> None:
    chosen = {"sampler": sampler, "pruner": pruner}
    course = play(begin("calm.db", **chosen), seed_of)
    assert play(begin("torn.db", **chosen), seed_of, kills=random.Random(f"{sampler} {pruner}")) == course

    states = [state for _, _, _, state, *_ in course]
    assert len(course) == TRIALS
    assert set(states) <= {"COMPLETE", "PRUNED"}
    assert ("PRUNED" in states) == (pruner != "none" and not SAMPLERS[sampler].always_spread)
    assert len({tuple(params.items()) for _, _, params, *_ in course}) == TRIALS
    for number, kind, params, state, _, n_epochs, _ in course:
        assert kind == kind_of(settings(n_sobol=5, **chosen), number)
        assert all(contains(space.distributions[name], value) for name, value in params.items())
        assert n_epochs == EPOCHS if state == "COMPLETE" or kind in PROTECTED else n_epochs in RUNGS[:-1]


def test_the_users_own_points_are_trained_once_each_to_their_end_however_often_the_driver_is_killed(
    begin, seed_of
) -> None:
    own = [{"tau": 1.5, "lr": 0.7, "depth": 4, "switch": False}, {"tau": 1.4, "lr": 0.8, "depth": 4, "switch": False}]
    chosen = {"sampler": "tpe", "pruner": "asha", "points": tuple(own)}
    course = play(begin("calm.db", **chosen), seed_of)
    assert play(begin("torn.db", **chosen), seed_of, kills=random.Random(3)) == course
    assert [(params, state) for _, kind, params, state, *_ in course if kind == "points"] == [
        (point, "COMPLETE") for point in own
    ]
    assert "PRUNED" in [state for _, _, _, state, *_ in course]


def test_hyperband_judges_each_trial_within_its_bracket_and_one_bracket_runs_to_the_end(
    begin, settings, seed_of
) -> None:
    course = play(begin("study.db", sampler="random", pruner="hyperband", trials=40), seed_of)
    pruner = make_pruner(settings(pruner="hyperband", epochs=EPOCHS, rungs=RUNGS))
    assert isinstance(pruner, HyperbandPruner)
    # Halving by 2 from epoch 2 to 8 leaves brackets that begin to judge at 2, at 4 and never: shares 4, 3 and 3 of 10.
    shortest: dict[int, int] = {}
    for number, kind, _, _, _, n_epochs, _ in course:
        if kind not in PROTECTED:
            bracket = _bracket(number)
            shortest[bracket] = min(n_epochs, shortest.get(bracket, EPOCHS))
    assert shortest == {0: 2, 1: 4, 2: 8}


def _bracket(number: int) -> int:
    """By Optuna's rule: a hash of the study's name and the trial's number."""
    place = crc32(f"search_{number}".encode()) % 10
    return 0 if place < 4 else 1 if place < 7 else 2


def test_the_sampler_sees_every_trial_under_hyperband_too(begin, seed_of) -> None:
    """Optuna would show TPE one bracket only; what it sees then decides what it suggests."""
    with_pruner = play(begin("hyperband.db", sampler="tpe", pruner="hyperband", trials=11), seed_of)
    without = play(begin("none.db", sampler="tpe", pruner="none", trials=11), seed_of)
    assert [params for _, _, params, *_ in with_pruner[:10]] == [params for _, _, params, *_ in without[:10]]
    assert {state for _, _, _, state, *_ in with_pruner} == {"COMPLETE", "PRUNED"}
