"""What the commands that go on with a study share: judging their numbers, changing its plan, seeing it through."""

import math
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def faults_of(address: str | None, **counts: int | None) -> list[str]:
    """A fault for an --address that is none, and for every flag that was given a number below 1."""
    from study.execution.cluster import LOCAL, address_fault

    wrong = address_fault(address or LOCAL)
    return [
        *(
            f"{_flag(name)} must be a whole number >= 1; got {value}"
            for name, value in counts.items()
            if value is not None and value < 1
        ),
        *([wrong] if wrong else []),
    ]


def faults_below_zero(**values: float | None) -> list[str]:
    """A fault for every flag that was given a number below 0, or none at all."""
    return [
        f"{_flag(name)} must be a number from 0; got {value}"
        for name, value in values.items()
        if value is not None and not 0 <= value < math.inf
    ]


def continue_study(
    module: str, argv: Sequence[str] | None, folder: str, faults: Sequence[str], changes: Mapping[str, Any]
) -> int:
    """See the study in `folder` through, as it was planned but for `changes`; return an exit code of `study.run`'s.

    Args:
        module: the command, which study.json notes with its arguments.
        argv: those, None for the process's own.
        folder: of the study.
        faults: what is wrong with the arguments; where there is any, the study is left alone.
        changes: fields of its plan; one that is None stays.
    """
    if faults:
        return report_faults(faults)
    from study.lock import check_free
    from study.signals import interrupted_early
    from trainables.cckd.errors import UsageError

    command = shlex.join(["python", "-m", module, *(sys.argv[1:] if argv is None else argv)])
    try:
        check_free(Path(folder))
        from study.phases.session import resume

        given = {name: new for name, new in changes.items() if new is not None}
        return resume(Path(folder), command, build_report, **given)
    except UsageError as error:
        return report_faults(error.faults)
    except KeyboardInterrupt:
        return interrupted_early(Path(folder))


def build_report(folder: Path) -> Path:
    """Build the report of the study in `folder`; its packages take a second to import, which no start waits for."""
    from analysis.report import build_report

    return build_report(folder)


def report_faults(faults: Sequence[str]) -> int:
    """Print every fault in one message and return the exit code of wrong usage."""
    from study.terminal.faults import complain

    complain(faults)
    return 2


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
