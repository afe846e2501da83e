"""Which own method of the user's a command enters, before anything of ours builds its tables of methods.

`study.run` reads the flag `--method`, or the file of `--config`; a command that continues a study reads study.json.
Neither may import the plan first, for its tables hold the own method from the moment that they are imported.
"""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from study.schema import MANIFEST, MANIFEST_BEFORE, OWN_METHOD
from trainables.cckd.errors import UsageError
from trainables.cckd.files.sealed import read_sealed
from trainables.own_method import VARIABLE, OwnMethodError, OwnSource

_TABLES = "trainables.cckd.methods"


def enter_asked(method: str | None) -> None:
    """Enter the own method that `module:ATTRIBUTE` names; None for no own method.

    Raises:
        UsageError: there is no such module, or this process has built its tables for another method.
    """
    try:
        _enter(None if method is None else OwnSource.find(method))
    except OwnMethodError as error:
        raise UsageError(str(error)) from error


def asked_in(argv: Sequence[str]) -> str | None:
    """Return the value of `--method` among the arguments, or of `method` in the file of `--config`.

    The parser, and the reader of that file, refuse wrong ones later.
    """
    asked = _value_of("--method", argv)
    if asked is None and (path := _value_of("--config", argv)) is not None:
        with suppress(OSError, ValueError, yaml.YAMLError, AttributeError):
            method = yaml.safe_load(Path(path).read_text(encoding="utf-8")).get("method")
            return method if isinstance(method, str) else None
    return asked


def enter_recorded(folder: Path | None) -> None:
    """Enter the own method of the study in a folder, if it has one; None for no study.

    The file is found where `enter_asked` finds it, never in the study folder. It is refused unless it has the recorded
    hash.

    Raises:
        UsageError: as `enter_asked`, or study.json does not name a method as a study writes it.
    """
    recorded = None if folder is None else _manifest(folder).get(OWN_METHOD)
    try:
        if recorded is None:
            _enter(None)
        else:
            _enter(replace(OwnSource.find(str(recorded["method"])), sha256=str(recorded["sha256"])))
    except (KeyError, TypeError) as error:
        raise UsageError(f"{folder}: {MANIFEST} must name its own method as the study wrote it; {error!r}") from error
    except OwnMethodError as error:
        raise UsageError(str(error)) from error


def folder_in(argv: Sequence[str]) -> Path | None:
    """Return the first of the arguments that is a study folder, None where there is none."""
    return next((Path(word) for word in argv if Path(word, MANIFEST).is_file()), None)


def _value_of(name: str, argv: Sequence[str]) -> str | None:
    found = None
    for place, word in enumerate(argv):
        flag, equals, value = word.partition("=")
        if flag == name:  # the last one counts, as for the parser
            found = value if equals else "".join(argv[place + 1 : place + 2])
    return found


def _enter(source: OwnSource | None) -> None:
    tables = sys.modules.get(_TABLES)
    if tables is not None and source != tables.OWN_SOURCE:
        raise UsageError(
            f"own method {'none' if source is None else source.method}: this process has built its tables for "
            f"{'none' if tables.OWN_SOURCE is None else tables.OWN_SOURCE.method}; start a new process for another"
        )
    os.environ.pop(VARIABLE, None)
    if source is not None:
        os.environ[VARIABLE] = source.text


def _manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a study, or the copy from before its last change; empty where neither can be read."""
    try:
        return read_sealed(folder / MANIFEST, folder / MANIFEST_BEFORE)[0]
    except (OSError, ValueError):
        return {}
