"""A store in a folder and one behind a URI do the same; in the store, the completion mark comes last."""

import json
from pathlib import Path

import pytest
import torch

from trainables.cckd.training.checkpoint import CheckpointState, read_checkpoint, write_checkpoint
from trainables.checkpoint_store import MODEL, CheckpointStore


@pytest.fixture(params=["folder", "uri"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "checkpoints") if request.param == "folder" else f"file://{tmp_path}/checkpoints"


@pytest.fixture(autouse=True)
def _scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def _save(checkpoints: CheckpointStore, run: str, attempt: str, epoch: int) -> None:
    state = CheckpointState(epoch, {}, {}, [], {})
    write_checkpoint(checkpoints.workplace(run, attempt), state, {"w": torch.full((3,), float(epoch))})
    checkpoints.publish(run, attempt)


def _elsewhere(checkpoints: CheckpointStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """From here on, as another machine would see it."""
    (tmp_path / "other").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "other"))


def test_another_machine_continues_from_the_furthest_attempt(root, tmp_path, monkeypatch) -> None:
    checkpoints = CheckpointStore(root)
    _save(checkpoints, "7", "1", 2)
    _save(checkpoints, "7", "1", 5)
    _save(checkpoints, "7", "2", 3)
    _save(checkpoints, "8", "1", 9)
    _elsewhere(checkpoints, monkeypatch, tmp_path)
    found = checkpoints.furthest("7")
    assert found is not None
    state, tensors = read_checkpoint(found)
    assert (state.epoch, tensors["w"].tolist()) == (5, [5.0] * 3)
    assert len(list((tmp_path / "checkpoints" / "7" / "1").iterdir())) == 2, "the tensors of epoch 2 are gone there too"
    assert checkpoints.furthest("9") is None


def test_what_is_torn_or_has_no_mark_is_passed_over(root, tmp_path, monkeypatch) -> None:
    checkpoints = CheckpointStore(root)
    for attempt, epoch in (("1", 2), ("2", 4), ("3", 6)):
        _save(checkpoints, "7", attempt, epoch)
    (tmp_path / "checkpoints" / "7" / "3" / "checkpoint.json").unlink()
    mark = tmp_path / "checkpoints" / "7" / "2" / "checkpoint.json"
    mark.write_bytes(mark.read_bytes()[:-20])
    _elsewhere(checkpoints, monkeypatch, tmp_path)
    found = checkpoints.furthest("7")
    assert found is not None
    assert read_checkpoint(found)[0].epoch == 2


def test_a_kill_between_two_objects_leaves_the_older_checkpoint(tmp_path, monkeypatch) -> None:
    checkpoints = CheckpointStore(f"file://{tmp_path}/checkpoints")
    _save(checkpoints, "7", "1", 2)
    before = json.loads((tmp_path / "checkpoints" / "7" / "1" / "checkpoint.json").read_text())
    put: list[str] = []

    class Killed(Exception):
        pass

    real = CheckpointStore._store

    def dying(self: CheckpointStore, *parts: str):
        store, base = real(self, *parts)

        class Store:
            def __getattr__(self, name: str):
                return getattr(store, name)

            def open_output_stream(self, path: str):
                if put:
                    raise Killed
                put.append(path)
                return store.open_output_stream(path)

        return Store(), base

    monkeypatch.setattr(CheckpointStore, "_store", dying)
    with pytest.raises(Killed):
        _save(checkpoints, "7", "1", 5)
    monkeypatch.setattr(CheckpointStore, "_store", real)
    assert put[0].endswith(".safetensors"), "tensors go first"
    assert json.loads((tmp_path / "checkpoints" / "7" / "1" / "checkpoint.json").read_text()) == before
    _elsewhere(checkpoints, monkeypatch, tmp_path)
    found = checkpoints.furthest("7")
    assert found is not None
    assert read_checkpoint(found)[0].epoch == 2


def test_a_model_is_no_checkpoint_and_runs_are_listed_and_removed(root, tmp_path) -> None:
    checkpoints = CheckpointStore(root)
    _save(checkpoints, "7", "1", 2)
    folder = checkpoints.workplace("best1-seed1", MODEL)
    folder.mkdir(parents=True)
    (folder / "best1.safetensors").write_bytes(b"weights")
    checkpoints.publish("best1-seed1", MODEL)
    assert checkpoints.runs() == ["7", "best1-seed1"]
    assert checkpoints.furthest("best1-seed1") is None
    assert (checkpoints.fetch("best1-seed1", MODEL) / "best1.safetensors").read_bytes() == b"weights"
    checkpoints.remove("7")
    checkpoints.remove("7")
    assert checkpoints.runs() == ["best1-seed1"]
    checkpoints.remove("best1-seed1")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [], "nothing is left on the machine either"


def test_a_node_that_sees_another_place_says_so(root, tmp_path) -> None:
    checkpoints = CheckpointStore(root)
    with checkpoints.nonce() as nonce:
        assert checkpoints.answer(nonce, "node1") is None
        assert "another place" in (CheckpointStore(f"{root}-else").answer(nonce, "node2") or "")
    assert checkpoints.runs() == []


def test_a_place_that_cannot_be_written_says_so(tmp_path) -> None:
    (tmp_path / "checkpoints").write_text("a file")
    for root in (str(tmp_path / "checkpoints"), f"file://{tmp_path}/checkpoints"):
        with pytest.raises(OSError, match=r"checkpoints"), CheckpointStore(root).nonce():
            pass
