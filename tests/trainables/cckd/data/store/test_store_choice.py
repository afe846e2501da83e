"""Which studies have a store, and of which size."""

from pathlib import Path

import numpy as np
import pytest

from trainables.cckd.data.images.crops import centre_views
from trainables.cckd.data.images.memory_choice import DataPath
from trainables.cckd.data.store.image_store import ImageStore
from trainables.cckd.data.store.small_image import small_sizes
from trainables.cckd.data.store.store_choice import choose_store
from trainables.cckd.errors import DataError

STREAMED, HELD, ARRAY = DataPath("streamed", "3 GiB"), DataPath("resident", "1 MiB"), DataPath("resident", "read whole")
ROOT = Path("/data")


def _choose(asked: int | None, path: DataPath = STREAMED, student: int = 64, teacher: int = 96) -> ImageStore | None:
    return choose_store(asked, path, data_root=ROOT, student_size=student, teacher_size=teacher)


def test_streamed_sets_have_a_store_unless_it_is_refused_and_others_have_none() -> None:
    assert _choose(None) == ImageStore(ROOT / "image-store", 256)
    assert _choose(0) is _choose(None, HELD) is _choose(None, ARRAY) is _choose(0, ARRAY) is None
    assert _choose(100) == ImageStore(ROOT / "image-store", 100)


@pytest.mark.parametrize(("student", "teacher"), [(224, 224), (64, 336), (288, 96), (1024, 1024), (225, 8)])
def test_by_default_no_evaluation_view_is_enlarged(student: int, teacher: int) -> None:
    store = _choose(None, student=student, teacher=teacher)
    assert store is not None
    small = small_sizes(np.array([[3000, 4000], [4000, 3000]], np.int32), store.shorter)
    assert (centre_views(small)[:, 2:4] >= max(student, teacher)).all()
    less = small_sizes(small, store.shorter - 2)
    assert store.shorter == 256 or (centre_views(less)[:, 2:4] < max(student, teacher)).all()


@pytest.mark.parametrize(
    ("asked", "path", "said"),
    [
        (64, ARRAY, "these are resident (read whole); choices: --image-store none"),
        (64, HELD, "these are resident (1 MiB); choices: --image-store none, --data-path streamed"),
        (63, STREAMED, "from the 64 pixels of the student's input to 32767; got 63"),
        (32768, STREAMED, "from the 64 pixels of the student's input to 32767; got 32768"),
    ],
)
def test_what_makes_no_sense_is_refused(asked: int, path: DataPath, said: str) -> None:
    with pytest.raises(DataError) as caught:
        _choose(asked, path)
    assert str(caught.value).endswith(said)
