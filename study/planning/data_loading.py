"""Load a study's data, showing how far the scan of its image files has come where that takes a while."""

import time
from pathlib import Path

from study.terminal.progress import Progress
from trainables.cckd.data.load import LongTailData, load_data
from trainables.cckd.data.spec import DataSpec

#: A scan that is faster than this shows nothing, so that a quick refusal is all that a user reads.
_QUIET_S = 2.0


def watched_load(
    spec: DataSpec, *, data_root: Path, split: str | None, skip_corrupt: bool = False, progress: Progress | None = None
) -> LongTailData:
    """`load_data`, with a bar or lines of `progress` (on standard output where None) for a long scan."""
    watch = _ScanWatch(progress or Progress())
    try:
        return load_data(spec, data_root=data_root, split=split, skip_corrupt=skip_corrupt, on_scan=watch)
    finally:
        watch.end()


class _ScanWatch:
    """Called by the scan with (files read, files in all)."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._shown = progress, False
        self._start = 0.0

    def __call__(self, done: int, total: int) -> None:
        if done == 0:  # what went before, a download perhaps, has its own words
            self._start = time.monotonic()
        elif not self._shown and time.monotonic() - self._start >= _QUIET_S:
            self._progress.begin("scan", total)
            self._shown = True
        if self._shown:
            self._progress.update(done, "image files")

    def end(self) -> None:
        if self._shown:
            self._progress.end()
