"""How the commands are spelled, for help, messages and study.json: `python -m study.run`, or `cckd-study run`."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

#: The console script that starts all commands.
SCRIPT = "cckd-study"


def command_line(command: str, argv: Sequence[str] = (), *, package: str = "study") -> str:
    """Return a command with its arguments, as a user can paste it.

    It begins with `cckd-study run` if the console script started us, else with `python -m study.run`.
    """
    by_script = Path(sys.argv[0]).name == SCRIPT
    return shlex.join([*([SCRIPT, command] if by_script else ["python", "-m", f"{package}.{command}"]), *argv])


def resume_command(folder: object, *flags: str) -> str:
    """Return the command that continues the study in `folder`."""
    return command_line("resume", [str(folder), *flags])


def version() -> str:
    """Return the installed version, which pyproject.toml names; 'unknown' where the package is not installed."""
    from importlib import metadata  # it imports the parsers of mail and of archives: a third of `study.status`

    try:
        return metadata.version(SCRIPT)
    except metadata.PackageNotFoundError:
        return "unknown"
