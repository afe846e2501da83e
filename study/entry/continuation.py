"""What the commands that continue a study share: reading their flags, changing the plan, seeing the study through."""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from study.entry.installation import refuse_shadows
from study.entry.method_choice import enter_recorded, folder_in
from study.planning.flags import Flag, Option
from study.schema import MANIFEST
from study.terminal.command_line import command_line, given_path, resume_command
from study.terminal.faults import Faults, complain
from study.terminal.home import needing_no_home
from study.terminal.output import outliving_its_reader
from study.terminal.signals import ended_by_signals
from trainables.cckd.errors import UsageError

if TYPE_CHECKING:
    from study.phases.state.study_in_progress import Analyses

#: The flag of every command that may make a study longer. A command whose `unasked` has it asks whatever the plan was.
YES_LONG = Option(("yes_long",), bool, Flag("", "go on although what is missing takes more than 24 hours"), False)


@outliving_its_reader()
@needing_no_home()
@ended_by_signals()
def continue_study(
    command: str,
    argv: Sequence[str] | None,
    may_change: Callable[[], Mapping[str, Option]],
    description: str,
    unplanned: Mapping[str, Any] = MappingProxyType({}),
    unasked: Mapping[str, Any] = MappingProxyType({}),
) -> int:
    """Run a command that sees a study through, as planned but for its flags; return an exit code as `study.run` does.

    Args:
        command: 'resume', 'confirm' or 'ablate'; study.json notes it with its arguments.
        argv: the arguments, None for those of the process.
        may_change: its flags: the fields of the plan that it may change. They are asked for when the study's own method
            is entered, since the plan depends on it.
        description: for its help.
        unplanned: values of fields that neither its flags nor the plan give: the plan has 0, or nothing.
        unasked: values of fields that its flags do not give, whatever the plan has.
    """
    argv = sys.argv[1:] if argv is None else argv
    folder = folder_in(argv)
    try:
        from study.lock import check_free

        enter_recorded(folder)
        from study.planning.plan import LOCAL

        options = may_change()
        parser = argparse.ArgumentParser(prog=command_line(command), description=description, allow_abbrev=False)
        parser.add_argument("folder", metavar="DIR", type=given_path, help="study folder")
        for option in options.values():
            option.add_to(parser)
        args = parser.parse_args(argv)
        folder = args.folder
        enter_recorded(folder)
        changes = {**unasked, **_read_changes(args, options)}
        refuse_shadows(workers=changes.get("address", LOCAL) == LOCAL)
        check_free(folder)
        from study.phases.session.resume import resume

        return resume(folder, command_line(command, argv), analyses(), unplanned, **changes)
    except UsageError as error:
        return report_faults(error.faults)
    except KeyboardInterrupt:
        return interrupted_early(folder)


def _read_changes(args: argparse.Namespace, options: Mapping[str, Option]) -> dict[str, Any]:
    """Return the fields of the plan that the flags change.

    Raises:
        UsageError: with every fault of the flags.
    """
    from study.planning.parser import read_flags
    from study.planning.plan import LOCAL, address_fault

    faults = Faults()
    changes = read_flags(args, options, faults)
    if wrong := address_fault(changes.get("address", LOCAL)):
        faults.add(wrong)
    if "storage" in changes:
        from study.planning.readers import read_storage

        changes["storage"] = read_storage(changes["storage"], faults)
    faults.raise_any()
    return changes


def analyses() -> "Analyses":
    """Return what a study asks of the analysis, whose packages take a second to import: no start waits for them."""
    from study.phases.state.study_in_progress import Analyses

    return Analyses(_build_report, _screened_knobs, _look)


def _build_report(folder: Path) -> Path:
    from analysis.report import build_report

    return build_report(folder)


def _screened_knobs(folder: Path) -> list[str]:
    from analysis import load_study
    from analysis.search.importance import screened_knobs

    return screened_knobs(load_study(folder))


def _look(folder: Path, share: float) -> tuple[bool, str]:
    from analysis import load_study
    from analysis.settled import look

    found = look(load_study(folder), share)
    return found.settled, found.text


def report_faults(faults: Sequence[str]) -> int:
    """Print every fault in one message and return the exit code of wrong usage."""
    complain(faults)
    return 2


def interrupted_early(folder: Path | None) -> int:
    """Say what a Ctrl-C before the first phase leaves, and return the exit code; `folder` is the study's."""
    if folder is not None and (folder / MANIFEST).exists():
        print(f"interrupted; nothing is lost. Continue with:\n  {resume_command(folder)}\nstudy: {folder.absolute()}")
    else:
        print("interrupted before there was a study")
    return 130
