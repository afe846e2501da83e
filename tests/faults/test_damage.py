"""Every file of state, torn or with a flipped byte: read as it was written, or refused by name."""

import json
import logging
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch

from search_spaces.registry import get_space
from study import schema
from study.lock import study_lock
from study.records.ledger import Ledger
from study.records.run_log import logging_to
from study.records.run_tables import AblationRun
from study.records.store import StoreError, StudyStore
from study.strategy.search_settings import SettingsError
from trainables.cckd.errors import TeacherError
from trainables.cckd.records import ClassCounts
from trainables.cckd.students.build import build_student
from trainables.cckd.students.export import ExportError, export_model, load_model
from trainables.cckd.teacher.cache.feature_cache import FeatureCache, FeatureKey
from trainables.cckd.teacher.fit import fit_steps
from trainables.cckd.teacher.fit.fit_cache import FitCache
from trainables.cckd.teacher.fit.fitted_teacher import FittedTeacher, fit_teacher
from trainables.cckd.teacher.fit.softmax_regression import Affine
from trainables.cckd.teacher.spec import TeacherSpec
from trainables.cckd.training.checkpoint import CheckpointError, CheckpointState, read_checkpoint, write_checkpoint

KEPT = (0, 0.25, 0.5, 0.75, 0.99)
GROUPS = {"many": (0,), "medium": (1,), "few": ()}
_FEATURES = np.random.default_rng(0).normal(size=(10, 2, 3)).astype(np.float16)
_LABELS = np.arange(10) % 2
_KEY = FeatureKey("stub", "aa", 96, "bb", "train", None, _FEATURES.shape, {"torch": "2"})


@dataclass(frozen=True)
class State:
    """A kind of file: how a folder with it is made, how it is read, and how it is refused.

    `read` returns all that the file decides; `refused` and `named` are the error and what its message holds.
    """

    make: Callable[[Path], Path]
    read: Callable[[Path], Any]
    refused: type[Exception]
    named: str


def _make_checkpoint(folder: Path, file: str) -> Path:
    state = CheckpointState(3, {"method": "ce", "lr": 0.1}, {"name": "bands"}, [{"epoch": 3}], {"torch": "0"})
    write_checkpoint(folder, state, {"a": torch.arange(100.0), "b": torch.ones(3)})
    return next(folder.glob(file))


def _read_checkpoint(folder: Path) -> Any:
    state, tensors = read_checkpoint(folder)
    return state, {name: tensor.tolist() for name, tensor in tensors.items()}


def _make_model(folder: Path, file: str) -> Path:
    torch.manual_seed(0)
    about = SimpleNamespace(
        class_names=("a", "b", "c"), image_shape=(1, 8, 8), pixel_mean=np.zeros(1), pixel_std=np.ones(1)
    )
    export_model(build_student("resnet8_cifar", 3, 1, 8), about, folder, "best1", meta={"epochs": 2})
    return folder / file


def _read_model(folder: Path) -> Any:
    return {name: tensor.tolist() for name, tensor in load_model(folder, "best1").net.state_dict().items()}


def _make_cache(folder: Path, file: str, *, finished: bool = True) -> Path:
    cache = FeatureCache(folder, _KEY, part_size=4)
    for number, (start, end) in enumerate(cache.ranges):
        cache.write_part(number, _FEATURES[start:end])
    if finished:
        cache.finish()
    return next(cache.folder.glob(file))


def _read_cache(folder: Path) -> Any:
    return FeatureCache(folder, _KEY).load().tolist()


def _build_cache_on(folder: Path) -> Any:
    cache = FeatureCache(folder, _KEY, part_size=4)
    for number in cache.missing_parts():
        start, end = cache.ranges[number]
        cache.write_part(number, _FEATURES[start:end])
    return cache.finish().tolist()


def _fit_cache(folder: Path) -> FitCache:
    cache = FeatureCache(folder, _KEY)
    return FitCache(TeacherSpec(form="ncm"), cache, _LABELS, cache, _LABELS)


def _make_fit(folder: Path) -> Path:
    _make_cache(folder, "meta.json")
    kept = _fit_cache(folder)
    kept.keep(_fit())
    return kept.path


