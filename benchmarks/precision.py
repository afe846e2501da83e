"""Does bfloat16 train as well as float32, and faster?

    python -m benchmarks.precision

The rungs la, cckd and acckd at their reference points, on the CPU, each trained in both on the same seeds; the paired
differences of test balanced accuracy get a t interval. The seconds of a run are those of its training epochs. Which is
faster on a processor is measured apart, in one process, by benchmarks/epoch.py: bare bfloat16 over bare channels_last.

Expected: no difference is shown; bfloat16 takes two thirds of the seconds on a processor with AMX, three quarters on
AMD's Zen 5. Every run is kept in benchmarks/results/precision-<data>-<hardware>-<date>.json.
"""

from collections.abc import Sequence

from benchmarks.seeds import Comparison, Contest, Way, run_comparison
from benchmarks.targets import prepare
from benchmarks.timing import Ratio
from trainables.cckd.data.load import LongTailData
from trainables.cckd.precision import PRECISIONS

RUNGS = ("la", "cckd", "acckd")


def main(argv: Sequence[str] | None = None) -> int:
    """Train every rung in both precisions on every seed, print the table, write the JSON; return the exit code."""
    found = run_comparison(argv, "precision", __doc__, RUNGS, _contest)
    print("\n".join(f"{rung}: bfloat16 takes {speed(found, rung)} of the seconds of float32" for rung in RUNGS))
    return 0


def _contest(data: LongTailData, workers: int) -> Contest:
    bundle = prepare(data, workers, targets=("in_fold",))[0]["in_fold"]
    return Contest({precision: Way(bundle, precision) for precision in PRECISIONS})


def speed(found: Comparison, rung: str) -> Ratio:
    """Seconds in bfloat16 over those in float32, seed by seed."""
    above, below = ([run.train_s for run in found.of(rung, way)] for way in ("bfloat16", "float32"))
    return Ratio.of(above, below)


if __name__ == "__main__":
    raise SystemExit(main())
