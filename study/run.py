"""`python -m study.run`: start a study and see it through to its report."""

import sys
from collections.abc import Sequence

from study.continuation import build_report
from study.planning.parser import build_parser, command_line
from study.signals import interrupted_early
from trainables.cckd.errors import UsageError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code (0 done, 1 failed, 2 wrong usage, 130 interrupted)."""
    parser = build_parser()
    args, unknown = parser.parse_known_args(argv)
    folder = None
    try:
        # These cost a second of imports, which `--help` need not pay.
        from study.planning.check import check
        from study.planning.dry_run import dry_run, list_data_sets, list_search_spaces

        if (args.list_spaces or args.list_data) and not unknown:
            print(list_search_spaces() if args.list_spaces else list_data_sets())
            return 0
        checked = check(args, unknown)
        if args.dry_run:
            print(dry_run(checked))
            return 0
        from study.phases.session import begin

        folder = checked.folder
        return begin(checked, command_line(argv), build_report)
    except UsageError as error:
        print("\n".join(f"error: {fault}" for fault in error.faults), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return interrupted_early(folder)


if __name__ == "__main__":
    sys.exit(main())