def _fit() -> FittedTeacher:
    return fit_teacher(TeacherSpec(form="ncm"), _FEATURES, _LABELS, _FEATURES[:, 0], _LABELS, n_classes=2)


def _read_fit(folder: Path) -> Any:
    fitted = _fit_cache(folder).load() or _fit()
    return fitted.readout.weight.tolist(), fitted.readout.bias.tolist(), fitted.log_prior.tolist()


def _make_step(folder: Path) -> Path:
    with patch.object(fit_steps, "KEEP_S", 0.0):
        _read_step(folder)
    (kept,) = (folder / "fit.steps").iterdir()
    return kept


def _fit_steps(folder: Path) -> fit_steps.FitSteps:
    return fit_steps.FitSteps(fit_steps.StepFolder(folder / "fit.steps"))


def _read_step(folder: Path) -> Any:
    affine, n = _fit_steps(folder).run("strength 1", lambda: (Affine.zero(2, 3), 7))
    return affine.weight.tolist(), affine.bias.tolist(), n


def _make_cache_lock(folder: Path) -> Path:
    lock = Path(f"{FeatureCache(folder, _KEY).folder}.lock")
    lock.write_bytes(b"ours is empty; whatever it holds, it decides nothing")
    return lock


def _take_cache(folder: Path) -> bool:
    with FeatureCache(folder, _KEY).lock() as claim:
        return claim.try_take()


def _make_log(folder: Path) -> Path:
    _log_on(folder)
    return folder / schema.LOG


def _log_on(folder: Path) -> bool:
    """Whether the log takes a line; what stands before it is for people, and never read."""
    with logging_to(folder / schema.LOG):
        logging.getLogger("study").info("a line")
    return (folder / schema.LOG).read_bytes().endswith(b"study INFO a line\n")


def _make_lock(folder: Path) -> Path:
    with study_lock(folder / ".lock"):
        pass
    return folder / ".lock"


def _take_lock(folder: Path) -> bool:
    with study_lock(folder / ".lock"):
        return True


STATES = {
    "checkpoint.json": State(
        lambda folder: _make_checkpoint(folder, "checkpoint.json"), _read_checkpoint, CheckpointError, "checkpoint"
    ),
    "checkpoint tensors": State(
        lambda folder: _make_checkpoint(folder, "*.safetensors"), _read_checkpoint, CheckpointError, "tensors-"
    ),
    "model.json": State(lambda folder: _make_model(folder, "best1.json"), _read_model, ExportError, "best1.json"),
    "model weights": State(
        lambda folder: _make_model(folder, "best1.safetensors"), _read_model, ExportError, "best1.safetensors"
    ),
    "cache features": State(
        lambda folder: _make_cache(folder, "*.safetensors"), _read_cache, TeacherError, "features.safetensors"
    ),
    "cache meta": State(
        lambda folder: _make_cache(folder, "meta.json"), _read_cache, TeacherError, "features.safetensors"
    ),
    "cache part": State(
        lambda folder: _make_cache(folder, "parts/4-8.safetensors", finished=False), _build_cache_on, TeacherError, ""
    ),
    "cache note": State(
        lambda folder: _make_cache(folder, "parts/key.json", finished=False), _build_cache_on, TeacherError, ""
    ),
    "cache fit": State(_make_fit, _read_fit, TeacherError, "never refused"),
    "cache fit step": State(_make_step, _read_step, TeacherError, "never refused"),
    "cache lock": State(_make_cache_lock, _take_cache, OSError, "never refused"),
    "lock": State(_make_lock, _take_lock, OSError, "never refused"),
    "run.log": State(_make_log, _log_on, OSError, "never refused"),
}
#: Always read, whatever the damage.
RECOVERED = {"cache part", "cache note", "cache fit", "cache fit step", "cache lock", "lock", "run.log"}

