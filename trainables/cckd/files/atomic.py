"""Write a file whole or not at all: write beside it, sync to the disk, then rename over it."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Any


@contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; after the block that file replaces `path`, durably.

    A reader sees the old file or the new one, never a part of it. If the block raises, `path` stays as it was.

    Args:
        path: the file.
        durable: whether the file must survive a power cut; syncing takes milliseconds per file.
    """
    beside = _beside(path)
    try:
        yield beside
        if durable:
            _sync(beside)
        beside.replace(path)
        if durable:
            _sync(path.parent)  # the rename itself must survive a power cut, not only the content
    finally:
        beside.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Replace `path` by `content`."""
    with replacing(path) as beside:
        beside.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Replace `path` by `content` in UTF-8; line ends stay as they are."""
    write_bytes(path, content.encode())


def write_json(path: Path, content: Any) -> None:
    """Replace `path` by `content` as indented JSON.

    Raises:
        ValueError: `content` holds NaN or infinity, for which JSON has no form.
        TypeError: `content` holds a value that is not plain.
    """
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_first(path: Path, content: Any) -> bool:
    """Write `content` as `write_json` does if `path` is not there; return whether this process was the first to.

    Raises:
        OSError: the folder cannot be written.
    """
    beside = _beside(path)
    try:
        write_json(beside, content)
        os.link(beside, path)
    except FileExistsError:
        return False
    finally:
        beside.unlink(missing_ok=True)
    return True


def _beside(path: Path) -> Path:
    """Return a name in the folder of `path` that no other process takes."""
    return path.with_name(f".{path.name}.{os.getpid()}.{token_hex(4)}.tmp")


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
