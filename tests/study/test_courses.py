"""Whole searches without Ray: under every sampler and pruner they end, and alike however often they are reopened.

A search with one worker is played against a made-up trainer whose curves depend on the knobs, so that pruners have
something to judge and TPE and GP something to learn.
"""

from binascii import crc32
from collections.abc import Callable
from math import log
from pathlib import Path
from typing import Any

import pytest
from optuna.pruners import HyperbandPruner
from optuna.storages import RDBStorage

from search_spaces import SearchSpace
from search_spaces.faults import contains
from study.ledger import Ledger
from study.plan import PRUNERS, SAMPLERS
from study.pruners import PROTECTED, make_pruner
from study.samplers import kind_of

EPOCHS, RUNGS, TRIALS = 8, (2, 4, 8), 13
COURSES = [
    *(pytest.param(sampler, "median", id=sampler) for sampler in SAMPLERS if sampler != "gp"),
    *(pytest.param("sobol+tpe", pruner, id=pruner) for pruner in PRUNERS if pruner != "median"),
    pytest.param("gp", "median", id="gp", marks=pytest.mark.slow),
]


def _right(params: dict[str, Any], epoch: int) -> int:
    """Right answers of 1,000 in the first class; depends on every knob, grows with the epochs, never ties twice."""
    off = abs(params["tau"] - 0.8) + abs(log(params["lr"] / 0.1)) / 4 + 0.1 * params["depth"]
    off += 0.3 * abs(log(params["inner"])) if params["switch"] else 0.1
    return int(1000 / (1 + off) * epoch / (epoch + 1))


def _epoch(params: dict[str, Any], epoch: int) -> dict[str, Any]:
    val = {"correct": [_right(params, epoch), 900], "seen": [1000, 1000]} if epoch in RUNGS else None
    return {"epoch": epoch, "losses": {"total": 1.0}, "lr": 0.1, "val": val, "train_s": 2.0, "eval_s": 0.5}


def play(database: Path, seed_of: Callable[..., int], *, reopen: bool = False) -> list[tuple[Any, ...]]:
    """Run the search in `database` to its end as Ray's adapters do; return what became of each trial.

    Args:
        reopen: close the ledger and open it again before a trial's first and third epoch and after its last.
    """
    ledger = Ledger.open(database)

    def again(ledger: Ledger) -> Ledger:
        if not reopen:
            return ledger
        ledger.close()
        return Ledger.open(database)

    while ledger.n_asked < ledger.settings.trials:
        asked = ledger.ask(seed_of)
        for epoch in range(1, ledger.settings.epochs + 1):
            ledger = again(ledger) if epoch in (1, 3) else ledger
            if reopen and epoch in (1, 3):
                (left,) = ledger.unfinished()
                assert left == asked
            evaluated = ledger.record(asked.number, [_epoch(asked.params, epoch)])
            if evaluated and ledger.should_prune(asked.number, evaluated[-1]):
                ledger.prune(asked.number)
                break
        else:
            ledger.complete(asked.number)
        ledger = again(ledger)
    rows = ledger.rows()
    ledger.close()
    return [(row.number, row.kind, row.params, row.state, row.seed, len(row.records)) for row in rows]


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


@pytest.mark.parametrize(("sampler", "pruner"), COURSES)
def test_a_search_ends_alike_however_often_it_is_reopened(begin, space, settings, seed_of, sampler, pruner) -> None:
    chosen = {"sampler": sampler, "pruner": pruner}
    course = play(begin("calm.db", **chosen), seed_of)
    assert play(begin("torn.db", **chosen), seed_of, reopen=True) == course

    states = [state for _, _, _, state, _, _ in course]
    assert len(course) == TRIALS
    assert set(states) <= {"COMPLETE", "PRUNED"}
    assert ("PRUNED" in states) == (pruner != "none")
    assert len({tuple(params.items()) for _, _, params, _, _, _ in course}) == TRIALS
    for number, kind, params, state, _, n_epochs in course:
        assert kind == kind_of(settings(n_sobol=5, **chosen), number)
        assert all(contains(space.distributions[name], value) for name, value in params.items())
        assert n_epochs == EPOCHS if state == "COMPLETE" or kind in PROTECTED else n_epochs in RUNGS[:-1]


def test_hyperband_judges_each_trial_within_its_bracket_and_one_bracket_runs_to_the_end(
    begin, settings, seed_of
) -> None:
    course = play(begin("study.db", sampler="random", pruner="hyperband", trials=40), seed_of)
    pruner = make_pruner(settings(pruner="hyperband", epochs=EPOCHS, rungs=RUNGS))
    assert isinstance(pruner, HyperbandPruner)
    # Halving by 2 from epoch 2 to 8 leaves brackets that begin to judge at 2, at 4 and never: shares 4, 3 and 3 of 10.
    shortest: dict[int, int] = {}
    for number, kind, _, _, _, n_epochs in course:
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
    assert [params for _, _, params, _, _, _ in with_pruner[:10]] == [params for _, _, params, _, _, _ in without[:10]]
    assert {state for _, _, _, state, _, _ in with_pruner} == {"COMPLETE", "PRUNED"}