#: Every file that we write, in a study's folder and in the teacher's cache, and the test here that damages its kind.
COVERED = {
    schema.MANIFEST: "test_a_damaged_manifest_is_recovered_from_the_copy_before_it",
    schema.MANIFEST_BEFORE: "test_a_damaged_manifest_without_a_good_copy_is_refused_by_name",
    schema.DATABASE: "test_a_torn_database_is_refused_by_name",
    f"{schema.DATABASE}-wal": "test_a_damaged_log_of_the_database_gives_what_it_held_before_and_that_is_told",
    **dict.fromkeys(
        (
            *(schema.TRIALS, schema.EPOCHS, schema.FINALISTS_CSV, schema.CONFIRM_CSV, schema.CLASSES_CSV),
            *(schema.CONFUSION_CSV, schema.SEPARABILITY_CSV, schema.BASELINES_CSV, schema.ABLATION_CSV),
        ),
        "test_a_damaged_table_is_written_anew",
    ),
    f"{schema.CHECKPOINTS}/*/*/checkpoint.json": "checkpoint.json",
    f"{schema.CHECKPOINTS}/*/*/tensors-*.safetensors": "checkpoint tensors",
    f"{schema.MODELS}/*.json": "model.json",
    f"{schema.MODELS}/*.safetensors": "model weights",
    schema.LOG: "run.log",
    ".lock": "lock",
    "teacher-cache/*/features.safetensors": "cache features",
    "teacher-cache/*/meta.json": "cache meta",
    "teacher-cache/*/parts/*.safetensors": "cache part",
    "teacher-cache/*/parts/key.json": "cache note",
    "teacher-cache/*/fits/*.steps/*": "cache fit step",
    "teacher-cache/*/fits/*.safetensors": "cache fit",
    "teacher-cache/*.lock": "cache lock",
}
#: Written anew by every report or start, and read by no command on its own; Ray's tree, which nobody reads.
NOT_READ = (f"{schema.REPORT}/*", schema.CONFIG, schema.EVIDENCE, f"{schema.RAY}/*")


def uncovered(folder: Path) -> list[str]:
    """The files under `folder` that no test here damages."""
    files = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(file for file in files if not any(fnmatch(file, known) for known in (*COVERED, *NOT_READ)))


def test_every_file_that_is_said_to_be_covered_is() -> None:
    assert [test for test in COVERED.values() if test not in STATES and not callable(globals().get(test))] == []
    assert set(COVERED.values()) >= set(STATES)


def _damages(content: bytes, n_flips: int, seed: int = 0) -> dict[str, bytes]:
    rng = random.Random(seed)
    torn = {f"{kept:.0%} kept": content[: int(kept * len(content))] for kept in KEPT}
    flipped = {}
    for at in sorted(rng.sample(range(len(content)), min(n_flips, len(content)))):
        spoiled = bytearray(content)
        spoiled[at] ^= rng.choice((1, 0x20, 0xFF))
        flipped[f"byte {at} flipped"] = bytes(spoiled)
    return torn | flipped


@pytest.mark.parametrize("kind", STATES)
def test_a_damaged_file_is_read_as_it_was_or_refused_by_name(tmp_path: Path, kind: str) -> None:
    state = STATES[kind]
    whole, damaged = tmp_path / "whole", tmp_path / "damaged"
    whole.mkdir()
    file = state.make(whole).relative_to(whole)
    expected = _read_copy(state, whole, damaged, lambda: None)
    refusals = []
    damages = _damages((whole / file).read_bytes(), 30 if kind == "checkpoint.json" else 12)
    for damage, content in damages.items():
        try:
            found = _read_copy(state, whole, damaged, lambda content=content: (damaged / file).write_bytes(content))
        except state.refused as error:
            refusals.append(str(error))
        else:
            assert found == expected, damage
    assert [message for message in refusals if state.named not in message] == []
    assert (not refusals) == (kind in RECOVERED)
    if kind in {"checkpoint.json", "checkpoint tensors", "model weights", "cache features"}:
        assert len(refusals) == len(damages), "every byte of these counts"


def _read_copy(state: State, whole: Path, copy: Path, spoil: Callable[[], Any]) -> Any:
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(whole, copy)
    spoil()
    return state.read(copy)


def test_a_checkpoint_of_an_earlier_version_without_its_own_hash_is_read(tmp_path: Path) -> None:
    mark = _make_checkpoint(tmp_path, "checkpoint.json")
    expected = _read_checkpoint(tmp_path)
    plain = json.loads(mark.read_text())
    del plain["sha256_of_this"]
    mark.write_text(json.dumps(plain))
    assert _read_checkpoint(tmp_path) == expected


# ---- study.json: the copy from before its last change


