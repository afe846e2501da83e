"""`python -m study.resume DIR`: continue a study after any end, or extend it with a larger --trials."""

import argparse
import sys
from collections.abc import Sequence

from study.continuation import continue_study, faults_below_zero, faults_of


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; exit codes as for `study.run`."""
    parser = argparse.ArgumentParser(
        prog="python -m study.resume",
        description="Continue a study: finished trials stay, interrupted ones go on from their last checkpoint, "
        "the confirmation goes on seed by seed, the report is built anew.",
        allow_abbrev=False,
    )
    parser.add_argument("folder", metavar="DIR", help="study folder")
    parser.add_argument("--trials", type=int, metavar="N", help="new total number of trials (default: as planned)")
    parser.add_argument("--address", metavar="A", help="Ray cluster (default: as planned)")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: as planned")
    parser.add_argument("--max-concurrent", type=int, metavar="N", help="default: as planned")
    parser.add_argument("--max-retries", type=int, metavar="N", help="default: as planned")
    parser.add_argument("--max-failures", type=int, metavar="N", help="default: as planned")
    parser.add_argument("--trial-timeout", type=float, metavar="S", help="default: as planned")
    parser.add_argument("--storage", metavar="DIR", help="default: as planned")
    args = parser.parse_args(argv)
    # What follows costs a second of imports, which `--help` need not pay.
    from study.planning.folders import read_storage
    from study.terminal.faults import Faults

    faults = Faults()
    faults.found += faults_of(args.address, trials=args.trials, max_concurrent=args.max_concurrent)
    faults.found += faults_below_zero(
        max_retries=args.max_retries, max_failures=args.max_failures, trial_timeout=args.trial_timeout
    )
    changes = {
        "trials": args.trials,
        "address": args.address,
        "device": args.device,
        "gpus_per_trial": None if args.device is None else float(args.device == "cuda"),
        "trials_per_process": None if args.device is None else 1,
        "max_concurrent": args.max_concurrent,
        "max_retries": args.max_retries,
        "max_failures": args.max_failures,
        "trial_timeout": args.trial_timeout,
        "storage": None if args.storage is None else read_storage(args.storage, faults),
    }
    return continue_study("study.resume", argv, args.folder, faults.found, changes)


if __name__ == "__main__":
    sys.exit(main())
