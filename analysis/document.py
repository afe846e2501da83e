"""A report as plain data: sections of paragraphs, notes, tables, pictures and code; both outputs are drawn from it."""

from dataclasses import dataclass


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


Block = Paragraph | Note | Code | Table | Picture | Gallery


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
