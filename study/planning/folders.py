"""The folders that a study will write into, judged before anything is written."""

import os
import re
from datetime import UTC, datetime
from pathlib import Path

from study.records.store import NAME
from study.terminal.command_line import resume_command
from study.terminal.faults import Faults
from trainables.checkpoint_store import SCHEMES, is_uri

#: Letters of the space's name in a folder's name, so that data set and time fit beside them.
_LONGEST_SPACE = 30


def study_folder(out: str, name: str | None, space: str, data: str, faults: Faults) -> Path:
    """Return the study's folder, named after `space` and `data` where the user gave no name; it must be new."""
    if name is None:
        name = f"{space[:_LONGEST_SPACE]}-{data}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    elif not NAME.fullmatch(name):
        faults.add(f"--name must be 1 to 64 of the characters A-Z a-z 0-9 . _ -; got {name!r}")
    folder = read_folder("--out", out, faults) / name
    if NAME.fullmatch(name) and os.path.lexists(folder):
        faults.add(f"--name must be new; {folder} exists; continue it with: {resume_command(folder)}")
    return folder


def read_folder(flag: str, text: str, faults: Faults) -> Path:
    """Return the absolute path of a folder that a flag names; it must be possible to write there."""
    folder = absolute(text)
    if not _can_be_written(folder):
        faults.add(f"{flag} must be a folder that can be written; got {text!r}")
    return folder


def read_storage(text: str, faults: Faults, name: str | None = None) -> str:
    """Return the absolute path, or the URI, that `--storage` names; a later check asks whether every node sees it.

    Args:
        text: as given.
        faults: takes what is wrong with it.
        name: of a new study, which must not be there yet.
    """
    if not is_uri(text):
        folder = absolute(text)
        if not text or not _can_be_written(folder):
            faults.add(f"--storage must be a folder that can be written; got {text!r}")
        elif name and os.path.lexists(folder / name):
            faults.add(f"--storage must hold no study of the name {name}; {folder / name} exists")
        return str(folder)
    if not re.fullmatch(rf"({'|'.join(SCHEMES)})://[^\s?#]+", text):
        faults.add(f"--storage takes URIs of {', '.join(f'{scheme}://' for scheme in SCHEMES)}; got {text!r}")
    return text.rstrip("/")


def absolute(text: str) -> Path:
    """The absolute path of what a user typed, ~ expanded; links stay as they are."""
    return Path(os.path.abspath(os.path.expanduser(text)))


def _can_be_written(folder: Path) -> bool:
    """Whether `folder` can be written, or made where it is absent."""
    try:
        parent = next(path for path in (folder, *folder.parents) if path.exists())
    except OSError:  # a name too long, a folder that may not be entered
        return False
    return parent.is_dir() and os.access(parent, os.W_OK | os.X_OK)
