"""`python -m study.confirm DIR`: confirm more of the best trials, on more seeds or more cuts, than the study did."""

import sys
from collections.abc import Sequence

from study.continuation import continue_study, read_changes
from study.planning.parser import continuation_parser
from study.planning.plan import OPTIONS
from study.terminal.faults import Faults

#: What the confirmation may change.
_OPTIONS = {
    "confirm_top": OPTIONS["confirm_top"].continued("--top"),
    "confirm_seeds": OPTIONS["confirm_seeds"].continued("--seeds"),
    **{key: OPTIONS[key].continued() for key in ("data_seeds", "tuned_baselines", "address")},
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; exit codes as for `study.run`."""
    parser = continuation_parser(
        "confirm",
        "Train the finalists and the ladder afresh on shared seeds and open the test set for them; runs that exist "
        "already are kept, so more entries, seeds or cuts only add to them.",
        _OPTIONS,
    )
    args = parser.parse_args(argv)
    faults = Faults()
    changes = read_changes(args, _OPTIONS, faults)
    if changes.get("confirm_seeds") == 0:
        faults.add("--seeds must be at least 1, or there is nothing to confirm; got 0")
    return continue_study("confirm", argv, args.folder, faults, changes)


if __name__ == "__main__":
    sys.exit(main())
