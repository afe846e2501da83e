"""What the guards (`--guard`) did to the choice of best1, in a sentence; nothing where there are none."""

from dataclasses import dataclass

from analysis.reading.study_data import Study
from analysis.reading.wording import listing, plural


@dataclass(frozen=True)
class _Judged:
    """What the search's end said of the guards: how many complete trials keep them, or why they decided nothing."""

    kept: int
    complete: int
    unmet: str | None


def told_guards(study: Study) -> list[str]:
    """How many trials keep the guards, where at least one does."""
    judged = _judged(study)
    if judged is None or judged.unmet:
        return []
    return [
        f"Only configurations that on validation {listing(_guards(study))} could become best1: {judged.kept} of "
        f"{plural(judged.complete, 'complete trial')} do."
    ]


def guard_warnings(study: Study) -> list[str]:
    """Why best1 was chosen without the guards, where it was."""
    judged = _judged(study)
    if judged is None or not judged.unmet:
        return []
    return [f"The guard did not decide: {judged.unmet}, so best1 is chosen as if there were none."]


def _judged(study: Study) -> _Judged | None:
    """As the manifest has it; a stranger's may hold anything."""
    found = study.manifest.get("guards")
    if not isinstance(found, dict) or not _guards(study):
        return None
    if type(found.get("unmet")) is str:
        return _Judged(0, 0, found["unmet"])
    n_kept, n_complete = found.get("kept"), found.get("complete")
    return _Judged(n_kept, n_complete, None) if isinstance(n_kept, int) and isinstance(n_complete, int) else None


def _guards(study: Study) -> list[str]:
    guards = study.manifest["plan"].get("guards")
    wanted = guards.items() if isinstance(guards, dict) else ()
    return [
        f"{'gain at least' if points < 0 else 'lose at most'} {_points(abs(points))} of {group.capitalize()}"
        + (" to the reference point" if place == 0 else "")
        for place, (group, points) in enumerate(wanted)
        if type(points) is float
    ]


def _points(size: float) -> str:
    return "1 point" if size == 1 else f"{size:g} points"
