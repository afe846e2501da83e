"""How long does a report take, and how much memory?

    python -m benchmarks.report_time                # 500 trials of acckd_full, 6 seeds, 10 classes
    python -m benchmarks.report_time --trials 1000 --classes 200

A simulated study folder of the tests' making (a quarter of the trials pruned) is reported on by `python -m
analysis.report` in a process of its own; wall time, processor time, the largest process's peak memory and the size of
the page are kept in benchmarks/results. The report without a flag has goals for all but the processor time.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pyarrow import parquet

from benchmarks.goals import Row
from benchmarks.record import RESULTS, write_results
from benchmarks.timing import Ratio
from search_spaces.acckd import ACCKD_FULL
from study.schema import EPOCHS
from tests.analysis.simulation import Simulation, write_study

#: What is measured without a flag.
TRIALS, FEW_CLASSES = 500, 10
#: Starts a command and tells what it took. Linux counts what the starting process holds among the started one's peak
#: memory, so that one starts it which holds next to nothing.
_WATCH = """
import json, resource, subprocess, sys, time
started = time.perf_counter()
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
wall, used = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps({"wall_s": wall, "cpu_s": used.ru_utime + used.ru_stime, "peak_gb": used.ru_maxrss / 2**20}))
sys.exit(code)
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print one line, write the JSON; return 1 where a goal is not met."""
    what = (__doc__ or "").split("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report_time", description=what)
    parser.add_argument("--trials", type=int, default=TRIALS, help="default: %(default)s")
    parser.add_argument("--classes", type=int, help="classes of a long tail; default: those of the simulation")
    args = parser.parse_args(argv)
    load_before = os.getloadavg()[0]
    found = measure(args.trials, args.classes)
    print(
        f"{found['trials']} trials, {found['epoch_rows']} epoch rows, {found['classes']} classes: "
        f"{found['wall_s']:.1f} s, {found['cpu_s']:.1f} s of processor time, "
        f"{found['peak_gb']:.2f} GB, page {found['page_mb']:.1f} MB"
    )
    judged = rows(found)
    print(f"results: {write_results(RESULTS, judged, found, load_before=load_before, what='report-time')}")
    return int(any(row.verdict == "not met" for row in judged))


def rows(found: dict[str, Any]) -> list[Row]:
    """Seconds, memory and page of the report."""
    usual = found["classes"] == FEW_CLASSES
    of = f"report of {found['trials']} trials" + ("" if usual else f" of {found['classes']} classes")
    measured = {"seconds": found["wall_s"], "GB": found["peak_gb"], "page, MB": found["page_mb"]}
    return [Row(f"{of}, {unit}", Ratio.single(value)) for unit, value in measured.items()]


def simulated(n_trials: int, n_classes: int | None = None) -> Simulation:
    """Return the study to report on; with `n_classes`, these have from 500 down to 5 training images."""
    plan = Simulation(space=ACCKD_FULL, n_trials=n_trials, n_pruned=n_trials // 4)
    if n_classes is None:
        return plan
    counts = [round(500 * 0.01 ** (k / (n_classes - 1))) for k in range(n_classes)]
    return replace(plan, classes=[f"class {k}" for k in range(n_classes)], counts=counts)


def measure(n_trials: int, n_classes: int | None = None) -> dict[str, Any]:
    """Write a study folder, report on it once, and return what that took."""
    plan = simulated(n_trials, n_classes)
    with tempfile.TemporaryDirectory() as scratch:
        folder = write_study(Path(scratch) / "study", plan)
        epoch_rows = parquet.read_metadata(folder / EPOCHS).num_rows
        taken = watched([sys.executable, "-m", "analysis.report", str(folder)])
        page = (folder / "report" / "index.html").stat().st_size
    shape = {"trials": n_trials, "epoch_rows": epoch_rows, "classes": len(plan.classes)}
    return {**shape, **taken, "page_mb": page / 1e6}


def watched(command: Sequence[str]) -> dict[str, float]:
    """Run a command and return its wall and processor seconds, and the peak memory (GB) of its largest process."""
    ran = subprocess.run([sys.executable, "-c", _WATCH, *command], stdout=subprocess.PIPE, text=True)
    if ran.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {ran.returncode}")
    taken: dict[str, float] = json.loads(ran.stdout)
    return taken


if __name__ == "__main__":
    sys.exit(main())
