"""A gain is kept per kind of machine and student; what is damaged counts as absent, and is said."""

import json
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.measured.machine import Machine
from study.measured.step_gains import GainFile, kept_gain
from study.terminal.home import CACHE_VARIABLE
from trainables.cckd.files.sealed import sealed
from trainables.cckd.precision import StepShape

MACHINE, SHAPE = Machine("A Xeon", "01ab"), StepShape("resnet8_cifar", 10, 1, 28, 128)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GainFile:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return GainFile(MACHINE, SHAPE)


def test_a_gain_is_found_again_and_the_first_one_stays(file: GainFile) -> None:
    assert (file.read(), kept_gain(MACHINE, SHAPE)) == (None, None)
    assert file.keep(1.7) == 1.7
    assert file.keep(1.05) == 1.7, "a study that started beside it has kept the first"
    assert (file.read(), kept_gain(MACHINE, SHAPE)) == (1.7, 1.7)
    assert [path.name for path in file.path.parent.iterdir()] == [file.path.name]


@pytest.mark.parametrize(
    "changed",
    [{"student": "resnet20_cifar"}, {"n_classes": 9}, {"in_chans": 3}, {"image_size": 32}, {"n_samples": 64}],
)
def test_another_step_or_machine_has_a_gain_of_its_own(file: GainFile, changed: dict[str, Any]) -> None:
    file.keep(1.7)
    assert kept_gain(MACHINE, replace(SHAPE, **changed)) is None
    assert kept_gain(replace(MACHINE, digest="other torch"), SHAPE) is None


@given(st.integers(0), st.integers(0, 255))
def test_a_gain_with_a_changed_byte_is_never_another_gain(place: int, byte: int) -> None:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setenv(CACHE_VARIABLE, folder)
        file = GainFile(MACHINE, SHAPE)
        file.keep(1.7)
        whole = file.path.read_bytes()
        changed = bytearray(whole)
        changed[place % len(changed)] = byte
        file.path.write_bytes(changed)
        same = json.loads(whole) == _json(bytes(changed))  # a blank for a blank says the same
        assert kept_gain(MACHINE, SHAPE) == (1.7 if same else None)


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None


def test_of_two_studies_that_keep_at_once_both_have_the_first(file: GainFile, monkeypatch: pytest.MonkeyPatch) -> None:
    link = os.link

    def beaten(source: Path, to: Path) -> None:
        if not to.exists():
            monkeypatch.setattr(os, "link", link)
            assert file.keep(1.12) == 1.12
        link(source, to)

    monkeypatch.setattr(os, "link", beaten)
    assert file.keep(1.08) == 1.12
    assert file.read() == 1.12


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{", '{"gain": 1.7}', *(json.dumps(sealed({"gain": gain})) for gain in ("1.7", 0.0, -1.0, True, None))],
)
def test_a_damaged_file_is_told_and_replaced(file: GainFile, content: str) -> None:
    file.keep(1.7)
    file.path.write_text(content)
    with pytest.raises(ValueError, match=r"."):
        file.read()
    assert kept_gain(MACHINE, SHAPE) is None
    assert file.keep(1.2) == 1.2
    assert file.read() == 1.2


def test_a_folder_that_is_none_can_neither_be_read_nor_written(file: GainFile, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(OSError, match="cache"):
        file.read()
    assert kept_gain(MACHINE, SHAPE) is None
    with pytest.raises(OSError, match="cache"):
        file.keep(1.7)


def test_it_lies_in_the_users_own_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for named, expected in (("", "home/.cache"), ("relative", "home/.cache"), (str(tmp_path / "xdg"), "xdg")):
        monkeypatch.setenv("XDG_CACHE_HOME", named)
        assert GainFile(MACHINE, SHAPE).path.parent == tmp_path / expected / "cckd-study" / "step-gains"