def test_a_damaged_manifest_is_recovered_from_the_copy_before_it(tmp_path: Path, caplog) -> None:
    store = StudyStore.create(tmp_path, "toy")
    store.write_manifest({"schema": 2, "name": "toy", "counts": {"complete": 0}})
    store.update_manifest(counts={"complete": 7})
    after = store.manifest()
    before = after | {"counts": {"complete": 0}}
    for damage, content in _damages(store.manifest_path.read_bytes(), 40).items():
        store.manifest_path.write_bytes(content)
        assert StudyStore.open(store.path).manifest() in (after, before), damage
        assert "is damaged" in caplog.text
        store.update_manifest(counts={"complete": 7})
        assert store.manifest() == after
        caplog.clear()


def test_a_damaged_manifest_without_a_good_copy_is_refused_by_name(tmp_path: Path) -> None:
    store = StudyStore.create(tmp_path, "toy")
    store.write_manifest({"schema": 2, "name": "toy"})
    store.update_manifest(name="toys")
    good = store.manifest()
    copy = store.path / schema.MANIFEST_BEFORE
    for content in _damages(copy.read_bytes(), 12).values():
        copy.write_bytes(content)
        assert store.manifest() == good
    copy.write_bytes(b"")
    store.manifest_path.write_bytes(store.manifest_path.read_bytes().replace(b"toys", b"boys"))
    with pytest.raises(StoreError, match=r"study\.json must be as the study wrote it; it was altered"):
        StudyStore.open(store.path)


# ---- study.db: torn or of another layout, it is refused by name


def _told(ledger: Ledger) -> Any:
    trials = [{k: v for k, v in vars(one).items() if "datetime" not in k} for one in ledger._trials()]
    runs = ledger.runs.selection_runs(), ledger.runs.confirm_runs(), ledger.runs.rerun_attempts()
    return ledger.space, ledger.settings, trials, ledger.rows(), ledger.unfinished(), ledger.best(9), *runs


def _filled(database: Path, space, settings, seed_of, epoch) -> Any:
    ledger = Ledger.create(database, space, settings(pruner="asha", n_sobol=2))
    for number in range(6):
        ledger.ask(seed_of)
        ledger.start_attempt(number)
        for k in (1, 2, 3, 4)[: 1 + number]:
            ledger.record(number, [epoch(k, 3 + number)])
            ledger.should_prune(number, k)
    ledger.prune(1)
    ledger.fail(2, "ValueError: no")
    for number in (3, 4):
        ledger.complete(number)
    ledger.runs.add_selection_run(3, 2**40, ClassCounts((5, 6), (10, 10)))
    ledger.runs.add_confirm_run("best1", 1001, 3, {"test": {"correct": [5, 6], "seen": [10, 10]}, "selected_on": "val"})
    ledger.runs.start_rerun("best1-trial3-seed1001")
    ledger.runs.start_rerun("ce-seed1001")
    ledger.runs.fail_rerun("ce-seed1001", "hung: no report")
    told = _told(ledger)
    ledger.close()
    return told


def test_a_torn_database_is_refused_by_name(database, space, settings, seed_of, epoch) -> None:
    _filled(database, space, settings, seed_of, epoch)
    content, page = database.read_bytes(), 4096
    torn = [content[: int(kept * len(content))] for kept in KEPT]
    zeroed = [content[:at] + bytes(page) + content[at + page :] for at in range(0, len(content), page)]
    assert len(zeroed) > 10
    for spoiled in (*torn, *zeroed):
        for read in (Ledger.open, Ledger.read):
            database.write_bytes(spoiled)
            with pytest.raises(SettingsError, match=r"study\.db must be a study's intact database"):
                read(database)


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE trial_values RENAME COLUMN value TO other",
        "DELETE FROM studies",
        "DELETE FROM study_user_attributes WHERE key = 'settings'",
        "UPDATE epoch_records SET record = substr(record, 2)",
        "ALTER TABLE epoch_records RENAME COLUMN record TO other",
    ],
)
def test_a_database_of_another_layout_is_refused_by_name(
    database, space, settings, seed_of, epoch, statement: str
) -> None:
    _filled(database, space, settings, seed_of, epoch)
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(statement)
    for read in (Ledger.open, Ledger.read):
        with pytest.raises(SettingsError, match=r"study\.db must be a study's intact database"):
            read(database)


