"""`python -m study.ingest SOURCE`: results of other tools as evidence for a warm start."""

from study.terminal.signals import command_of, end_process

if __name__ == "__main__":  # before the imports
    end_process(command_of("study.ingest"))

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from study.entry.continuation import report_faults
from study.entry.method_choice import asked_in, enter_asked
from study.terminal.command_line import command_line, version
from study.terminal.faults import Faults, printable
from study.terminal.output import outliving_its_reader
from trainables.cckd.errors import UsageError

if TYPE_CHECKING:
    from study.planning.points.ingestion import Ingested

#: What an item of a flag of pairs must read.
_PAIRS = {"--set": "KNOB=VALUE", "--rename": "THEIRS=KNOB"}

#: Trials that are named behind a reason on the terminal; the file names all of them.
_MOST_NAMED = 8


@outliving_its_reader()
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code (0 done, 2 wrong usage, or nothing in the source fits)."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        enter_asked(asked_in(argv))
        parser = _parser()
    except UsageError as error:
        return report_faults(error.faults)
    args = parser.parse_args(argv)
    try:
        return _ingest(args, command_line("ingest", argv))
    except UsageError as error:
        return report_faults(error.faults)


def _parser() -> argparse.ArgumentParser:
    from study.planning.plan import OPTIONS
    from study.planning.points.ingestion import VALUE_KINDS

    parser = argparse.ArgumentParser(
        prog=command_line("ingest"),
        description="Read finished trials of another tool, and write those that are points of a space as evidence, "
        "from which a study learns: study.run --warm-start FILE. What does not fit is named and left out.",
        allow_abbrev=False,
    )
    parser.add_argument("source", metavar="SOURCE", help="a CSV file, or an SQLite file of Optuna's")
    OPTIONS["space"].add_to(parser)
    OPTIONS["own_method"].add_to(parser)
    parser.add_argument("--study", metavar="NAME", help="study in an SQLite file (default: the only one)")
    parser.add_argument("--value", metavar="COLUMN", help="column of the values in a CSV file (default: value)")
    parser.add_argument(
        "--value-is",
        metavar="KIND",
        choices=VALUE_KINDS,
        default="accuracy",
        help=f"what the values are, {', '.join(VALUE_KINDS)}: the balanced accuracy on D_val as a fraction or in "
        "percent, or 1 minus it (default: accuracy)",
    )
    for flag, what in (
        ("--set", "a knob that the source does not have, and its value in all trials"),
        ("--rename", "a knob that has another name in the source"),
    ):
        parser.add_argument(
            flag, metavar=_PAIRS[flag], action="append", default=[], help=f"{what}; may be repeated (default: none)"
        )
    parser.add_argument("--out", metavar="FILE", help="the file to write (default: SOURCE's name, .evidence.json)")
    return parser


def _ingest(args: argparse.Namespace, command: str) -> int:
    from study.planning.manifest import now
    from study.planning.plan import OPTIONS
    from study.planning.points.evidence_file import evidence_text
    from study.planning.points.foreign_trials import read_source
    from study.planning.points.ingestion import ingest
    from study.planning.spaces import read_space
    from trainables.cckd.files.atomic import write_text

    faults = Faults()
    faults.found += [
        f"{flag} must be {what}; got ''"
        for flag, what, text in (("--out", "a new file", args.out), ("SOURCE", "a file that can be read", args.source))
        if text == ""
    ]
    faults.raise_any()
    fixed = _pairs("--set", args.set, faults)
    renamed = _pairs("--rename", args.rename, faults)
    with faults.gather():
        space = read_space(OPTIONS["space"].default if args.space is None else args.space)
        strange = [name for name in renamed.values() if name not in space.distributions]
        faults.found += [
            f"--rename must end in a knob of space {space.name}, one of {', '.join(space.distributions)}; got {name!r}"
            for name in strange
        ]
    with faults.gather():
        source = read_source(args.source, study=args.study, value=args.value)
        faults.found += [
            f"--rename must begin with a name that {source} has, one of {', '.join(source.columns)}; got {name!r}"
            for name in renamed
            if name not in source.columns
        ]
    out = Path(f"{Path(args.source).stem}.evidence.json" if args.out is None else args.out)
    if out.exists():
        faults.add(f"--out must be a new file; {out} exists")
    faults.raise_any()
    found = ingest(source.renamed(renamed, space.distributions), space, fixed, args.value_is)
    if not found.evidence:
        reasons = [f"{len(numbers)}: {reason}" for reason, numbers in found.reasons.items()]
        why = "; ".join([*reasons, *(f"not read: {what}" for what in found.ignored)]) or "it has no trial"
        raise UsageError(f"{source} has no trial that is a point of space {space.name} with a value ({why})")
    made = {"command": command, "version": version(), "at": now()}
    text = evidence_text(source, space, found, value_is=args.value_is, fixed=fixed, renamed=renamed, made=made)
    try:
        write_text(out, text)
    except OSError as error:
        raise UsageError(f"--out must be a file that can be written; {out}: {error.strerror}") from error
    print(printable("\n".join(_told(found, f"{len(source.trials)} trials of {source} for space {space.name}"))))
    print(f"use      {command_line('run', ['--space', args.space or space.name, '--warm-start', str(out)])}")
    return 0


def _told(found: "Ingested", of: str) -> list[str]:
    lines = [f"evidence {len(found.evidence)} of {of}"]
    for reason, numbers in found.reasons.items():
        more = ", ..." if len(numbers) > _MOST_NAMED else ""
        named = ", ".join(map(str, numbers[:_MOST_NAMED])) + more
        lines.append(f"left out {len(numbers)}: {reason} ({named})")
    lines += [f"ignored  {what} ({n})" for what, n in found.ignored.items()]
    lines.append("NOTE     that data, split, student, epochs and teacher were those of the study to come is your word")
    return lines


def _pairs(flag: str, items: Sequence[str], faults: Faults) -> dict[str, str]:
    """Read the items of a flag of _PAIRS."""
    found: dict[str, str] = {}
    for item in items:
        key, equals, value = item.partition("=")
        if not (key and equals and value):
            faults.add(f"{flag} must read {_PAIRS[flag]}; got {item!r}")
        elif key in found:
            faults.add(f"{flag} {key} must be given once; got it again as {item!r}")
        else:
            found[key] = value
    return found
