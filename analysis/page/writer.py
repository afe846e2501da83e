"""The files beside the page: every figure with its numbers as CSV, every table with its raw values."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from analysis.page.document import Interactive, Picture, ReportTable
from analysis.page.style import save

_FILE = re.compile(r"[A-Za-z0-9._-]{1,200}")
_FORMULA = re.compile(r"[=@\t\r]|[+-](?![\d.]*$)")


#: Makes a figure and writes it as a PNG to a path, and as an SVG beside it.
Draw = Callable[[Callable[[], Figure], Path], object]


def write_figure(make: Callable[[], Figure], png: Path) -> None:
    """Make a figure and write it as a PNG, and as an SVG beside it."""
    figure = make()
    for path in (png, png.with_suffix(".svg")):
        save(figure, path)


@dataclass(frozen=True)
class Writer:
    """Writes figures (PNG and SVG) and tables/*.csv under `folder`.

    Attributes:
        folder: of the report.
        stamp: prefix of every caption of a result.
        draw: makes a figure and writes it, at once or later.
    """

    folder: Path
    stamp: str = ""
    draw: Draw = write_figure

    def picture(
        self, name: str, make: Callable[[], Figure], numbers: pd.DataFrame, *, alt: str, caption: str
    ) -> Picture:
        """Save the figure that `make` makes, and its numbers, under one name; another process may make it."""
        self.draw(make, self._path("figures", f"{name}.png"))
        return Picture(f"figures/{name}.png", alt, self.stamped(caption), self._csv(name, numbers))

    def interactive(
        self,
        name: str,
        figure: Mapping[str, Any],
        numbers: pd.DataFrame,
        *,
        alt: str,
        caption: str,
        height_px: int,
        width_px: int,
        brush: bool = False,
    ) -> Interactive:
        """Save the numbers of a figure that the page draws in the browser."""
        csv = self._csv(name, numbers)
        return Interactive(figure, alt, self.stamped(caption), csv, height_px, width_px, brush)

    def table(
        self,
        name: str,
        numbers: pd.DataFrame,
        *,
        columns: Sequence[str],
        rows: Sequence[Sequence[str]],
        caption: str,
        wordy: bool = False,
        strong: Sequence[int] = (),
    ) -> ReportTable:
        """Save the raw numbers and return the readable table; rows in `strong` are emphasised."""
        cells = tuple(tuple(row) for row in rows)
        csv = self._csv(name, numbers)
        return ReportTable(self.stamped(caption), tuple(columns), cells, csv, wordy, tuple(strong))

    def _csv(self, name: str, numbers: pd.DataFrame) -> str:
        numbers.map(_no_formula).rename(columns=_no_formula).to_csv(self._path("tables", f"{name}.csv"), index=False)
        return f"tables/{name}.csv"

    def stamped(self, caption: str) -> str:
        """Return the caption of a result behind the study's stamp."""
        return f"{self.stamp} {caption}" if self.stamp else caption

    def _path(self, kind: str, name: str) -> Path:
        if not _FILE.fullmatch(name):  # the name may hold a knob's name, which a stranger's study chose
            raise ValueError(f"a file of a report is named by 1 to 200 of A-Z a-z 0-9 . _ -; got {name!r}")
        (self.folder / kind).mkdir(parents=True, exist_ok=True)
        return self.folder / kind / name


def _no_formula(cell: Any) -> Any:
    """Prefix a text that a spreadsheet would run as a formula with the apostrophe that makes it text."""
    return f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) else cell
