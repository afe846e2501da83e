"""Ctrl-C is heard, but never in the middle of what cleans up; and it is said how things stand."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from study import resume, run
from study.terminal.signals import undisturbed


@pytest.fixture(autouse=True)
def _as_a_terminal_starts_it() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def _press() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_waits_for_what_must_not_be_disturbed() -> None:
    done = []

    def clean_up() -> None:
        with undisturbed():
            for _ in range(3):
                _press()
            done.append("cleaned up")
        done.append("never reached")

    with pytest.raises(KeyboardInterrupt):
        clean_up()
    assert done == ["cleaned up"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_without_ctrl_c_nothing_happens() -> None:
    with undisturbed():
        pass
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_a_study_that_is_ending_ends_as_what_ended_it(error: BaseException) -> None:
    def fail() -> None:
        try:
            raise error
        finally:
            with undisturbed():
                _press()

    with pytest.raises(type(error)) as raised:
        fail()
    assert raised.value is error


def _pressing(*_: Any, **__: Any) -> Any:
    _press()


@pytest.mark.parametrize(
    ("patched", "command"),
    [
        ("study.planning.check.check", lambda folder: run.main(["--data", "digits_lt"])),
        ("study.phases.session.resume", lambda folder: resume.main([str(folder)])),
    ],
)
def test_ctrl_c_before_there_is_a_study_says_so_in_a_line(
    tmp_path: Path, monkeypatch, capsys, patched: str, command: Callable[[Path], int]
) -> None:
    monkeypatch.setattr(patched, _pressing)
    assert command(tmp_path) == 130
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("interrupted before there was a study\n", "")


def test_ctrl_c_before_the_first_phase_prints_the_resume_command(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr("study.phases.session._run_to_report", _pressing)
    what = ("--space", "acckd_smoke", "--data", "digits_lt", "--confirm-seeds", "0", "--ablation-seeds", "0")
    assert run.main([*what, "--out", str(tmp_path), "--name", "mine"]) == 130
    printed = capsys.readouterr()
    mine = tmp_path / "mine"
    assert printed.out.splitlines()[-2:] == [f"  python -m study.resume {mine}", f"study: {mine}"]
    assert printed.err == ""
    monkeypatch.setattr("study.phases.session._run_to_report", lambda *_: 0)
    assert resume.main([str(mine)]) == 0
