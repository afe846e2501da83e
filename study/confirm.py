"""`python -m study.confirm DIR`: confirm more than the study did: more trials, seeds or cuts, or a longer training."""

from study.terminal.signals import command_of, end_process

if __name__ == "__main__":  # before the imports
    end_process(command_of("study.confirm"))

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from study.entry.continuation import YES_LONG, continue_study
from study.planning.flags import Option


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; exit codes as for `study.run`."""
    return continue_study(
        "confirm",
        argv,
        _may_change,
        "Train the finalists and the ladder afresh on shared seeds and open the test set for them; runs that exist "
        "already are kept, so more entries, rungs, seeds, cuts or lengths only add to them.",
        unasked=MappingProxyType({YES_LONG.key: False}),
    )


def _may_change() -> Mapping[str, Option]:
    """What the confirmation may change."""
    from study.planning.plan import OPTIONS

    planned = ("long_seeds", "data_seeds", "ladder", "tuned_baselines", "max_hours", "address")
    return {
        "confirm_top": OPTIONS["confirm_top"].continued(name="top"),
        "confirm_seeds": OPTIONS["confirm_seeds"].continued(name="seeds", ge=1, help="fresh seeds per confirmed entry"),
        "epochs_factor": OPTIONS["epochs_factor"].continued(
            ge=2, help="train every confirmed entry again at F times the epochs, on every seed"
        ),
        **{key: OPTIONS[key].continued() for key in planned},
        YES_LONG.key: YES_LONG,
    }
