from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from trainables.cckd.data.images.image_files import ImageFiles, StoredFiles
from trainables.cckd.data.images.memory_choice import choose_path
from trainables.cckd.data.images.sets import ImageSet
from trainables.cckd.errors import DataError

ARRAY = ImageSet(np.zeros((1, 1, 8, 8), np.uint8), np.zeros(1, np.int64))


def _files(n: int, height: int, width: int) -> ImageFiles:
    listed = ImageFiles.listed(".", [f"{i}.jpg" for i in range(n)], [0] * n)
    return replace(listed, sizes=np.tile(np.array([[height, width]], np.int32), (n, 1)))


def test_sets_that_fit_stay_in_memory_and_larger_ones_stream() -> None:
    fits = [_files(1024, 512, 512)] * 1  # 0.75 GiB decoded
    assert str(choose_path(fits)) == "resident (0.75 GiB decoded, at most 1 GiB)"
    assert str(choose_path([*fits, *fits])) == "streamed (1.50 GiB decoded, more than 1 GiB)"
    assert choose_path([ARRAY]).name == "resident"


def test_the_path_can_be_forced() -> None:
    assert str(choose_path([_files(1, 512, 512)], "streamed")) == "streamed (0.00 GiB decoded; as chosen)"
    assert str(choose_path([_files(1, 512, 512)], "resident")) == "resident (0.00 GiB decoded, at most 1 GiB)"
    assert choose_path([_files(4096, 1024, 1024)], "resident").name == "resident"


def test_sets_of_an_image_store_are_streamed_however_small() -> None:
    files = _files(4, 8, 8)
    stored = StoredFiles(Path("/store"), files.paths, files.labels, files.sizes, files.marks)
    assert str(choose_path([stored, ARRAY])) == "streamed (from the image store)"


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(DataError, match="needs a data set of image files"):
        choose_path([ARRAY], "streamed")
