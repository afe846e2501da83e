"""A small study that has not begun, the same one searched, and a played Ray."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from study.phases import search
from study.phases.session.begin import create_ledger
from study.phases.state.study_in_progress import Study
from study.planning.check import check
from study.planning.checked import Checked
from study.planning.manifest import first_manifest
from study.planning.parser import build_parser
from study.records.ledger import Ledger
from study.records.store import StudyStore
from study.terminal.progress import Progress
from tests.study.phases.played import ANALYSES, EPOCHS, N_SEEDS, N_TRIALS, PlayedRay, play


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Checked:
    out = tmp_path_factory.mktemp("out")
    what = ["--space", "acckd_smoke", "--data", "digits_lt", "--out", str(out), "--name", "toy"]
    budget = ["--trials", str(N_TRIALS), "--epochs", str(EPOCHS), "--confirm-seeds", str(N_SEEDS), "--finalists", "0"]
    return check(build_parser().parse_args([*what, *budget, "--set", "lr=0.1", "--set", "feature_weight=0.5"]))


@pytest.fixture(scope="module")
def empty_database(checked: Checked, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Making the tables takes longer than most tests; make them once."""
    store = StudyStore.create(tmp_path_factory.mktemp("empty"), "toy")
    create_ledger(checked, store).close()
    return store.database.read_bytes()


@pytest.fixture
def study(checked: Checked, empty_database: bytes, tmp_path: Path, ray: PlayedRay) -> Iterator[Study]:
    """A study that has not begun; Ray and the teacher are played."""
    store = StudyStore.create(tmp_path, "toy")
    store.write_manifest(first_manifest(checked, "...") | {"teacher": {"forward_passes": 7}})
    store.database.write_bytes(empty_database)
    ledger = Ledger.open(store.database)
    begun = Study(checked, store, ledger, Progress(io.StringIO()), ANALYSES, ray.engine)
    yield begun
    begun.ledger.close()


@pytest.fixture
def ray() -> PlayedRay:
    return PlayedRay()


_SEARCHED: list[bytes] = []


@pytest.fixture
def searched(study: Study, ray: PlayedRay) -> Study:
    if not _SEARCHED:
        play(study, search.search, search.studied_method(study))
        ray.bundles.clear()
    study.ledger.close()  # leaves one file
    if not _SEARCHED:
        _SEARCHED.append(study.store.database.read_bytes())
    study.store.database.write_bytes(_SEARCHED[0])
    study.ledger = Ledger.open(study.store.database)
    return study
