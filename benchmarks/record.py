"""What a benchmark found, kept as JSON under the name of the hardware it ran on."""

import datetime
import json
import os
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.goals import Row
from study.planning.manifest import git_commit, hardware, versions

#: Where results are kept; CCKD_RESULTS names another folder, as a trial of a script has it.
RESULTS = Path(os.environ.get("CCKD_RESULTS") or Path(__file__).resolve().parent / "results")


def write_results(
    folder: Path, rows: Sequence[Row], raw: dict[str, Any], *, load_before: float, what: str = "", device: str = "cpu"
) -> Path:
    """Write one JSON: the machine, its load before the run, versions, commit, goals, raw numbers; return its path.

    Args:
        folder: made where absent.
        rows: what was measured; kept with the goals of the day, by which nothing is judged later.
        raw: anything JSON takes.
        load_before: the machine's, before the run.
        what: begins the file's name.
        device: 'cpu' or 'cuda', where it was measured; a GPU is then part of the machine.
    """
    machine = hardware(device)
    today = datetime.datetime.now().date().isoformat()
    document = {
        "date": today,
        "hardware": machine,
        "load_before": load_before,
        "versions": versions(),
        "commit": git_commit(),
        "goals": [
            asdict(row) | {"goal": None if row.goal is None else asdict(row.goal), "verdict": row.verdict}
            for row in rows
        ],
        "raw": raw,
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "-".join(part for part in (what, hardware_name(machine), f"{today}.json") if part)
    path.write_text(json.dumps(document, indent=1) + "\n")
    return path


def hardware_name(machine: dict[str, Any]) -> str:
    """A file name's worth of the machine: processor, cores, and the GPU where there is one."""
    parts = [machine["cpu"], f"{machine['cores']}-cores", machine["gpu"] or ""]
    return re.sub(r"[^a-z0-9]+", "-", " ".join(parts).lower()).strip("-")
