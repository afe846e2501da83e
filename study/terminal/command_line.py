"""How the commands are spelled, for help, messages and study.json: `python -m study.run`, or `cckd-study run`."""

import shlex
import sys
from argparse import ArgumentTypeError
from collections.abc import Sequence
from pathlib import Path

from study.schema import MANIFEST, MANIFEST_BEFORE
from trainables.cckd.files.sealed import read_sealed

#: The console script that starts all commands.
SCRIPT = "cckd-study"


def given_path(text: str) -> Path:
    """Return the path that an argument names; the empty text of an unset variable would mean the current folder.

    Raises:
        argparse.ArgumentTypeError: the text is empty.
    """
    if not text:
        raise ArgumentTypeError("must be a path; got ''")
    return Path(text)


def command_line(command: str, argv: Sequence[str] = (), *, package: str = "study") -> str:
    """Return a command with its arguments, as a user can paste it.

    It begins with `cckd-study run` if the console script started us, else with `python -m study.run`.
    """
    by_script = Path(sys.argv[0]).name == SCRIPT
    return shlex.join([*([SCRIPT, command] if by_script else ["python", "-m", f"{package}.{command}"]), *argv])


def resume_command(folder: Path | str, *flags: str) -> str:
    """Return the command that continues the study in `folder`, where it ran.

    It names a cluster at HOST:PORT again: no folder decides which cluster is joined.
    """
    address = _planned_address(Path(folder))
    return command_line("resume", [str(folder), *(["--address", address] if ":" in address else []), *flags])


def _planned_address(folder: Path) -> str:
    """Return the address in the plan of the study in a folder; empty where no plan can be read, or none of ours."""
    try:
        address = read_sealed(folder / MANIFEST, folder / MANIFEST_BEFORE)[0]["plan"]["address"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return address if isinstance(address, str) and address.isprintable() else ""


def version() -> str:
    """Return the installed version, which pyproject.toml names; 'unknown' where the package is not installed."""
    from importlib import metadata  # it imports the parsers of mail and of archives: a third of `study.status`

    try:
        return metadata.version(SCRIPT)
    except metadata.PackageNotFoundError:
        return "unknown"
