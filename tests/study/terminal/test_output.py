"""A command whose output nobody reads any more goes on; any other fault of its output is an error."""

import errno
import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from study.terminal.output import outliving_its_reader

ROOT = Path(__file__).resolve().parents[3]

PRINTING = """
import sys
from study.terminal.output import outliving_its_reader
with outliving_its_reader():
    for number in range(3):
        print("line", number, flush=True)
        sys.stdin.readline()
    print("more", file=sys.stderr)
    print("and never flushed")
open(sys.argv[1], "w").write("went on")
"""


@pytest.mark.parametrize("gone", [1, 2, 3])
def test_it_goes_on_without_a_word_when_its_reader_has_gone(tmp_path: Path, gone: int) -> None:
    command = [sys.executable, "-c", PRINTING, str(tmp_path / "end")]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        for number in range(3):
            if number < gone:
                assert process.stdout.readline() == f"line {number}\n"
            if number == gone - 1:
                process.stdout.close()
            process.stdin.write("\n")
            process.stdin.flush()
        assert process.stderr.read() == "more\n"
        assert process.wait(30) == 0
    assert (tmp_path / "end").read_text() == "went on"


def test_it_goes_on_when_its_terminal_is_closed(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", PRINTING, str(tmp_path / "end")]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=theirs, stderr=theirs, text=True, start_new_session=True
    ) as process:
        os.close(theirs)
        assert process.stdin is not None
        seen = b""
        while b"0" not in seen:  # the terminal may hand a line over in parts
            seen += os.read(ours, 99)
        assert seen.split() == [b"line", b"0"]
        os.close(ours)  # every write is an EIO from here on
        process.stdin.write("\n\n\n")
        process.stdin.flush()
        assert process.wait(30) == 0
    assert (tmp_path / "end").read_text() == "went on"


def test_it_goes_on_when_nobody_reads_its_errors(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    ended = subprocess.run(
        [sys.executable, "-c", PRINTING, str(tmp_path / "end")],
        cwd=ROOT, input="\n\n\n", stdout=subprocess.PIPE, stderr=write, text=True, check=False,
    )  # fmt: skip
    os.close(write)
    assert (ended.returncode, ended.stdout.splitlines()[-1]) == (0, "and never flushed")
    assert (tmp_path / "end").read_text() == "went on"


def test_what_is_read_is_as_it_was_written(capsys: pytest.CaptureFixture[str]) -> None:
    with outliving_its_reader():
        print("out", end="")
        print("err", end="", file=sys.stderr)
        assert not sys.stdout.isatty()
    assert capsys.readouterr() == ("out", "err")
    assert "_Stream" not in type(sys.stdout).__name__


class _Failing(io.StringIO):
    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    def write(self, text: str) -> int:
        raise OSError(self._number, os.strerror(self._number))


def test_a_full_disk_behind_the_output_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", _Failing(errno.ENOSPC))
    with outliving_its_reader(), pytest.raises(OSError, match="No space left"):
        print("lost")
