"""Fixtures of a toy search: a small space, settings, a seed function, and the records that a trial would report."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from sqlalchemy import Engine, event

from search_spaces.knob import Condition, Knob
from search_spaces.space import SearchSpace
from study.records.ledger import Ledger
from study.strategy.search_settings import SearchSettings


@pytest.fixture
def space() -> SearchSpace:
    return SearchSpace(
        name="toy",
        purpose="Does the engine work?",
        method="la",
        tunable=(
            Knob("tau", FloatDistribution(0.5, 1.5), "1", "toy", 1.0),
            Knob("lr", FloatDistribution(0.02, 0.8, log=True), "1", "toy", 0.2),
            Knob("depth", IntDistribution(1, 4), "1", "toy", 2),
            Knob("switch", CategoricalDistribution((False, True)), "1", "toy", False),
            Knob("inner", FloatDistribution(0.1, 10.0, log=True), "1", "toy", 1.0),
        ),
        conditions=(Condition("inner", "switch", (True,)),),
        default_trials=8,
    )


@pytest.fixture
def settings() -> Callable[..., SearchSettings]:
    def build(**changes: Any) -> SearchSettings:
        parts = {
            "sampler": "sobol+tpe",
            "pruner": "median",
            "trials": 12,
            "n_sobol": 4,
            "seed": 7,
            "epochs": 4,
            "rungs": (1, 2, 3, 4),
        }
        return SearchSettings(**(parts | changes))

    return build


@pytest.fixture(scope="session")
def seed_of() -> Callable[[Mapping[str, Any], int], int]:
    return lambda params, replicate: 2**62 + 1000 * replicate + len(params)


@pytest.fixture
def epoch() -> Callable[..., dict[str, Any]]:
    """An epoch's record: of 10 images of each of 2 classes, `right` and 10 are right; None is not evaluated."""

    def build(number: int, right: int | None = 5, loss: float = 1.0) -> dict[str, Any]:
        val = None if right is None else {"correct": [right, 10], "seen": [10, 10]}
        losses = {"total": loss, "sup": loss}
        return {"epoch": number, "losses": losses, "lr": 0.1, "val": val, "train_s": 2.0, "eval_s": 0.5}

    return build


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "study.db"


@pytest.fixture(scope="session", autouse=True)
def _no_fsync() -> Iterator[None]:
    """Tests kill processes but cut no power: SQLite need not wait for the disk at every write."""

    def relax(connection: Any, record: Any) -> None:
        connection.execute("PRAGMA synchronous=OFF")

    event.listen(Engine, "connect", relax)
    yield
    event.remove(Engine, "connect", relax)


_EMPTY: dict[str, bytes] = {}


@pytest.fixture
def ledger(database: Path, space: SearchSpace, settings: Callable[..., SearchSettings]) -> Iterator[Ledger]:
    if not _EMPTY:  # making the tables takes longer than most tests; make them once
        Ledger.create(database, space, settings()).close()
        _EMPTY["database"] = database.read_bytes()
    database.write_bytes(_EMPTY["database"])
    opened = Ledger.open(database)
    yield opened
    opened.close()
