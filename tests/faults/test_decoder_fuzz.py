"""Thousands of damaged files of every kind, read in processes of their own: none of them is ended by a signal.

The second test asks the decoders without the checks in front of them, so that far more damage reaches them.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.damaged_images import KINDS, damaged, encoded, mutations
from trainables.cckd.data.images import decode
from trainables.cckd.data.images.decoders import Chunk, decoders
from trainables.cckd.data.images.formats import header
from trainables.cckd.data.images.formats.limits import UnusableImageError
from trainables.cckd.data.images.image_files import ImageFiles
from trainables.cckd.errors import DamagedImageError

#: Files of each kind and each way of damage, and the processes that read them.
N_EACH, WORKERS = 25, 2
_AT_A_TIME = 64


@pytest.fixture(autouse=True)
def _own_processes() -> Iterator[None]:
    decoders().close()
    yield
    decoders().close()


def _files(root: Path) -> ImageFiles:
    """Write the files; their sizes are what their own headers say, or what they were before the damage."""
    rng = np.random.default_rng(0)
    contents = dict(damaged())
    for kind in KINDS:
        for name, damage in mutations().items():
            for number in range(N_EACH):
                sound = encoded(kind, *rng.integers(1, 80, 2).tolist(), seed=number)
                contents[f"{kind}, {name}, {number}"] = damage(sound, rng)
    sizes = []
    for name, content in contents.items():
        (root / name).write_bytes(content)
        sizes.append(_size(content))
    assert len(contents) > 3000
    files = ImageFiles.listed(root, list(contents), np.zeros(len(contents), np.int64))
    return replace(files, sizes=np.array(sizes, np.int32))


def _size(content: bytes) -> tuple[int, int]:
    try:
        return header.format_of(content).size(content)
    except UnusableImageError:
        return 20, 20


def _outcomes(files: ImageFiles) -> Counter[str]:
    """What becomes of each file: 'read', or what is wrong in its first words."""
    found: Counter[str] = Counter()
    view = np.array([[0, 0, 1, 1, 0]], np.int16)
    for start in range(0, len(files), _AT_A_TIME):
        indices = range(start, min(start + _AT_A_TIME, len(files)))
        chunks = [Chunk(files, np.array([index]), view, np.empty((1, 8, 8, 3), np.uint8)) for index in indices]
        for chunk in chunks:
            decoders().ask(chunk, workers=WORKERS)
        for chunk in chunks:
            try:
                decoders().wait_for(chunk)
                found["read"] += 1
            except DamagedImageError as error:
                found["ended" if "ended the process" in error.what else error.what.partition(":")[0]] += 1
    return found


@pytest.mark.slow
def test_no_damaged_file_ends_the_process_that_reads_it(tmp_path: Path) -> None:
    files = _files(tmp_path)
    found = _outcomes(files)
    assert found.total() == len(files)
    assert found["ended"] == 0
    assert found["cannot be read as an image"] > len(files) / 3


@pytest.mark.slow
def test_the_decoders_alone_raise_errors_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jpeg, webp = (kind._replace(check=kind.size) for kind in (header.JPEG, header.WEBP))
    monkeypatch.setattr(header, "JPEG", jpeg)
    monkeypatch.setattr(header, "WEBP", webp)
    monkeypatch.setattr(decode.png, "chunks", _unchecked_chunks)
    found = _outcomes(_files(tmp_path))
    assert found["ended"] == 0
    assert found["read"] > 500, "damage in compressed pixels shows in no error"


def _unchecked_chunks(content: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """The chunks of a PNG, whatever their checksums."""
    whole, offset = memoryview(content), 8
    while offset + 12 <= len(content):
        length, kind = int.from_bytes(content[offset : offset + 4]), content[offset + 4 : offset + 8]
        yield kind, whole[offset + 8 : offset + 8 + length]
        offset += 12 + length
