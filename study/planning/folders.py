"""The folders a study is to write into, judged before anything is written."""

import argparse
import os
import re
from datetime import UTC, datetime
from pathlib import Path

from study.planning.parser import resume_command
from study.terminal.faults import Faults
from trainables.checkpoint_store import SCHEMES, is_uri

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
#: Letters of a space's name in a folder's, so that data set and time fit beside them.
_LONGEST_SPACE = 30


def study_folder(args: argparse.Namespace, space: str, data: str, faults: Faults) -> Path:
    """The study's folder, named after `space` and `data` where the user gave no name.

    No folder we are to write into may be a file, read-only, or another study's.
    """
    name = args.name
    if name is None:
        name = f"{space[:_LONGEST_SPACE]}-{data}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    elif not _NAME.fullmatch(name) or set(name) == {"."}:
        faults.add(f"--name must be 1 to 64 of the characters A-Z a-z 0-9 . _ -; got {name!r}")
    for flag, text in (("out", args.out), ("data-root", args.data_root)):
        if not _can_be_written(absolute(text)):
            faults.add(f"--{flag} must be a folder that can be written; got {text!r}")
    storage = None if args.storage is None else read_storage(args.storage, faults)
    folder = absolute(args.out) / name
    if _NAME.fullmatch(name) and os.path.lexists(folder):
        faults.add(f"--name must be new; {folder} exists; continue it with: {resume_command(folder)}")
    if storage and not is_uri(storage) and os.path.lexists(Path(storage) / name):
        faults.add(f"--storage must hold no study of the name {name}; {Path(storage) / name} exists")
    return folder


def read_storage(text: str, faults: Faults) -> str:
    """The absolute path, or the URI, that `--storage` names; whether nodes see it is asked once there are nodes."""
    if not is_uri(text):
        if not text or not _can_be_written(absolute(text)):
            faults.add(f"--storage must be a folder that can be written; got {text!r}")
        return str(absolute(text))
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
