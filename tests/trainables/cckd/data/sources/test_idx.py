"""The idx format: what is read back, and what is refused."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from trainables.cckd.data.sources.idx import read_idx
from trainables.cckd.errors import DataError

Writer = Callable[[NDArray[np.uint8]], bytes]


@settings(max_examples=25)
@given(arrays(np.uint8, array_shapes(max_dims=3, max_side=5)), st.booleans())
def test_an_array_reads_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, idx_bytes: Writer, array: NDArray[np.uint8], gzipped: bool
) -> None:
    path = tmp_path_factory.mktemp("idx") / ("file.gz" if gzipped else "file")
    path.write_bytes(gzip.compress(idx_bytes(array)) if gzipped else idx_bytes(array))
    np.testing.assert_array_equal(read_idx(path), array)
    assert read_idx(path).shape == array.shape


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda content: b"", "header of nothing"),
        (lambda content: content[:6], "header"),
        (lambda content: b"\x00\x00\x0d" + content[3:], "unsigned bytes"),
        (lambda content: content[:-1], "6 bytes for shape .2, 3.; got 5"),
        (lambda content: content + b"\x00", "6 bytes for shape .2, 3.; got 7"),
    ],
    ids=["empty", "torn header", "floats", "too short", "too long"],
)
def test_a_file_that_is_not_what_its_header_says_is_refused_by_name(
    tmp_path: Path, idx_bytes: Writer, change: Callable[[bytes], bytes], reason: str
) -> None:
    path = tmp_path / "labels"
    path.write_bytes(change(idx_bytes(np.arange(6, dtype=np.uint8).reshape(2, 3))))
    with pytest.raises(DataError, match=reason) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)


def test_a_torn_gzip_file_is_refused_with_the_way_out(tmp_path: Path, idx_bytes: Writer) -> None:
    path = tmp_path / "labels.gz"
    path.write_bytes(gzip.compress(idx_bytes(np.zeros(1000, np.uint8)))[:-10])
    with pytest.raises(DataError, match="remove it, and it will be fetched again"):
        read_idx(path)
