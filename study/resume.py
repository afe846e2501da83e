"""`python -m study.resume DIR`: continue a study after any end, or extend it with a larger --trials."""

from study.terminal.signals import command_of, end_process

if __name__ == "__main__":  # before the imports
    end_process(command_of("study.resume"))

from collections.abc import Mapping, Sequence

from study.entry.continuation import YES_LONG, continue_study
from study.planning.flags import Flag, Option


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; exit codes as for `study.run`."""
    return continue_study(
        "resume",
        argv,
        _may_change,
        "Continue a study: finished trials stay, interrupted ones go on from their last checkpoint, the confirmation "
        "goes on seed by seed, the report is built anew.",
    )


def _may_change() -> Mapping[str, Option]:
    """What a resumed study may change."""
    from study.planning.plan import OPTIONS

    again = Flag("", "try failed trials and runs again, under their own numbers and knobs; not those that diverged")
    retry = Option(("retry_failed",), bool, again, False)
    return {retry.key: retry, YES_LONG.key: YES_LONG} | {
        key: OPTIONS[key].continued()
        for key in (
            "trials",
            "stop_when",
            "address",
            "device",
            "max_concurrent",
            "max_retries",
            "max_failures",
            "trial_timeout",
            "max_hours",
            "storage",
            "skip_corrupt",
        )
    }
