"""`python -m study.run`: start a study and see it through to its report. `run_study` does the same from Python."""

from study.terminal.signals import command_of, end_process, ended_by_signals

if __name__ == "__main__":  # before the imports
    end_process(command_of("study.run"))

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study.entry.continuation import analyses, interrupted_early, report_faults
from study.entry.installation import refuse_shadows
from study.entry.method_choice import asked_in, enter_asked
from study.terminal.command_line import command_line
from study.terminal.home import needing_no_home
from study.terminal.output import outliving_its_reader
from trainables.cckd.errors import UsageError
from trainables.cckd.teacher.spec import TeacherSpec

if TYPE_CHECKING:
    from study.planning.plan import StudyPlan  # imported when the own method is entered, on which it depends


@outliving_its_reader()
@needing_no_home()
@ended_by_signals()
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code (0 done, 1 failed, 2 wrong usage, 130 interrupted)."""
    argv, folder = sys.argv[1:] if argv is None else argv, None
    try:
        enter_asked(asked_in(argv))
        from study.planning.parser import parse
        from study.planning.plan import LOCAL

        args, unknown = parse(argv)
        stops = args.dry_run or args.write_config or args.list_spaces or args.list_data
        refuse_shadows(workers=not stops and args.address in (None, LOCAL))
        # These cost a second of imports, which `--help` need not pay.
        from study.planning.check import check
        from study.planning.config_file import config_text
        from study.planning.preview.dry_run import dry_run, list_data_sets, list_search_spaces

        if (args.list_spaces or args.list_data) and not unknown:
            print(list_search_spaces() if args.list_spaces else list_data_sets())
            return 0
        checked = check(args, unknown)
        if args.dry_run or args.write_config:
            print(dry_run(checked) if args.dry_run else config_text(checked.plan, checked.space))
            return 0
        from study.phases.session.begin import begin
        from study.planning.preview.estimate import refuse_long, refuse_short_limit

        refuse_short_limit(checked)
        if not args.yes_long:
            refuse_long(checked)
        folder = checked.folder
        return begin(checked, command_line("run", argv), analyses())
    except UsageError as error:
        return report_faults(error.faults)
    except KeyboardInterrupt:
        return interrupted_early(folder)


@needing_no_home()
@ended_by_signals()
def run_study(
    plan: "StudyPlan | None" = None,
    *,
    out: str = "runs",
    name: str | None = None,
    yes_long: bool = False,
    **choices: Any,
) -> Path:
    """Start a study, see it through to its report, and return its folder.

    >>> run_study(space="acckd_smoke", data="digits_lt", trials=20, teacher={"form": "ncm"})  # doctest: +SKIP

    Args:
        plan: every choice; None for the defaults of the command line.
        out: folder of study folders.
        name: of the study's folder; made of space, data set and time where None.
        yes_long: start the study although it takes more than 24 hours.
        choices: fields of `StudyPlan` that differ from `plan` or the defaults; `teacher` may be its name, or a mapping
            of fields of `TeacherSpec`.

    Raises:
        TypeError: `teacher` has a field that there is not.
        UsageError: with every fault of the choices, named as on the command line; nothing is written.
        StudyFailed: the study cannot go on; its folder can be resumed.
        KeyboardInterrupt: interrupted; its folder can be resumed.
    """
    enter_asked(choices.get("own_method", plan and plan.own_method))
    from study.phases.session.begin import begin
    from study.phases.state.study_in_progress import StudyFailed
    from study.planning.check import check
    from study.planning.config_file import chosen_flags
    from study.planning.parser import build_parser
    from study.planning.plan import OPTIONS
    from study.planning.preview.estimate import refuse_long, refuse_short_limit

    fields = tuple(dict.fromkeys(option.path[0] for option in OPTIONS.values()))
    faults = [f"there is no choice {key!r}; choices: {', '.join(fields)}" for key in choices if key not in fields]
    if faults:
        raise UsageError(faults)
    if isinstance(choices.get("teacher"), Mapping):
        TeacherSpec(**choices["teacher"])  # what it does not name is left to the recipe
    chosen = ({} if plan is None else {key: getattr(plan, key) for key in fields}) | choices
    argv = [f"--out={out}", *([] if name is None else [f"--name={name}"]), *chosen_flags(chosen)]
    checked = check(build_parser().parse_args(argv))
    refuse_short_limit(checked)
    if not yes_long:
        refuse_long(checked)
    code = begin(checked, command_line("run", argv), analyses())
    if code == 130:
        raise KeyboardInterrupt
    if code:
        raise StudyFailed(f"the study in {checked.folder} failed; {checked.folder / 'run.log'} says why")
    return checked.folder
