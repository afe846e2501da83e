"""In a pipe a study prints few, short lines; a bar needs a terminal."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.terminal import progress as module
from study.terminal.faults import complain
from study.terminal.progress import Progress, duration, size_on_disk


class _Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> _Clock:
    clock = _Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


def test_plain_lines_are_thinned_and_the_end_is_always_told(clock: _Clock, out: io.StringIO) -> None:
    progress = Progress(out)
    progress.begin("search", 1000)
    for done in range(1001):
        clock.now += 0.1
        progress.update(done, "best 0.500 (trial 3)")
    lines = out.getvalue().splitlines()
    assert 5 <= len(lines) <= 8  # 100 s, a line every 15 s
    assert lines[-1] == "search   1000/1000  best 0.500 (trial 3)"


def test_a_step_that_came_too_early_for_a_line_is_told_when_its_time_comes(clock: _Clock, out: io.StringIO) -> None:
    progress = Progress(out)
    progress.begin("search", 8)
    clock.now += 5
    progress.update(1)
    assert out.getvalue() == ""
    clock.now += 60
    progress.update(1)
    progress.update(1)
    assert out.getvalue().splitlines() == ["search      1/8"]


def test_nothing_new_is_told_once(clock: _Clock, out: io.StringIO) -> None:
    progress = Progress(out)
    progress.begin("confirm", 4)
    for _ in range(5):
        clock.now += 100
        progress.update(4)
    assert len(out.getvalue().splitlines()) == 1


@given(
    title=st.sampled_from(["teacher", "search", "confirm", "replay"]),
    done=st.integers(0, 10**9),
    note=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=200),
)
def test_no_plain_line_is_longer_than_80_columns(title: str, done: int, note: str) -> None:
    out = io.StringIO()
    progress = Progress(out)
    progress.begin(title, done)
    progress.update(done, note)
    (line,) = out.getvalue().splitlines()
    assert len(line) <= 80


@given(st.lists(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=60)))
def test_what_is_said_is_wrapped_and_loses_no_word(words: list[str]) -> None:
    out = io.StringIO()
    Progress(out).say(" ".join(words))
    assert out.getvalue().split() == words
    assert all(len(line) <= 80 for line in out.getvalue().splitlines())


def test_a_path_longer_than_a_line_stays_whole() -> None:
    out, path = io.StringIO(), "/very" * 30
    Progress(out).say(f"report   {path}")
    assert path in out.getvalue().split()


def test_a_command_stays_on_one_line(out: io.StringIO) -> None:
    command = f"python -m study.resume {'/very' * 30}"
    Progress(out).show_command(command)
    assert out.getvalue() == f"  {command}\n"


@pytest.mark.parametrize("sign", ["\u202e", "\u2066", "\x1b[2J", "\x07", "\u200f"])
def test_a_sign_that_turns_or_clears_what_is_read_is_shown_as_a_sign(
    sign: str, out: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    progress = Progress(out)
    progress.say(f"class a{sign}b")
    progress.show_command(f"command a{sign}b")
    complain([f"fault a{sign}b"])
    told = out.getvalue() + capsys.readouterr().err
    assert sign[0] not in told
    assert told.count(f"a\ufffd{sign[1:]}b") == 3


def test_a_terminal_gets_a_bar_and_keeps_what_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    out = Terminal()
    progress = Progress(out)
    progress.begin("search", 4)
    progress.update(2, "best 0.512 (trial 1), 3 min left")
    progress.say("said [markup] meanwhile")
    progress.end()
    progress.end()
    assert "search" in out.getvalue()
    assert "2/4" in out.getvalue()
    assert "best 0.512 (trial 1), 3 min left" in out.getvalue()
    assert "said [markup] meanwhile" in out.getvalue()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (45.4, "45 s"), (90, "2 min"), (61 * 60, "61 min"), (90 * 60, "1 h 30 min"), (7500, "2 h 05 min")],
)
def test_durations_read_as_people_say_them(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(("n_bytes", "words"), [(0, "0.0 MB"), (51_000_000, "51.0 MB"), (1_300_000_000, "1.3 GB")])
def test_bytes_are_spelled_in_megabytes_or_gigabytes(n_bytes: int, words: str) -> None:
    assert size_on_disk(n_bytes) == words
