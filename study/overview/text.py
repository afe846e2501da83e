"""Studies, and one study, as text for a terminal or a pipe."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from study.overview.runs_done import Best
from study.overview.study_state import DAMAGED, PhaseState, StudyState
from study.terminal.progress import duration

_HEAD = ("study", "state", "phase", "runs", "best", "left", "last sign", "driver")

#: What is longer ago is told by its date.
_RECENT = timedelta(days=2)

#: Runs and failures that are named; the rest are counted.
_MOST_NAMED = 5


def table(states: Sequence[StudyState]) -> str:
    """Return one row per study, the columns aligned."""
    rows = [_HEAD, *map(_row, states)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def details(state: StudyState) -> str:
    """Return what is known of one study, one line per thing."""
    lines = [("study", state.folder), ("state", _standing(state))]
    if state.data:
        lines.append(("data", f"{state.data}, space {state.space}"))
    width = max((len(phase.phase) for phase in state.phases), default=0)
    ended = state.state == "done"
    lines += [("phase", f"{phase.phase:<{width}}  {_runs(phase, ended=ended)}") for phase in state.phases]
    if state.best:
        lines.append(("best", f"trial {state.best.trial}: {_told(state.best)}"))
    lines += [("now" if state.state == "running" else "waits", line) for line in _unfinished(state)]
    if state.seconds_left is not None:
        what = "in all" if state.left_in_all else "in this phase"
        lines.append(("left", f"about {duration(state.seconds_left)} {what}"))
    lines += [("NOTE", warning) for warning in state.warnings]
    lines += [("failed", line) for line in _first(state.failures)]
    if state.fault and state.state != DAMAGED:
        lines.append(("NOTE", f"not read: {state.fault}"))
    if state.resume:
        lines.append(("resume", state.resume))
    return "\n".join(f"{label:<8} {text}" for label, text in lines)


def _row(state: StudyState) -> tuple[str, ...]:
    now = next((phase for phase in state.phases if phase.phase == state.phase), None)
    driver = state.driver
    return (
        Path(state.folder).name,
        state.state,
        state.phase or "",
        _runs(now) if now else "",
        f"{_value(state.best)}" if state.best else "",
        "" if state.seconds_left is None else duration(state.seconds_left),
        _ago(state.last_sign),
        f"{driver.host} {driver.pid}" if driver and driver.alive else "",
    )


def _standing(state: StudyState) -> str:
    driver, sign = state.driver, _ago(state.last_sign)
    in_phase = f" in phase {state.phase}" if state.phase else ""
    if state.state == DAMAGED:
        return f"{DAMAGED}: {state.fault}"
    if driver and driver.alive:
        return f"{state.state}{in_phase}; process {driver.pid} on {driver.host}, last sign {sign}"
    gone = f"; its last driver was process {driver.pid} on {driver.host}" if driver else ""
    return f"{state.state}{in_phase}{gone}, last sign {sign}"


def _runs(phase: PhaseState, *, ended: bool = False) -> str:
    planned = "" if phase.planned is None or ended else f"/{phase.planned}"
    failed = f", {phase.failed} failed" if phase.failed else ""
    return f"{phase.done}{planned}{failed}"


def _value(best: Best) -> str:
    error = "" if best.standard_error is None else f" ± {best.standard_error:.3f}"
    return f"{best.value:.3f}{error}"


def _told(best: Best) -> str:
    if not best.runs:
        return f"{_value(best)} on D_val in the search, the highest of all trials and so too high"
    runs = "one fresh run" if best.runs == 1 else f"{best.runs} fresh runs (mean and standard error)"
    return f"{_value(best)} on D_val over {runs}"


def _unfinished(state: StudyState) -> list[str]:
    return _first([f"{name}: {n} epochs" if n is not None else name for name, n in state.unfinished.items()])


def _first(lines: Sequence[str]) -> list[str]:
    more = len(lines) - _MOST_NAMED
    return [*lines[:_MOST_NAMED], *([f"and {more} more"] if more > 0 else [])]


def _ago(moment: str | None) -> str:
    if moment is None:
        return "never"
    if _now() - datetime.fromisoformat(moment) > _RECENT:
        return f"on {moment[:10]}"
    return f"{duration((_now() - datetime.fromisoformat(moment)).total_seconds())} ago"


def _now() -> datetime:
    return datetime.now(UTC)
