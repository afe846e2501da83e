"""A CSV file is read as texts by column with their lines, or refused by line."""

from pathlib import Path

import pytest

from study.planning.points.csv_rows import read_csv
from trainables.cckd.errors import UsageError


def test_fields_lines_and_columns_are_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b'\xef\xbb\xbfa, b ,c\r\n1,,"x,\n y"\r\n\r\n,2\r\n')
    columns, rows = read_csv(path)
    assert columns == ("a", "b", "c")
    assert [(row.line, row.fields) for row in rows] == [(3, {"a": "1", "c": "x,\n y"}), (5, {"b": "2"})]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "a CSV file begins with a line of column names; got none"),
        (b"\n\n", "a CSV file begins with a line of column names; got none"),
        (b"a,b,a\n1,2,3\n", "line 1: column 'a' is there twice"),
        (b"a,b\n1,2\n1,2,3\n", "line 3: 3 fields for 2 columns"),
        (b'a\n"1\n', "line 2: not CSV"),
        (b"a\n\xff\n", "cannot be read as text"),
    ],
)
def test_what_is_no_table_is_refused_by_line(tmp_path: Path, content: bytes, fault: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        read_csv(path)
    (said,) = caught.value.faults
    assert said.startswith(f"{path}: {fault}")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"gone\.csv: cannot be read as text"):
        read_csv(tmp_path / "gone.csv")
