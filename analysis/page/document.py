"""A report as plain data: sections of paragraphs, notes, tables, pictures and code, some of them folded away."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Paragraph:
    """Running text."""

    text: str


@dataclass(frozen=True)
class Note:
    """A warning that a reader must see."""

    text: str


@dataclass(frozen=True)
class Code:
    """Text to paste, with a title that says what it does."""

    title: str
    text: str


@dataclass(frozen=True)
class ReportTable:
    """Cells as text; `csv` names the file with the raw numbers, `wordy` tables are aligned left, `strong` rows bold."""

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
    """Pictures of one kind, side by side where the page is wide enough."""

    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Interactive:
    """A figure drawn in the page by plotly.js from `figure` (data and layout); Markdown has its caption and numbers.

    With `brush`, a box over an axis keeps the lines that pass through it. `width_px` is the smallest legible width.
    """

    figure: Mapping[str, Any]
    alt: str
    caption: str
    csv: str
    height_px: int
    width_px: int
    brush: bool = False


@dataclass(frozen=True)
class Folded:
    """Blocks that a reader opens by their title: what supports the page, and what few readers look up."""

    title: str
    blocks: "tuple[Block, ...]"


Block = Paragraph | Note | Code | ReportTable | Picture | Gallery | Interactive | Folded


def fold(title: str, blocks: "Iterable[Block]") -> "tuple[Folded, ...]":
    """Return the blocks folded away under a title; nothing where there are none."""
    held = tuple(blocks)
    return (Folded(title, held),) if held else ()


def unfolded(blocks: Iterable[Block]) -> Iterator[Block]:
    """Yield every block in its order, the blocks of a Folded in its place."""
    for block in blocks:
        if isinstance(block, Folded):
            yield from unfolded(block.blocks)
        else:
            yield block


@dataclass(frozen=True)
class Section:
    """A titled part; `key` is its anchor."""

    key: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Report:
    """The whole report.

    `warnings`, `lead` sentences, the `picture` of the claim and `facts` (name, value) make the first screen.
    """

    title: str
    subtitle: str
    headline: str
    lead: tuple[str, ...]
    warnings: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]
    picture: Picture | None = None
