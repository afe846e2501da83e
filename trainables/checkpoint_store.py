"""Where the checkpoints of a study lie: a folder that every node sees, or an object store behind a URI.

A trial works in a folder of its own machine either way. On an object store, what it wrote is put up after every save:
an object is replaced whole, and the completion mark goes last, so a reader finds a whole checkpoint or none.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import Any

#: Object stores, and local files through the same door. Region, endpoint and keys come from the environment, as the
#: store's own tools read them: a URI ends up in the manifest.
SCHEMES = ("s3", "gs", "file")

#: The part of a run that holds the model it exports; the other parts are its attempts.
MODEL = "model"


def is_uri(storage: str) -> bool:
    """Whether a storage is named by a URI, not by a path."""
    return "://" in storage


@dataclass(frozen=True)
class Shelf:
    """All runs of a study under one root, as `<run>/<part>/<files>`; a part is an attempt or MODEL.

    Attributes:
        root: absolute path, or a URI with one of SCHEMES.
    """

    root: str

    def workplace(self, run: str, part: str) -> Path:
        """The folder of this machine in which a part is written; `publish` then shows it to others."""
        return self._here(run) / part

    def publish(self, run: str, part: str) -> None:
        """Make the part in the object store what it is in its workplace; nothing to do for a shared folder."""
        if not is_uri(self.root):
            return
        store, base = self._store(run, part)
        store.create_dir(base, recursive=True)
        there = set(_names(store, base))
        # Marks (JSON) last, for they name the others; those are named by content or written once.
        files = sorted(self.workplace(run, part).iterdir(), key=lambda file: file.suffix == ".json")
        for file in files:
            if file.suffix == ".json" or file.name not in there:
                with store.open_output_stream(f"{base}/{file.name}") as stream:
                    stream.write(file.read_bytes())
        for name in there - {file.name for file in files}:
            store.delete_file(f"{base}/{name}")

    def fetch(self, run: str, part: str) -> Path:
        """A folder of this machine with the part as others see it; empty or absent where it has no file."""
        folder = self.workplace(run, part)
        if is_uri(self.root):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            store, base = self._store(run, part)
            for name in _names(store, base):
                with suppress(FileNotFoundError), store.open_input_stream(f"{base}/{name}") as stream:
                    (folder / name).write_bytes(stream.read())
        return folder

    def furthest(self, run: str) -> Path | None:
        """A folder of this machine with the whole checkpoint of the highest epoch over all attempts of a run."""
        # Here, so that a driver, which only lists and removes, need not import torch.
        from trainables.cckd.training.checkpoint import CheckpointError, read_checkpoint

        epochs: dict[Path, int] = {}
        for part in self._list(run):
            if part == MODEL:
                continue
            folder = self.fetch(run, part)
            try:
                state, _ = read_checkpoint(folder)
            except CheckpointError:  # damaged, or not finished: passed over
                continue
            epochs[folder] = state.epoch
        return max(epochs, key=epochs.__getitem__, default=None)

    def leave(self, run: str) -> None:
        """Remove what a run has on this machine and nowhere else needs: its copy of what lies in an object store."""
        if is_uri(self.root):
            self._clear(run)

    def runs(self) -> list[str]:
        """Names of all runs that have something here."""
        return self._list()

    def remove(self, run: str) -> None:
        """Remove all of a run."""
        self._clear(run)
        if is_uri(self.root):
            store, base = self._store(run)
            with suppress(FileNotFoundError):
                store.delete_dir(base)

    @contextmanager
    def nonce(self) -> Iterator[str]:
        """A part that others are to find, and to answer in with `answer`; gone after the block."""
        name = f".nonce-{token_hex(8)}"
        self._write(name, "driver")
        try:
            yield name
        finally:
            self.remove(name)

    def answer(self, nonce: str, whoami: str) -> str | None:
        """Find the driver's `nonce` and write beside it; None, or what went wrong."""
        try:
            if "driver" not in self._list(nonce):
                return f"{self.root} is another place there"
            self._write(nonce, whoami)
            self.leave(nonce)
        except OSError as error:
            return f"{self.root} cannot be written there: {' '.join(str(error).split())[:200]}"
        return None

    def _write(self, run: str, part: str) -> None:
        folder = self.workplace(run, part)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "seen").write_text(part)
        self.publish(run, part)

    def _clear(self, run: str) -> None:
        shutil.rmtree(self._here(run), ignore_errors=True)
        if is_uri(self.root):
            with suppress(OSError):  # others' runs lie there still
                self._here(run).parent.rmdir()

    def _here(self, run: str) -> Path:
        if not is_uri(self.root):
            return Path(self.root) / run
        # A process has its own, as a retried trial may meet the one before it on the same machine.
        place = f"checkpoints-{sha256(self.root.encode()).hexdigest()[:16]}-{os.getpid()}"
        return Path(tempfile.gettempdir(), place, run)

    def _list(self, *parts: str) -> list[str]:
        if is_uri(self.root):
            return _names(*self._store(*parts), folders=True)
        return sorted(path.name for path in Path(self.root).joinpath(*parts).glob("*/"))

    def _store(self, *parts: str) -> tuple[Any, str]:
        from pyarrow.fs import FileSystem

        store, base = FileSystem.from_uri(self.root)
        return store, "/".join([base, *parts])


def _names(store: Any, folder: str, *, folders: bool = False) -> list[str]:
    """Names of the files, or of the folders, in a folder of an object store."""
    from pyarrow.fs import FileSelector, FileType

    wanted = FileType.Directory if folders else FileType.File
    found = store.get_file_info(FileSelector(folder, allow_not_found=True))
    return sorted(info.base_name for info in found if info.type == wanted)
