"""How the commands are spelled, for help, messages and study.json: `python -m study.run`, or `cckd-study run`."""

import shlex
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from pathlib import Path

#: The console script that starts all commands.
SCRIPT = "cckd-study"


def program(command: str) -> list[str]:
    """Return the words that start a command: `cckd-study run` if that started us, else `python -m study.run`."""
    return [SCRIPT, command] if Path(sys.argv[0]).name == SCRIPT else ["python", "-m", f"study.{command}"]


def command_line(command: str, argv: Sequence[str]) -> str:
    """Return a command with its arguments, as a user can paste it."""
    return shlex.join([*program(command), *argv])


def resume_command(folder: object) -> str:
    """Return the command that continues the study in `folder`."""
    return command_line("resume", [str(folder)])


def version() -> str:
    """Return the installed version, which pyproject.toml names; 'unknown' where the package is not installed."""
    try:
        return installed_version(SCRIPT)
    except PackageNotFoundError:
        return "unknown"
