"""`python -m study.resume DIR`: continue a study after any end, or extend it with a larger --trials."""

import sys
from collections.abc import Sequence

from study.continuation import continue_study, read_changes
from study.planning.parser import continuation_parser
from study.planning.plan import OPTIONS
from study.terminal.faults import Faults

#: What a resumed study may change.
_OPTIONS = {
    key: OPTIONS[key].continued()
    for key in (
        "trials",
        "address",
        "device",
        "max_concurrent",
        "max_retries",
        "max_failures",
        "trial_timeout",
        "storage",
    )
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; exit codes as for `study.run`."""
    parser = continuation_parser(
        "resume",
        "Continue a study: finished trials stay, interrupted ones go on from their last checkpoint, the confirmation "
        "goes on seed by seed, the report is built anew.",
        _OPTIONS,
    )
    args = parser.parse_args(argv)
    faults = Faults()
    changes = read_changes(args, _OPTIONS, faults)
    if "device" in changes:
        changes |= {"gpus_per_trial": float(changes["device"] == "cuda"), "trials_per_process": 1}
    if "storage" in changes:
        from study.planning.folders import read_storage

        changes["storage"] = read_storage(changes["storage"], faults)
    return continue_study("resume", argv, args.folder, faults, changes)


if __name__ == "__main__":
    sys.exit(main())
