import json
import os
from pathlib import Path

import pytest
import torch

from trainables.cckd.training.checkpoint import (
    CheckpointError,
    CheckpointState,
    read_checkpoint,
    write_checkpoint,
)


def _state(epoch: int) -> CheckpointState:
    return CheckpointState(epoch, {"method": "ce"}, {"name": "bands"}, [{"epoch": epoch}], {"torch": "0"})


def test_what_is_written_is_read(tmp_path: Path) -> None:
    tensors = {"a": torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last), "n": torch.tensor(5)}
    write_checkpoint(tmp_path / "new", _state(1), tensors)
    state, found = read_checkpoint(tmp_path / "new")
    assert state == _state(1)
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert torch.equal(found[name], tensor)


def test_a_newer_checkpoint_replaces_the_older_one(tmp_path: Path) -> None:
    for epoch in (1, 2):
        write_checkpoint(tmp_path, _state(epoch), {"a": torch.full((2,), float(epoch))})
    state, tensors = read_checkpoint(tmp_path)
    assert (state.epoch, tensors["a"].tolist()) == (2, [2.0, 2.0])
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("survivors", [0, 1])
def test_a_kill_at_any_rename_leaves_the_older_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, survivors: int
) -> None:
    write_checkpoint(tmp_path, _state(1), {"a": torch.ones(2)})
    renames: list[Path] = []
    replace = Path.replace

    def dying_replace(self: Path, target: Path) -> Path:
        if len(renames) == survivors:
            raise KeyboardInterrupt
        renames.append(target)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", dying_replace)
    with pytest.raises(KeyboardInterrupt):
        write_checkpoint(tmp_path, _state(2), {"a": torch.zeros(2)})
    state, tensors = read_checkpoint(tmp_path)
    assert (state.epoch, tensors["a"].tolist()) == (1, [1.0, 1.0])


def test_tensors_without_a_completion_mark_are_no_checkpoint(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, _state(1), {"a": torch.ones(2)})
    assert (tmp_path / "checkpoint.json").is_file()
    (tmp_path / "checkpoint.json").unlink()
    assert not (tmp_path / "checkpoint.json").is_file()
    with pytest.raises(CheckpointError, match=r"must hold checkpoint\.json"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize("damage", ["flip", "truncate", "lose", "mark", "list"])
def test_damage_is_noticed_and_named(tmp_path: Path, damage: str) -> None:
    write_checkpoint(tmp_path, _state(1), {"a": torch.ones(2)})
    mark = tmp_path / "checkpoint.json"
    tensors = tmp_path / json.loads(mark.read_text())["tensors"]
    match damage:
        case "flip":
            payload = bytearray(tensors.read_bytes())
            payload[-1] ^= 1
            tensors.write_bytes(payload)
        case "truncate":
            os.truncate(tensors, 20)
        case "lose":
            tensors.unlink()
        case "mark":
            os.truncate(mark, 20)
        case "list":
            mark.write_text("[]")
    with pytest.raises(CheckpointError, match=r"damaged.*remove it to start over"):
        read_checkpoint(tmp_path)
