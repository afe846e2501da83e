"""Two tables are equal to the last bit, but for seconds, or the first difference is named."""

from pathlib import Path

import pytest

from benchmarks.same_numbers import Rows, first_difference, rows_of


def test_seconds_are_left_out_and_every_bit_is_kept(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = []
    for name, train_s in (("a", 1.0), ("b", 2.0)):
        (tmp_path / f"{name}.csv").write_text(f"number,duration_s\n0,{train_s}\n")
        table = pa.table({"loss_total": [0.1 + 0.2, None, float("nan")], "train_s": [train_s] * 3})
        pq.write_table(table, tmp_path / f"{name}.parquet")
        rows.append([rows_of(tmp_path / f"{name}{kind}") for kind in (".csv", ".parquet")])
    assert rows[0] == rows[1]
    assert rows[0] == [[{"number": "0"}], [{"loss_total": text} for text in ("0.30000000000000004", "None", "nan")]]


@pytest.mark.parametrize(
    ("after", "difference"),
    [
        ([{"x": "1"}, {"x": "2"}], None),
        ([{"x": "1"}, {"x": "3"}], "row 1, x: 2 in A, 3 in B"),
        ([{"x": "1"}, {"y": "2"}], "row 1, x: 2 in A, None in B"),
        ([{"x": "1"}], "2 rows in A, 1 in B"),
    ],
)
def test_the_first_difference_is_named(after: Rows, difference: str | None) -> None:
    assert first_difference([{"x": "1"}, {"x": "2"}], after) == difference
