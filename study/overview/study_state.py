"""How one study stands: its state, phases, best configuration, failures, and the process that drives it."""

import sqlite3
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from study import schema
from study.overview.driver import Driver, driver_of, last_sign
from study.overview.runs_done import Best, RunsDone, runs_done
from study.terminal.command_line import resume_command
from trainables.cckd.errors import UsageError
from trainables.cckd.files.sealed import read_sealed

#: Version of the JSON that `study.status --json` prints. It rises where a key changes its meaning.
STATUS_SCHEMA = 1

#: A study that says it runs and has no driver: the driver was killed.
STOPPED = "stopped"
#: A folder whose study.json cannot be read, or whose study.db is lost.
DAMAGED = "damaged"


@dataclass(frozen=True)
class PhaseState:
    """A phase: runs recorded, runs given up, and the most that are planned (None in studies of earlier versions)."""

    phase: str
    done: int
    failed: int
    planned: int | None


@dataclass(frozen=True)
class StudyState:
    """How a study stands.

    Attributes:
        folder: absolute path.
        state: running, interrupted, failed, done, STOPPED or DAMAGED.
        phase: the phase in which it is, or in which its driver died; None where it has ended or is damaged.
        data, space: names.
        started: ISO 8601 in UTC.
        seconds_left: by the driver's last word, less the time since then; None where it is not known.
        left_in_all: whether that is the time of all phases, or of the present one.
        last_sign: when a driver last wrote, ISO 8601 in UTC.
        driver: None where no process ever held the study.
        phases: those with runs, in their order.
        best: None before a trial is complete.
        unfinished: runs that were started and have not ended, with their recorded epochs; without a driver they wait.
        failures: one line per later run that was given up.
        warnings: what a reader of the numbers must know.
        fault: what of the folder could not be read; None where all was.
    """

    folder: str
    state: str
    phase: str | None = None
    data: str | None = None
    space: str | None = None
    started: str | None = None
    seconds_left: float | None = None
    left_in_all: bool = False
    last_sign: str | None = None
    driver: Driver | None = None
    phases: tuple[PhaseState, ...] = ()
    best: Best | None = None
    unfinished: Mapping[str, int | None] = field(default_factory=dict)
    failures: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    fault: str | None = None

    @property
    def resume(self) -> str | None:
        """The command that continues the study; None where it is done, damaged, or has a driver."""
        waits = self.state not in ("running", "done", DAMAGED)
        return resume_command(self.folder) if waits else None

    def to_json(self) -> dict[str, Any]:
        """Return plain types, as `study.status --json` prints them."""
        return asdict(self) | {"resume": self.resume}


def studies_in(folder: Path) -> list[Path]:
    """Return the study folders that lie in `folder`, by name.

    Raises:
        UsageError: there is no such folder.
    """
    if not folder.is_dir():
        what = "is no folder" if folder.exists() else "does not exist"
        raise UsageError(f"DIR must be a study folder or a folder of studies; {folder} {what}")
    return sorted(path.parent for path in folder.glob(f"*/{schema.MANIFEST}") if path.is_file())


def read_state(folder: Path) -> StudyState:
    """Read how the study in `folder` stands; a folder that cannot be read is DAMAGED and says why."""
    folder = folder.absolute()
    try:
        manifest, _ = read_sealed(folder / schema.MANIFEST, folder / schema.MANIFEST_BEFORE)
        return _state(folder, manifest)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return StudyState(str(folder), DAMAGED, fault=f"{schema.MANIFEST}: {type(error).__name__}: {error}")


def _state(folder: Path, manifest: dict[str, Any]) -> StudyState:
    driver, sign, left = driver_of(folder), last_sign(folder), manifest.get(schema.LEFT)
    state = str(manifest["status"])
    if state == "running" and not (driver and driver.alive):
        state = STOPPED
    fault, recorded = schema.lost_database(folder, manifest), RunsDone()
    if fault:
        state = DAMAGED
    else:
        try:
            recorded = runs_done(folder / schema.DATABASE, manifest.get("chosen_trial"))
        except (sqlite3.Error, OSError, ValueError, KeyError, TypeError) as error:
            fault = f"{schema.DATABASE}: {error}"
    return StudyState(
        folder=str(folder),
        state=state,
        phase=None if state == DAMAGED else manifest["phase"],
        data=str(manifest["data"]["spec"]),
        space=str(manifest["space"]["name"]),
        started=str(manifest["started"]),
        seconds_left=_seconds_left(left) if state == "running" else None,
        left_in_all=bool(left and left.get("all_phases")),
        last_sign=sign.isoformat(timespec="seconds") if sign else None,
        driver=driver,
        phases=() if state == DAMAGED else _phases(manifest, recorded),
        best=recorded.best,
        unfinished=recorded.unfinished,
        failures=tuple(map(str, manifest.get("failures", ()))),
        warnings=tuple(_warnings(manifest)),
        fault=fault,
    )


def _phases(manifest: Mapping[str, Any], recorded: RunsDone) -> tuple[PhaseState, ...]:
    planned: dict[str, int | None] = dict(manifest.get(schema.PLANNED) or {schema.PhaseName.SEARCH: None})
    if ablated := manifest.get(schema.ABLATED):
        # best1 has every seed, each change the first half of them.
        n_seeds, n_changes = len(ablated["seeds"]), len(ablated["changes"])
        planned[schema.PhaseName.ABLATION] = n_seeds + n_seeds // 2 * n_changes
    names = dict.fromkeys([*planned, *recorded.done, *recorded.failed])
    return tuple(PhaseState(name, recorded.done[name], recorded.failed[name], planned.get(name)) for name in names)


def _seconds_left(told: Mapping[str, Any] | None) -> float | None:
    if not told:
        return None
    since = datetime.now(UTC) - datetime.fromisoformat(told["at"])
    return max(0.0, (timedelta(seconds=told["seconds"]) - since).total_seconds())


def _warnings(manifest: Mapping[str, Any]) -> list[str]:
    # A sentence alone is how study.json had them before each had a reason.
    cautions = manifest.get(schema.CAUTIONS) or ()
    found = [str(one["text"] if isinstance(one, dict) else one) for one in cautions]
    recipe = manifest.get("recipe") or {}
    if too_short := recipe.get(schema.NOT_TRAINED_OUT):
        found.append(f"the students are not trained out: {too_short}")
    if not_measured := recipe.get(schema.LENGTH_NOT_MEASURED):
        found.append(str(not_measured))
    if reason := manifest["data"].get("fallback_reason"):
        found.append(f"{manifest['data']['fallback_from']} could not be had: {reason}")
    return found