def test_what_an_earlier_version_kept_in_the_database_is_left_alone(database, space, settings, seed_of, epoch) -> None:
    """It kept digests of all rows, which nobody compares any more, and a second copy of a trial's last counts."""
    expected = _filled(database, space, settings, seed_of, epoch)
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("CREATE TABLE seals (what TEXT PRIMARY KEY, digest TEXT NOT NULL)")
        connection.execute("INSERT INTO seals VALUES ('trial 3', 'of another content')")
        connection.execute(
            "INSERT INTO trial_user_attributes (trial_id, key, value_json) VALUES (4, 'val_correct', '[1, 2]')"
        )
    ledger = Ledger.open(database)
    ledger.runs.start_rerun("la-seed1001")
    rows = ledger.rows()
    ledger.close()
    assert rows == expected[3]
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT * FROM seals").fetchall() == [("trial 3", "of another content")]


@pytest.mark.parametrize("seed", [0, 1])
def test_a_damaged_log_of_the_database_gives_what_it_held_before_and_that_is_told(
    tmp_path: Path, database, space, settings, seed_of, epoch, seed: int
) -> None:
    """SQLite keeps the newest writes beside study.db while a driver works; after its death they lie there still."""
    ledger, held = Ledger.create(database, space, settings()), []
    for number in range(5):
        held.append(_told(ledger))
        ledger.ask(seed_of)
        held.append(_told(ledger))
        ledger.record(number, [epoch(k) for k in (1, 2, 3, 4)])
        held.append(_told(ledger))
        ledger.complete(number)
    held.append(_told(ledger))
    dead = tmp_path / "dead"
    dead.mkdir()
    for file in (database, database.with_name(f"{database.name}-wal")):
        shutil.copy(file, dead)
    ledger.close()
    content = (dead / "study.db-wal").read_bytes()
    found = set()
    for n, (damage, spoiled) in enumerate(_damages(content, 8, seed).items()):
        folder = tmp_path / f"damaged-{n}"
        shutil.copytree(dead, folder)
        (folder / "study.db-wal").write_bytes(spoiled)
        damaged = Ledger.open(folder / "study.db")
        assert _told(damaged) in held, damage
        found.add(damaged.finished_total)
        damaged.close()
    assert len(found) > 2, "the damage hit here and there"


# ---- exports


def test_a_damaged_table_is_written_anew(tmp_path: Path, ledger, space, seed_of, epoch) -> None:
    store = StudyStore.create(tmp_path, "toy")
    ablated = {"trial": 0, "seeds": [5], "changes": []}
    data = {"classes": ["a", "b"], "n_train": [20, 5]}
    store.write_manifest({"schema": 2, "data": data, schema.ABLATED: ablated})
    ledger.ask(seed_of)
    ledger.record(0, [epoch(k) for k in (1, 2, 3, 4)])
    ledger.complete(0)
    counts = {"correct": [6, 10], "seen": [10, 20], "confusion": [[0, 0, 6], [0, 1, 4], [1, 1, 10], [1, 0, 10]]}
    distances = {"deviation": [0.1, 0.2], "intra": [1.0, 1.1], "inter": [2.0, 2.1]}
    ledger.runs.add_selection_run(0, 5, ClassCounts((5, 6), (10, 10)))
    record = {"test": counts, "val": None, "selected_on": "reference", "separability": distances}
    ledger.runs.add_confirm_run("la", 1001, None, record)
    ledger.tune("kd", get_space("kd")).ask(seed_of)
    run = AblationRun(0, schema.BEST, schema.BEST, 5, "val", ClassCounts((5, 6), (10, 10)))
    ledger.runs.start_rerun(run.name)
    ledger.runs.add_ablation_run(run)
    store.export_tables(ledger, space, GROUPS)
    names = [name for name, test in COVERED.items() if test == "test_a_damaged_table_is_written_anew"]
    expected = {name: (store.path / name).read_bytes() for name in names}
    for kind in _damages(b"x" * 100, 2):
        for name in names:
            damage = _damages(expected[name], 2)
            (store.path / name).write_bytes(damage.get(kind, list(damage.values())[-1]))
        store.export_tables(ledger, space, GROUPS)
        assert {name: (store.path / name).read_bytes() for name in names} == expected
