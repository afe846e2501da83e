"""Files beside the page: every figure with its numbers as CSV, every table with its raw values."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from analysis.document import Picture, Table
from analysis.figures.style import save


@dataclass(frozen=True)
class Writer:
    """Writes figures/*.png and tables/*.csv under `folder`; `stamp` is added to the caption of every result."""

    folder: Path
    stamp: str = ""

    def picture(self, name: str, figure: Figure, numbers: pd.DataFrame, *, alt: str, caption: str) -> Picture:
        """Save a figure and its numbers under one name."""
        save(figure, self._path("figures", f"{name}.png"))
        return Picture(f"figures/{name}.png", alt, self._stamped(caption), self._csv(name, numbers))

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
    ) -> Table:
        """Save the raw numbers and return the readable table; rows in `strong` are emphasised."""
        cells = tuple(tuple(row) for row in rows)
        csv = self._csv(name, numbers)
        return Table(self._stamped(caption), tuple(columns), cells, csv, wordy, tuple(strong))

    def _csv(self, name: str, numbers: pd.DataFrame) -> str:
        numbers.to_csv(self._path("tables", f"{name}.csv"), index=False)
        return f"tables/{name}.csv"

    def _stamped(self, caption: str) -> str:
        return f"{self.stamp} {caption}" if self.stamp else caption

    def _path(self, kind: str, name: str) -> Path:
        (self.folder / kind).mkdir(parents=True, exist_ok=True)
        return self.folder / kind / name
