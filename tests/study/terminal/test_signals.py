"""Ctrl-C and its like are heard, but never in the middle of what cleans up; and it is said how things stand."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from study import resume, run
from study.terminal.signals import ended_by_signals, heed_signals, undisturbed, unheard_by_children

ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)


@pytest.fixture(autouse=True)
def _as_a_terminal_starts_it() -> Iterator[None]:
    """Under `nohup`, for one, the tests themselves ignore SIGHUP."""
    handlers = {signal.SIGINT: signal.default_int_handler, **dict.fromkeys(ENDING, signal.SIG_DFL)}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


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


ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("number", ENDING)
def test_what_a_batch_system_or_a_closed_terminal_sends_is_a_ctrl_c(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), ended_by_signals():
        os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("number", ENDING)
def test_a_clean_up_is_not_disturbed_by_them_either(number: signal.Signals) -> None:
    done = []

    def clean_up() -> None:
        with ended_by_signals(), undisturbed():
            os.kill(os.getpid(), number)
            done.append("cleaned up")

    with pytest.raises(KeyboardInterrupt):
        clean_up()
    assert done == ["cleaned up"]


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_that_was_ignored_at_the_start_stays_ignored(number: signal.Signals) -> None:
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with ended_by_signals():
            heed_signals()
            os.kill(os.getpid(), number)
        assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, before)


def test_a_study_that_is_deaf_to_ctrl_c_hears_sigterm() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell starts what stands before an &
    with pytest.raises(KeyboardInterrupt), ended_by_signals():
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_handlers_that_another_library_has_replaced_are_installed_again() -> None:
    with ended_by_signals():
        signal.signal(signal.SIGUSR1, lambda *_: None)
        heed_signals()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGUSR1)


def test_a_thread_without_handlers_runs_as_it_is() -> None:
    before = [signal.getsignal(number) for number in ENDING]
    found = []

    def work() -> None:
        with ended_by_signals():
            heed_signals()
            found.append([signal.getsignal(number) for number in ENDING])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [before]


def test_children_that_are_to_hear_nothing_outlive_a_signal_to_the_group() -> None:
    sleeper = [sys.executable, "-c", "print('up', flush=True); import time; time.sleep(60)"]
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with unheard_by_children():
        child = subprocess.Popen(sleeper, stdout=subprocess.PIPE)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == mask
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"up\n"
        for number in ENDING:
            child.send_signal(number)
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.3)
        child.kill()


def test_a_ctrl_c_after_the_end_prints_nothing() -> None:
    code = (
        "import os, signal, atexit\n"
        "from study.terminal.signals import end_process\n"
        "atexit.register(lambda: [os.kill(os.getpid(), n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)])\n"
        "end_process(lambda: 130)"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (130, "", "")


def test_a_ctrl_c_that_a_command_leaves_to_python_is_one_word() -> None:
    code = "import signal\nfrom study.terminal.signals import end_process\nend_process(lambda: signal.raise_signal(2))"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (130, "", "interrupted\n")


def _pressing(*_: Any, **__: Any) -> Any:
    _press()


@pytest.mark.parametrize(
    ("patched", "command"),
    [
        ("study.planning.check.check", lambda folder: run.main(["--data", "digits_lt"])),
        ("study.run.enter_asked", lambda folder: run.main(["--data", "digits_lt"])),
        ("study.planning.parser.parse", lambda folder: run.main(["--data", "digits_lt"])),
        ("study.phases.session.resume", lambda folder: resume.main([str(folder)])),
        ("study.entry.continuation.enter_recorded", lambda folder: resume.main([str(folder)])),
        ("study.lock.check_free", lambda folder: resume.main([str(folder)])),
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
