"""The command line of `python -m study.run`: flags, defaults, help. Values are judged in `preflight`, all at once."""

import argparse
import shlex
import sys
from collections.abc import Sequence

EXAMPLE = """\
examples:
  python -m study.run --space acckd_full
  python -m study.run --space acckd_core --data fashion_mnist_lt:ir=100
  python -m study.run --space acckd_smoke --data digits_lt --confirm-seeds 2
  python -m study.run --space acckd_full --address auto --max-concurrent 16

exit codes: 0 done, 1 the study failed, 2 wrong usage, 130 interrupted (the
resume command is printed)
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser; every value stays a string, so that preflight can name all faults in one message."""
    parser = argparse.ArgumentParser(
        prog="python -m study.run",
        description="Study the hyperparameters of class-conditional knowledge distillation on a\n"
        "long-tailed image set: search on a validation set, confirm on the test set with\n"
        "fresh seeds, report.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    what = parser.add_argument_group("what is studied")
    what.add_argument(
        "--space",
        default="acckd_full",
        metavar="S",
        help="search space: a name, a FILE.yaml or module:ATTRIBUTE (default: %(default)s)",
    )
    what.add_argument(
        "--data",
        metavar="NAME[:key=value,...]",
        help="long-tailed data set (default: fashion_mnist_lt; digits_lt where that cannot be had)",
    )
    add_data_root(what)
    what.add_argument("--split", metavar="MODE", help="holdout, split_test, own or paper (default: the set's)")
    what.add_argument(
        "--skip-corrupt", action="store_true", help="leave out image files that are missing or broken, and count them"
    )
    what.add_argument(
        "--data-path",
        default="auto",
        metavar="P",
        help="image files: resident (decoded once, in memory), streamed, or auto by their size (default: %(default)s)",
    )
    what.add_argument("--teacher", default="tf_efficientnet_lite0", metavar="NAME", help="default: %(default)s")
    what.add_argument(
        "--teacher-form",
        default="linear_probe",
        metavar="FORM",
        help="linear_probe, ncm, zero_shot, head, checkpoint (default: %(default)s)",
    )
    what.add_argument("--teacher-size", metavar="PX", help="teacher input size (default: the model's; 96 for small)")
    what.add_argument("--teacher-views", default="8", metavar="V", help="views per image (default: %(default)s)")
    what.add_argument("--teacher-weights", metavar="FILE", help="file of its weights (default: the published ones)")
    what.add_argument(
        "--teacher-embeddings",
        metavar="FILE",
        help="class embeddings of zero_shot, safetensors or npz (default: open_clip's text encoder)",
    )
    what.add_argument(
        "--teacher-prior", default="val", metavar="P", help="val, train, uniform, fixed_point (default: %(default)s)"
    )
    what.add_argument(
        "--teacher-prior-smoothing", default="0", metavar="X", help="uniform share (default: %(default)s)"
    )
    what.add_argument(
        "--teacher-targets", default="in_fold", metavar="T", help="in_fold or out_of_fold (default: %(default)s)"
    )
    what.add_argument("--teacher-folds", metavar="K", help="folds of out_of_fold (default: 5)")
    what.add_argument("--student", default="resnet8_cifar", metavar="NAME", help="timm name (default: %(default)s)")
    what.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="overrides",
        help="fix a knob or training setting, e.g. lr=0.1 (a searched knob is refused); may be repeated",
    )

    how = parser.add_argument_group("how it is searched")
    how.add_argument("--trials", metavar="N", help="total number of trials (default: the space's budget)")
    how.add_argument("--epochs", metavar="N", help="epochs a trial (default: the data set's)")
    how.add_argument(
        "--sampler",
        default="sobol+tpe",
        metavar="S",
        help="sobol+tpe, tpe, random, qmc, gp, grid (default: %(default)s)",
    )
    how.add_argument(
        "--objectives",
        default="all",
        metavar="O",
        help="all, or all and a second one: all,many all,medium all,few all,seconds; of these the knee and the ends of "
        "the front are confirmed (default: %(default)s)",
    )
    how.add_argument(
        "--pruner", metavar="P", help="none, median, asha, hyperband (default: median; none with two objectives)"
    )
    how.add_argument(
        "--finalists",
        metavar="F",
        help="best trials trained again to choose best1 (default: 5; 0 with two objectives)",
    )
    how.add_argument(
        "--finalist-seeds", default="3", metavar="S", help="fresh seeds a finalist, 0 to skip (default: %(default)s)"
    )
    how.add_argument("--confirm-top", metavar="K", help="best trials to confirm (default: 1; 3 with two objectives)")
    how.add_argument(
        "--confirm-seeds",
        default="6",
        metavar="S",
        help="fresh seeds an entry, 0 to skip (default: %(default)s)",
    )
    add_tuned_baselines(how)
    how.add_argument(
        "--data-seeds",
        default="1",
        metavar="R",
        help="cuts of the long tail to confirm on, the study's own among them (default: %(default)s)",
    )
    how.add_argument(
        "--warm-start",
        metavar="DIR",
        help="study folder whose complete trials the sampler learns from (same data, objective and knobs); they do not "
        "count as trials of this one (default: none)",
    )
    how.add_argument(
        "--guard",
        action="append",
        default=[],
        metavar="GROUP=POINTS",
        dest="guards",
        help="most points of recall on D_val that GROUP (all, many, medium, few) may lose to the reference point, e.g. "
        "many=1; may be repeated",
    )
    how.add_argument("--seed", default="0", metavar="N", help="study seed (default: %(default)s)")

    where = parser.add_argument_group("where it runs")
    where.add_argument("--device", default="auto", metavar="D", help="auto, cpu, cuda (default: %(default)s)")
    where.add_argument(
        "--precision",
        default="auto",
        metavar="P",
        help="of students: float32, bfloat16, auto for bfloat16 where it is faster: on GPUs and, without a cluster, on "
        "processors with AMX or from AMD's Zen 5 on (default: %(default)s)",
    )
    where.add_argument(
        "--address",
        default="local",
        metavar="A",
        help="Ray cluster: local (a private one), auto (the one on this machine) or HOST:PORT; for a remote one, run "
        "this on it with `ray job submit` (default: %(default)s)",
    )
    where.add_argument("--cpus-per-trial", default="1", metavar="X", help="default: %(default)s")
    where.add_argument("--gpus-per-trial", metavar="X", help="may be a fraction (default: 0 on cpu, 1/K on cuda)")
    where.add_argument(
        "--trials-per-process",
        default="1",
        metavar="K",
        help="trials that one process trains side by side, on a GPU that they share (default: %(default)s)",
    )
    where.add_argument("--max-concurrent", metavar="N", help="concurrent trials (default: as many as fit)")
    where.add_argument(
        "--max-retries", default="2", metavar="N", help="times a crashed trial is tried again (default: %(default)s)"
    )
    where.add_argument(
        "--max-failures",
        metavar="N",
        help="trials and later runs that may fail before the study ends (default: a quarter of the trials, at least 3)",
    )
    where.add_argument(
        "--trial-timeout",
        default="1800",
        metavar="S",
        help="seconds without a report after which a trial hangs and is ended, 0 for never (default: %(default)s)",
    )
    where.add_argument(
        "--storage",
        metavar="URI",
        help="checkpoints and Ray's files: a folder that every node sees, or s3://..., gs://... (default: the study "
        "folder)",
    )
    where.add_argument("--out", default="runs", metavar="DIR", help="folder of study folders (default: %(default)s)")
    where.add_argument("--name", metavar="NAME", help="study folder (default: <space>-<data>-<timestamp>)")

    show = parser.add_argument_group("what is shown")
    show.add_argument("--verbose", action="store_true", help="let Ray speak too")
    show.add_argument("--dry-run", action="store_true", help="show space, budget, data counts and an estimate; stop")
    show.add_argument("--list-spaces", action="store_true", help="list the search spaces; stop")
    show.add_argument("--list-data", action="store_true", help="list the data sets; stop")
    return parser


def add_data_root(parser: argparse._ActionsContainer) -> None:
    """Add `--data-root`, under which the teacher's cache lies too."""
    parser.add_argument("--data-root", default="data", metavar="DIR", help="where data sets lie (default: %(default)s)")


def add_tuned_baselines(parser: argparse._ActionsContainer) -> None:
    """Add `--tuned-baselines`, alone or with a list."""
    parser.add_argument(
        "--tuned-baselines",
        nargs="?",
        const="la,kd",
        metavar="LIST",
        help="tune rivals too, at the budget of the search, and hold the best against them: ce, la, kd, cckd, "
        "acckd_no_fi; la,kd without a list (default: none)",
    )


def baseline_names(text: str | None) -> tuple[str, ...]:
    """The names that `--tuned-baselines` was given, each once; none where it is absent."""
    return () if text is None else tuple(dict.fromkeys(text.split(",")))


def command_line(argv: Sequence[str] | None) -> str:
    """The command as a user can paste it."""
    return shlex.join(["python", "-m", "study.run", *(sys.argv[1:] if argv is None else argv)])


def resume_command(folder: object) -> str:
    """The command that continues the study in `folder`."""
    return f"python -m study.resume {shlex.quote(str(folder))}"
