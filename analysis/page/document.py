"""A report as plain data: sections of paragraphs, notes, tables, pictures and code; both outputs are drawn from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Paragraph:
    """Running text."""

    text: str


@dataclass(frozen=True)
class Note:
    """A warning a reader must not miss."""

    text: str


@dataclass(frozen=True)
class Code:
    """Text to paste, with a line saying what it does."""

    title: str
    text: str


@dataclass(frozen=True)
class Table:
    """Cells ready to read; `csv` names the file with the raw numbers, `wordy` tables are aligned left."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    csv: str
    wordy: bool = False
    strong: tuple[int, ...] = ()


@dataclass(frozen=True)
class Picture:
    """A PNG of figures/ with its alternative text; `csv` names the file with its numbers."""

    file: str
    alt: str
    caption: str
    csv: str


@dataclass(frozen=True)
class Gallery:
    """Pictures of one kind, side by side where there is room."""

    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Interactive:
    """A figure drawn in the page by plotly.js from `figure` (data and layout); Markdown has its caption and numbers.

    `brush` lets a box over an axis keep the lines that pass through it; `width_px` is the least width it is legible at.
    """

    figure: Mapping[str, Any]
    alt: str
    caption: str
    csv: str
    height_px: int
    width_px: int
    brush: bool = False


Block = Paragraph | Note | Code | Table | Picture | Gallery | Interactive


@dataclass(frozen=True)
class Section:
    """A titled part; `key` is its anchor."""

    key: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Report:
    """The whole: `lead` sentences and `warnings` make the first screen, `facts` (name, value) stand under it."""

    title: str
    subtitle: str
    headline: str
    lead: tuple[str, ...]
    warnings: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]
