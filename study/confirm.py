"""`python -m study.confirm DIR`: confirm more of the best trials, on more seeds or more cuts, than the study did."""

import argparse
import sys
from collections.abc import Sequence

from study.continuation import continue_study, faults_of
from study.planning.parser import add_tuned_baselines, baseline_names


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
    faults = faults_of(args.address, top=args.top, seeds=args.seeds, data_seeds=args.data_seeds)
    changes = {
        "confirm_top": args.top,
        "confirm_seeds": args.seeds,
        "data_seeds": args.data_seeds,
        "tuned_baselines": baseline_names(args.tuned_baselines) or None,
        "address": args.address,
    }
    return continue_study("study.confirm", argv, args.folder, faults, changes)


if __name__ == "__main__":
    sys.exit(main())
