"""`python -m study.ablate DIR`: train best1 without each setting and each part, to see what they buy."""

from study.terminal.signals import command_of, end_process

if __name__ == "__main__":  # before the imports
    end_process(command_of("study.ablate"))

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from study.entry.continuation import YES_LONG, continue_study
from study.planning.flags import Flag, Option

#: Seeds per change where the study planned none.
_SEEDS = 3


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; exit codes as for `study.run`."""
    return continue_study(
        "ablate",
        argv,
        _may_change,
        "Train best1 again with one knob put back to its reference value, or without one part of the method, and best1 "
        "itself beside it; runs that exist already are kept, so more seeds or knobs only add to them.",
        unplanned=MappingProxyType({"ablation_seeds": _SEEDS}),
        unasked=MappingProxyType({"ablation_on_test": False, YES_LONG.key: False}),
    )


def _may_change() -> Mapping[str, Option]:
    """What the ablation may change; two of its flags are no flags of `study.run`, which knows no best1."""
    from study.planning.plan import OPTIONS

    knobs = Flag("LIST", "knobs that are put back too, beside those that the search shows to matter", name="knobs")
    on_test = Flag("", "judge the runs on the test set, not on D_val; the changes are trained anew", name="test")
    return {
        "ablation_seeds": OPTIONS["ablation_seeds"].continued(
            name="seeds", ge=1, help=f"seeds per change; best1 has twice as many; {_SEEDS} if none are planned"
        ),
        "ablation_knobs": Option(("ablation_knobs",), tuple[str, ...], knobs, ()),
        "ablation_on_test": Option(("ablation_on_test",), bool, on_test, False),
        **{key: OPTIONS[key].continued() for key in ("max_hours", "address")},
        YES_LONG.key: YES_LONG,
    }
