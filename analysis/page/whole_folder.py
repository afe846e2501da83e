"""A folder of results that appears whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def published(target: Path) -> Iterator[Path]:
    """Give an empty folder to write into; when the block ends well it takes `target`'s place, else it is gone.

    Raises:
        OSError: the folder around `target` cannot be written to.
    """
    building = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        yield building
        building.chmod(0o755)  # mkdtemp's folder is private; a report is there to be read
        _replace(target, building)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _replace(target: Path, built: Path) -> None:
    """Put the folder `built` in `target`'s place; a folder cannot be replaced in one step, so the old one moves."""
    old = built.with_name(f"{built.name}-old")
    if os.path.lexists(target):
        target.rename(old)
    built.rename(target)
    shutil.rmtree(old, ignore_errors=True)
