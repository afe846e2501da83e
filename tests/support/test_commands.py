"""Processor time is told by what a process is, and a command hears every signal."""

import os
import signal

import pytest

from tests.support.commands import ENDING, Command, _processor_s, _role, command_line


@pytest.mark.parametrize(
    ("line", "role"),
    [
        (b"ray::ResourceTrainable.train\0", "trial workers"),
        (b"ray::CckdTrial\0", "trial workers"),
        (b"ray::extract_all\0", "other workers"),
        (b"ray::IDLE\0", "other workers"),
        (b"ray::DashboardAgent\0", "Ray's services"),
        (b"/opt/ray/gcs_server\0--port", "Ray's services"),
    ],
)
def test_a_process_is_known_by_itscommand_line(line: bytes, role: str) -> None:
    assert _role(line) == role


def test_processor_time_is_of_a_process_that_lives() -> None:
    before = _processor_s(os.getpid())
    while os.times().user + os.times().system < before + 0.1:
        pass
    assert _processor_s(os.getpid()) > before
    assert b"python" in command_line(os.getpid())
    gone = 2**22 + 1  # above the largest process id
    assert (_processor_s(gone), command_line(gone)) == (0.0, b"")


@pytest.mark.parametrize("number", ENDING[1:])
def test_a_command_hears_a_signal_that_the_tests_ignore(number: signal.Signals) -> None:
    before = signal.signal(number, signal.SIG_IGN)
    try:
        ended = Command("timeit", "-n1", "-r1", f"import os; os.kill(os.getpid(), {number})").end()
    finally:
        signal.signal(number, before)
    assert ended.code == -number
