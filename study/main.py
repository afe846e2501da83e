"""The console script `cckd-study COMMAND ...`: the same commands as `python -m study.COMMAND`, or analysis.COMMAND."""

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from study.terminal.command_line import SCRIPT, version
from study.terminal.signals import end_process

#: Command -> module whose `main` runs it, and what it does.
COMMANDS = {
    "run": ("study.run", "start a study and see it through to its report"),
    "resume": ("study.resume", "continue a study after any end, or extend it"),
    "confirm": ("study.confirm", "confirm more trials, on more seeds or more cuts, or longer"),
    "ablate": ("study.ablate", "train best1 without each setting and each part, to see what they buy"),
    "status": ("study.status", "say how a study stands, or every study in a folder"),
    "replay": ("study.replay", "train one trial again and compare it with its record"),
    "cache": ("study.cache", "look after the teacher's cached features, and stores of small images"),
    "ingest": ("study.ingest", "read results of other tools as evidence for a warm start"),
    "report": ("analysis.report", "build the report of a study again"),
    "compare": ("analysis.compare", "compare two or more studies"),
    "export": ("analysis.export", "export a study to other tools"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code, 2 where there is no such command."""
    command, *rest = (sys.argv[1:] if argv is None else argv) or ["--help"]
    if command in COMMANDS:
        module = import_module(COMMANDS[command][0])
        code: int = module.main(rest)
        return code
    if command == "--version":
        print(f"{SCRIPT} {version()}")
        return 0
    if command in ("-h", "--help"):
        rows = [f"  {name:<8} {what}" for name, (_, what) in COMMANDS.items()]
        print("\n".join([f"usage: {SCRIPT} COMMAND ...", "", *rows, "", f"{SCRIPT} COMMAND --help lists its flags."]))
        return 0
    print(f"error: the command must be one of {', '.join(COMMANDS)}; got {command!r}", file=sys.stderr)
    return 2


def script() -> NoReturn:
    """Run one command as the console script."""
    end_process(main)


if __name__ == "__main__":
    script()
