"""`python -m study.status [DIR]`: how a study stands, or every study in a folder."""

from study.terminal.signals import command_of, end_process

if __name__ == "__main__":  # before the imports
    end_process(command_of("study.status"))

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from study.overview.study_state import STATUS_SCHEMA, StudyState, read_state, studies_in
from study.overview.text import details, table
from study.schema import MANIFEST
from study.terminal.command_line import command_line, given_path
from study.terminal.faults import complain, printable
from study.terminal.output import outliving_its_reader
from trainables.cckd.errors import UsageError

#: Seconds between two looks of --watch.
_EVERY_S = 2.0
#: Moves the cursor to the first line and clears the screen.
_CLEAR = "\x1b[H\x1b[2J"


@outliving_its_reader()
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code (0 done, 2 wrong usage)."""
    parser = argparse.ArgumentParser(
        prog=command_line("status"),
        description="Say how a study stands: its state, phases, best configuration, time left and driver. It reads "
        "only, whether a driver works in the study or has died there.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "folder", metavar="DIR", type=given_path, nargs="?", default=Path("runs"), help="study folder, or a folder of "
        "studies (default: runs)"
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one line of JSON, for programs")
    parser.add_argument("--watch", action="store_true", help="look again every two seconds while a study runs")
    args = parser.parse_args(argv)
    try:
        while True:
            states = _states(args.folder)
            _show(states, one=_is_study(args.folder), as_json=args.json, clear=args.watch and sys.stdout.isatty())
            if not args.watch or not any(state.state == "running" for state in states):
                return 0
            time.sleep(_EVERY_S)
    except UsageError as error:
        complain(error.faults)
        return 2
    except KeyboardInterrupt:
        return 0


def _is_study(folder: Path) -> bool:
    return (folder / MANIFEST).is_file()


def _states(folder: Path) -> list[StudyState]:
    """Return the studies that `folder` is or holds, the one that began last being the last."""
    folders = [folder] if _is_study(folder) else studies_in(folder)
    return sorted(map(read_state, folders), key=lambda state: state.started or "")


def _show(states: Sequence[StudyState], *, one: bool, as_json: bool, clear: bool) -> None:
    if as_json:
        print(json.dumps({"schema": STATUS_SCHEMA, "studies": [state.to_json() for state in states]}), flush=True)
        return
    text = details(states[0]) if one else table(states) if states else "there is no study here"
    print(_CLEAR * clear + printable(text), flush=True)
