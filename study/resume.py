"""`python -m study.resume DIR`: continue a study after any end, or extend it with a larger --trials."""

import argparse
import math
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any


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
    from study.cluster import LOCAL, address_fault
    from study.faults import Faults
    from study.places import read_storage

    faults = Faults()
    faults.found += at_least_one(trials=args.trials, max_concurrent=args.max_concurrent)
    faults.found += _at_least_zero(
        max_retries=args.max_retries, max_failures=args.max_failures, trial_timeout=args.trial_timeout
    )
    if wrong := address_fault(args.address or LOCAL):
        faults.add(wrong)
    storage = None if args.storage is None else read_storage(args.storage, faults)
    if faults.found:
        return report_faults(faults.found)
    command = shlex.join(["python", "-m", "study.resume", *_words(argv)])
    return continue_study(Path(args.folder), _changes(args, storage), command)


def continue_study(folder: Path, changes: dict[str, Any], command: str) -> int:
    """Resume with the plan's `changes`; a UsageError becomes a message and exit code 2."""
    from study.interruption import interrupted_early
    from study.lock import check_free
    from trainables.cckd.errors import UsageError

    try:
        check_free(folder)
        from study.session import resume

        return resume(folder, command, **changes)
    except UsageError as error:
        return report_faults(error.faults)
    except KeyboardInterrupt:
        return interrupted_early(folder)


def at_least_one(**values: int | None) -> list[str]:
    """A fault for every flag that was given a number below 1."""
    return [
        f"--{flag.replace('_', '-')} must be a whole number >= 1; got {value}"
        for flag, value in values.items()
        if value is not None and value < 1
    ]


def _at_least_zero(**values: float | None) -> list[str]:
    return [
        f"--{flag.replace('_', '-')} must be a number from 0; got {value}"
        for flag, value in values.items()
        if value is not None and not 0 <= value < math.inf
    ]


def report_faults(faults: Sequence[str]) -> int:
    """Print every fault in one message and return the exit code of wrong usage."""
    from study.faults import complain

    complain(faults)
    return 2


def _changes(args: argparse.Namespace, storage: str | None) -> dict[str, Any]:
    wanted = {
        "trials": args.trials,
        "address": args.address,
        "device": args.device,
        "max_concurrent": args.max_concurrent,
        "max_retries": args.max_retries,
        "max_failures": args.max_failures,
        "trial_timeout": args.trial_timeout,
        "storage": storage,
    }
    changes = {name: value for name, value in wanted.items() if value is not None}
    if args.device:
        changes["gpus_per_trial"] = 1.0 if args.device == "cuda" else 0.0
    return changes


def _words(argv: Sequence[str] | None) -> Sequence[str]:
    return sys.argv[1:] if argv is None else argv


if __name__ == "__main__":
    sys.exit(main())
