"""A step's time is kept per kind of machine and student; what is damaged counts as absent, and is said."""

import json
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.measured import step_times
from study.measured.machine import Machine
from study.measured.step_times import StepTimeFile, kept_time
from study.terminal.home import CACHE_VARIABLE
from trainables.cckd.files.atomic import write_json
from trainables.cckd.files.digests import json_digest
from trainables.cckd.files.sealed import sealed
from trainables.cckd.precision import StepShape, StepTime

MACHINE, SHAPE = Machine("A Xeon", "01ab"), StepShape("resnet8_cifar", 10, 1, 28, 64, 64, "separate")
FIRST, SECOND = StepTime(0.08, 1.7), StepTime(0.09, 1.05)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StepTimeFile:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return StepTimeFile(MACHINE, SHAPE)


def test_a_time_is_found_again_and_the_first_one_stays(file: StepTimeFile) -> None:
    assert (file.read(), kept_time(MACHINE, SHAPE)) == (None, None)
    assert file.keep(FIRST) == FIRST
    assert file.keep(SECOND) == FIRST, "a study that started beside it has kept the first"
    assert (file.read(), kept_time(MACHINE, SHAPE)) == (FIRST, FIRST)
    assert [path.name for path in file.path.parent.iterdir()] == [file.path.name]


@pytest.mark.parametrize(
    "changed",
    [
        {"student": "resnet20_cifar"},
        {"n_classes": 9},
        {"in_chans": 3},
        {"image_size": 32},
        {"n_plain": 32},
        {"n_mixed": 32},
        {"n_plain": 128, "n_mixed": 0},
        {"mix_statistics": "joint"},
    ],
)
def test_another_step_or_machine_has_a_time_of_its_own(file: StepTimeFile, changed: dict[str, Any]) -> None:
    file.keep(FIRST)
    assert kept_time(MACHINE, replace(SHAPE, **changed)) is None
    assert kept_time(replace(MACHINE, digest="other torch"), SHAPE) is None


def test_times_of_steps_that_had_one_pass_over_both_sets_are_not_read(
    file: StepTimeFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    former = {"student": "resnet8_cifar", "n_classes": 10, "in_chans": 1, "image_size": 28, "n_samples": 128}
    name = json_digest({"recipe": 2, "machine": MACHINE.digest, "shape": former})
    file.path.parent.mkdir(parents=True)
    write_json(file.path.with_name(f"{name}.json"), sealed({"float32_s": 0.08, "gain": 1.7, "shape": former}))
    monkeypatch.setattr(step_times, "_RECIPE", 2)
    file.keep(FIRST)
    assert kept_time(MACHINE, SHAPE) == FIRST
    monkeypatch.undo()
    monkeypatch.setenv(CACHE_VARIABLE, str(file.path.parents[1]))
    assert kept_time(MACHINE, SHAPE) is None


@given(st.integers(0), st.integers(0, 255))
def test_a_time_with_a_changed_byte_is_never_another_time(place: int, byte: int) -> None:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setenv(CACHE_VARIABLE, folder)
        file = StepTimeFile(MACHINE, SHAPE)
        file.keep(FIRST)
        whole = file.path.read_bytes()
        changed = bytearray(whole)
        changed[place % len(changed)] = byte
        file.path.write_bytes(changed)
        same = json.loads(whole) == _json(bytes(changed))  # a blank for a blank says the same
        assert kept_time(MACHINE, SHAPE) == (FIRST if same else None)


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None


def test_of_two_that_keep_at_once_both_have_the_first(file: StepTimeFile, monkeypatch: pytest.MonkeyPatch) -> None:
    link = os.link

    def beaten(source: Path, to: Path) -> None:
        if not to.exists():
            monkeypatch.setattr(os, "link", link)
            assert file.keep(FIRST) == FIRST
        link(source, to)

    monkeypatch.setattr(os, "link", beaten)
    assert file.keep(SECOND) == FIRST
    assert file.read() == FIRST


@pytest.mark.parametrize(
    "content",
    [
        *("", "[]", "{", '{"float32_s": 0.08, "gain": 1.7}'),
        *(json.dumps(sealed({"float32_s": 0.08, "gain": gain})) for gain in ("1.7", 0.0, -1.0, True, None)),
        *(json.dumps(sealed({"float32_s": seconds, "gain": 1.7})) for seconds in ("0.08", 0.0, -0.08, True, None)),
    ],
)
def test_a_damaged_file_is_told_and_replaced(file: StepTimeFile, content: str) -> None:
    file.keep(FIRST)
    file.path.write_text(content)
    with pytest.raises(ValueError, match=r"."):
        file.read()
    assert kept_time(MACHINE, SHAPE) is None
    assert file.keep(SECOND) == SECOND
    assert file.read() == SECOND


def test_a_folder_that_is_none_can_neither_be_read_nor_written(file: StepTimeFile, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(OSError, match="cache"):
        file.read()
    assert kept_time(MACHINE, SHAPE) is None
    with pytest.raises(OSError, match="cache"):
        file.keep(FIRST)


def test_it_lies_in_the_users_own_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for named, expected in (("", "home/.cache"), ("relative", "home/.cache"), (str(tmp_path / "xdg"), "xdg")):
        monkeypatch.setenv("XDG_CACHE_HOME", named)
        assert StepTimeFile(MACHINE, SHAPE).path.parent == tmp_path / expected / "cckd-study" / "step-times"
