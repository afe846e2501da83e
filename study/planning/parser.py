"""The parsers of the commands. Their flags derive from the plan; a text is judged later, with all others at once."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from study.planning.flags import Option
from study.planning.plan import OPTIONS
from study.terminal.command_line import SCRIPT, command_line, version
from study.terminal.faults import Faults
from trainables.cckd.errors import UsageError

_EXAMPLES = (
    ("--space", "acckd_full"),
    ("--space", "acckd_core", "--data", "fashion_mnist_lt:ir=100"),
    ("--space", "acckd_smoke", "--data", "digits_lt", "--confirm-seeds", "2"),
    ("--space", "acckd_full", "--address", "auto", "--max-concurrent", "16"),
)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of `study.run`; every value stays a text, so that one message can name all faults."""
    examples = "\n".join(f"  {command_line('run', flags)}" for flags in _EXAMPLES)
    parser = argparse.ArgumentParser(
        prog=command_line("run"),
        description="Study the hyperparameters of class-conditional knowledge distillation on a\n"
        "long-tailed image set: search on a validation set, confirm on the test set with\n"
        "fresh seeds, report.",
        epilog=f"examples:\n{examples}\n\n"
        "exit codes: 0 done, 1 the study failed, 2 wrong usage, 130 interrupted (the\nresume command is printed)\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    group: argparse._ActionsContainer = parser
    for option in OPTIONS.values():
        if option.flag.group:
            group = parser.add_argument_group(option.flag.group)
        option.add_to(group)
        if option.key == "storage":
            group.add_argument("--out", default="runs", metavar="DIR", help="folder of study folders (default: runs)")
            group.add_argument("--name", metavar="NAME", help="study folder (default: <space>-<data>-<timestamp>)")
    group = parser.add_argument_group("how it starts")
    group.add_argument("--yes-long", action="store_true", help="start although the study takes more than 24 hours")
    group.add_argument(
        "--config",
        metavar="FILE",
        help="a study as a YAML file, flags by their names; flags override it (default: none)",
    )
    group.add_argument("--write-config", action="store_true", help="print the study as such a file, resolved; stop")
    group.add_argument("--dry-run", action="store_true", help="show space, budget, data counts and an estimate; stop")
    group.add_argument("--list-spaces", action="store_true", help="list the search spaces; stop")
    group.add_argument("--list-data", action="store_true", help="list the data sets; stop")
    parser.add_argument("--version", action="version", version=f"{SCRIPT} {version()}")
    return parser


def parse(argv: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Return the arguments of `study.run`, those of the file that `--config` names included, and the unknown ones.

    Raises:
        UsageError: the file cannot be read, or has keys or values that no flag takes.
    """
    parser = build_parser()
    args, unknown = parser.parse_known_args(argv)
    if args.config is None:
        return args, unknown
    if not args.config:
        raise UsageError("--config must be a YAML file; got ''")
    from study.planning.config_file import config_flags, read_config  # loads Optuna, which `--help` need not do

    path = Path(args.config)
    return parser.parse_known_args([*config_flags(read_config(path), path, args), *argv])


def read_flags(args: argparse.Namespace, options: Mapping[str, Option], faults: Faults) -> dict[str, Any]:
    """Return the value of every flag that was given and is well-formed, by its key.

    Args:
        args: parsed arguments.
        options: the flags among them.
        faults: takes one fault for every flag that is not well-formed.
    """
    given = {key: getattr(args, key) for key in options}
    read = {key: options[key].read(text, faults) for key, text in given.items() if text is not None}
    return {key: value for key, value in read.items() if value is not None}
