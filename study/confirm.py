"""`python -m study.confirm DIR`: confirm more of the best trials, on more seeds or more cuts, than the study did."""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from study.command import add_tuned_baselines
from study.resume import at_least_one, continue_study, report_faults


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; exit codes as for `study.run`."""
    parser = argparse.ArgumentParser(
        prog="python -m study.confirm",
        description="Train the finalists and the ladder afresh on shared seeds and open the test set for them; runs "
        "that exist already are kept, so more entries, seeds or cuts only add to them.",
        allow_abbrev=False,
    )
    parser.add_argument("folder", metavar="DIR", help="study folder")
    parser.add_argument("--top", type=int, metavar="K", help="best trials to confirm (default: as planned)")
    parser.add_argument("--seeds", type=int, metavar="S", help="seeds an entry (default: as planned)")
    parser.add_argument("--data-seeds", type=int, metavar="R", help="cuts of the long tail (default: as planned)")
    add_tuned_baselines(parser)
    parser.add_argument("--address", metavar="A", help="Ray cluster (default: as planned)")
    args = parser.parse_args(argv)
    from study.cluster import LOCAL, address_fault
    from study.faults import Faults
    from study.rivals import read_baselines

    faults = Faults()
    faults.found += at_least_one(top=args.top, seeds=args.seeds, data_seeds=args.data_seeds)
    tuned = read_baselines(args.tuned_baselines, faults)
    if wrong := address_fault(args.address or LOCAL):
        faults.add(wrong)
    if faults.found:
        return report_faults(faults.found)
    numbers = {"confirm_top": args.top, "confirm_seeds": args.seeds, "data_seeds": args.data_seeds}
    wanted = {**numbers, "address": args.address, "tuned_baselines": tuned or None}
    changes = {name: value for name, value in wanted.items() if value is not None}
    words = sys.argv[1:] if argv is None else argv
    return continue_study(Path(args.folder), changes, shlex.join(["python", "-m", "study.confirm", *words]))


if __name__ == "__main__":
    sys.exit(main())
