"""What the user sees while a study runs: a live bar on a terminal, plain lines in a pipe, 80 columns either way."""

import sys
import textwrap
import time
from typing import Any, TextIO

from study.terminal.faults import printable

#: Seconds between two plain lines of one phase.
_LINE_EVERY_S = 15.0
_COLUMNS = 80
#: Indent under the label of the first line ('study    ', 'data     ', ...).
_MARGIN = " " * 9


class Progress:
    """Shows one phase at a time: a title, done of total, and a note (best so far, time left)."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._live: Any = None
        self._task: Any = None
        self._title = ""
        self._total = 0
        self._done = -1
        self._start = self._last_line = 0.0

    def say(self, text: str = "") -> None:
        """Print text above the bar, if there is one, wrapped to 80 columns; a path or other long word stays whole."""
        lines = textwrap.wrap(text, _COLUMNS, subsequent_indent=_MARGIN, break_long_words=False, break_on_hyphens=False)
        self._print("\n".join(lines))

    def show_command(self, command: str) -> None:
        """Print a command that can be pasted: on one line, however long it is."""
        self._print(f"  {command}")

    def begin(self, title: str, total: int) -> None:
        """Start a phase of `total` steps."""
        self.end()
        self._title, self._total, self._done = title, total, -1
        self._start = self._last_line = time.monotonic()
        if not self._stream.isatty():
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as Bar

        self._live = Bar(
            TextColumn("{task.description:<8}"),
            BarColumn(bar_width=16),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            console=Console(file=self._stream),
        )
        self._task = self._live.add_task(title, total=total, note="")
        self._live.start()

    def update(self, done: int, note: str = "") -> None:
        """Show that `done` steps of the phase are finished; cheap when nothing changed."""
        now = time.monotonic()
        if self._live is not None:
            self._live.update(self._task, completed=done, note=note)
        elif done != self._done and (done >= self._total or now - self._last_line >= _LINE_EVERY_S):
            self._last_line, self._done = now, done
            line = f"{self._title:<8} {done:>4}/{self._total}  {note}"
            print(line[:_COLUMNS].rstrip(), file=self._stream, flush=True)

    def end(self) -> None:
        """Close the phase."""
        if self._live is not None:
            self._live.stop()
            self._live = self._task = None

    @property
    def elapsed_s(self) -> float:
        """Seconds since the phase began."""
        return time.monotonic() - self._start

    def _print(self, text: str) -> None:
        text = printable(text)
        if self._live is not None:
            self._live.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            print(text, file=self._stream, flush=True)


def size_on_disk(n_bytes: int) -> str:
    """Spell a number of bytes: '51.0 MB', '1.3 GB'."""
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.1f} MB"


def duration(seconds: float) -> str:
    """Spell a duration the way people say it: '45 s', '7 min', '2 h 05 min'."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
