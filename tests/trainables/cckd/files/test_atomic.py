"""An atomic write leaves the old file or the new one, and nothing beside it."""

import json
import os
from pathlib import Path

import pytest

from trainables.cckd.files.atomic import replacing, write_first, write_json, write_text


def test_a_write_replaces_the_file_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_text(path, "old")
    write_json(path, {"name": "Tête-à-tête"})
    assert json.loads(path.read_text()) == {"name": "Tête-à-tête"}
    assert os.listdir(tmp_path) == ["a.json"]


def test_a_write_that_fails_leaves_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def interrupted() -> None:
        with replacing(path) as beside:
            beside.write_text("new, but only ha")
            assert path.read_text() == "old"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_file_that_need_not_survive_a_power_cut_is_not_synced(tmp_path: Path, monkeypatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    for durable, n_synced in ((False, 0), (True, 2)):
        with replacing(tmp_path / "a.txt", durable=durable) as beside:
            beside.write_text(f"{durable}")
        assert ((tmp_path / "a.txt").read_text(), len(synced)) == (f"{durable}", n_synced)
    assert os.listdir(tmp_path) == ["a.txt"]


def test_only_the_first_writes_a_file_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    assert write_first(path, {"n": 1})
    assert not write_first(path, {"n": 2})
    assert json.loads(path.read_text()) == {"n": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_json_has_no_nan_and_is_refused_before_the_file_is_touched(tmp_path: Path) -> None:
    write_text(tmp_path / "a.json", "old")
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert (tmp_path / "a.json").read_text() == "old"
