"""Where the checkpoints of a study lie: a folder that every node sees, or an object store behind a URI.

In both cases a trial writes into a folder of its own machine. With an object store, its files are uploaded after every
save. An object is replaced whole, and the completion mark is uploaded last: a reader finds a whole checkpoint or none.
A store that does not answer is asked again (`object_store.patiently`).
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

from trainables.object_store import open_store, patiently

#: The part of a run that holds the model it exports; the other parts are its attempts.
MODEL = "model"


def is_uri(storage: str) -> bool:
    """Return whether a storage is named by a URI, not by a path."""
    return "://" in storage


@dataclass(frozen=True)
class CheckpointStore:
    """All runs of a study under one root, as `<run>/<part>/<files>`; a part is an attempt or MODEL.

    Attributes:
        root: absolute path, or a URI with one of `object_store.SCHEMES`.
    """

    root: str

    def workplace(self, run: str, part: str) -> Path:
        """Return the folder of this machine in which a part is written, before `publish` shows it to other machines."""
        return self._here(run) / part

    def publish(self, run: str, part: str) -> None:
        """Copy the part from its workplace to the object store; a shared folder needs no copy.

        Raises:
            StorageError: the store refuses, or is out of order for minutes.
        """
        if is_uri(self.root):
            patiently(self.root, self._publish, run, part)

    def _publish(self, run: str, part: str) -> None:
        store, base = self._store(run, part)
        store.create_dir(base, recursive=True)
        there = set(_names(store, base))
        # Marks (JSON) are uploaded last, because they name the other files. Those are named by content or written once.
        files = sorted(self.workplace(run, part).iterdir(), key=lambda file: file.suffix == ".json")
        for file in files:
            if file.suffix == ".json" or file.name not in there:
                with store.open_output_stream(f"{base}/{file.name}") as stream:
                    stream.write(file.read_bytes())
        for name in there - {file.name for file in files}:
            store.delete_file(f"{base}/{name}")

    def fetch(self, run: str, part: str) -> Path:
        """Return a folder of this machine with the published part; it is empty or absent where the part has no file.

        Raises:
            StorageError: the store refuses, or is out of order for minutes.
        """
        if is_uri(self.root):
            patiently(self.root, self._fetch, run, part)
        return self.workplace(run, part)

    def _fetch(self, run: str, part: str) -> None:
        folder = self.workplace(run, part)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        store, base = self._store(run, part)
        for name in _names(store, base):
            with suppress(FileNotFoundError), store.open_input_stream(f"{base}/{name}") as stream:
                (folder / name).write_bytes(stream.read())

    def furthest(self, run: str) -> Path | None:
        """Return a local folder with the whole checkpoint of the highest epoch over all attempts of a run, or None.

        Raises:
            StorageError: the store refuses, or is out of order for minutes.
        """
        # A driver only lists and removes; it does not wait for torch.
        from trainables.cckd.training.checkpoint import CheckpointError, read_checkpoint

        epochs: dict[Path, int] = {}
        for part in patiently(self.root, self._list, run):
            if part == MODEL:
                continue
            folder = self.fetch(run, part)
            try:
                state, _ = read_checkpoint(folder)
            except CheckpointError:  # damaged or unfinished
                continue
            epochs[folder] = state.epoch
        return max(epochs, key=epochs.__getitem__, default=None)

    def leave(self, run: str) -> None:
        """Remove a run's local copy of what lies in an object store."""
        if is_uri(self.root):
            self._clear(run)

    def runs(self) -> list[str]:
        """Return the names of all runs with files in the store.

        Raises:
            OSError: an object store is out of order.
        """
        return self._list()

    def remove(self, run: str) -> None:
        """Remove a run with all of its parts; what a store that is out of order keeps is removed another time."""
        self._clear(run)
        if is_uri(self.root):
            with suppress(OSError):
                store, base = self._store(run)
                store.delete_dir(base)

    @contextmanager
    def nonce(self) -> Iterator[str]:
        """Yield the name of a run that other machines must find and answer; it is removed after the block."""
        name = f".nonce-{token_hex(8)}"
        self._write(name, "driver")
        try:
            yield name
        finally:
            self.remove(name)

    def answer(self, nonce: str, whoami: str) -> str | None:
        """Find the driver's `nonce` and write beside it; return None, or the fault."""
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
            with suppress(OSError):  # other runs still lie there
                self._here(run).parent.rmdir()

    def _here(self, run: str) -> Path:
        if not is_uri(self.root):
            return Path(self.root) / run
        # Each process has its own folder: a retried trial may run beside its predecessor on one machine.
        place = f"checkpoints-{sha256(self.root.encode()).hexdigest()[:16]}-{os.getpid()}"
        return Path(tempfile.gettempdir(), place, run)

    def _list(self, *parts: str) -> list[str]:
        if is_uri(self.root):
            return _folders(*self._store(*parts))
        return sorted(path.name for path in Path(self.root).joinpath(*parts).glob("*/"))

    def _store(self, *parts: str) -> tuple[Any, str]:
        store, base = open_store(self.root)
        return store, "/".join([base, *parts])


def _names(store: Any, folder: str) -> list[str]:
    """Return the names of the files in a folder of an object store."""
    from pyarrow.fs import FileSelector, FileType

    found = store.get_file_info(FileSelector(folder, allow_not_found=True))
    return sorted(info.base_name for info in found if info.type == FileType.File)


def _folders(store: Any, folder: str) -> list[str]:
    """Return the names of the folders in a folder of an object store that have files.

    They are taken from the names of the files: a store has no folders, and not every one lists what stands for them.
    """
    from pyarrow.fs import FileSelector, FileType

    found = store.get_file_info(FileSelector(folder, allow_not_found=True, recursive=True))
    within = (info.path.removeprefix(f"{folder}/").split("/") for info in found if info.type == FileType.File)
    return sorted({names[0] for names in within if len(names) > 1})
