"""The rows of a CSV file with a header: texts by column, each row with its line."""

import csv
import io
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from trainables.cckd.errors import UsageError

#: A hundred thousand trials of thirty columns have about this many bytes; a much larger file is another one.
_LARGEST_BYTES = 2**26


@dataclass(frozen=True)
class CsvRow:
    """One row: the line of the file on which it ends, from 1, and its texts by column, empty fields left out."""

    line: int
    fields: dict[str, str]


def read_csv(path: Path) -> tuple[tuple[str, ...], list[CsvRow]]:
    """Return the columns of a CSV file and its rows; empty lines are skipped.

    Raises:
        UsageError: the file cannot be read as UTF-8 text, is too large, has no header, two columns of one name, or a
            row with more fields than columns.
    """
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise UsageError(f"{path}: a CSV file has at most {_LARGEST_BYTES} bytes; got {path.stat().st_size}")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read as text: {error}") from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[CsvRow] = []
    columns: tuple[str, ...] = ()
    faults: list[str] = []
    try:
        for fields in reader:
            if not any(field.strip() for field in fields):
                continue
            if not columns:
                columns = tuple(field.strip() for field in fields)
                repeated = [name for name, n in Counter(columns).items() if n > 1]
                faults += [f"{path}: line {reader.line_num}: column {name!r} is there twice" for name in repeated]
            elif len(fields) > len(columns):
                more = f"{len(fields)} fields for {len(columns)} columns"
                faults.append(f"{path}: line {reader.line_num}: {more}")
            else:
                named = zip(columns, fields, strict=False)
                rows.append(CsvRow(reader.line_num, {name: field.strip() for name, field in named if field.strip()}))
    except csv.Error as error:
        faults.append(f"{path}: line {reader.line_num}: not CSV: {error}")
    if not columns:
        faults.append(f"{path}: a CSV file begins with a line of column names; got none")
    if faults:
        raise UsageError(faults)
    return columns, rows
