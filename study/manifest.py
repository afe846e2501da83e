"""study.json: what was planned, on what, and what happened; written whole at the start, then amended."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from search_spaces import SearchSpace
from study import schema
from study.hardware import git_commit, hardware, versions
from study.plan import StudyPlan
from study.preflight import Checked
from trainables.cckd.data import load_data, parse_data
from trainables.cckd.errors import DataError, UsageError
from trainables.cckd.rungs import rungs
from trainables.cckd.teacher.spec import TeacherSpec, check_teacher


def first_manifest(checked: Checked, command: str) -> dict[str, Any]:
    """The manifest of a study that has not begun."""
    plan, data = checked.plan, checked.data
    return {
        "schema": schema.SCHEMA_VERSION,
        "name": checked.folder.name,
        "status": "running",
        "phase": "teacher",
        "command": command,
        "started": now(),
        "ended": None,
        "space": checked.space.to_json(),
        "plan": plan.to_json() | {"rungs": list(rungs(plan.epochs))},
        "data": {
            "name": data.spec.name,
            "spec": str(data.spec),
            "classes": list(data.class_names),
            "n_train": list(data.counts),
            "n_val": class_sizes(data.val.labels.tolist(), len(data.class_names)),
            "n_test": class_sizes(data.test.labels.tolist(), len(data.class_names)),
            "split": data.split,
            "selected_on": data.selected_on,
            "source": data.source,
            "sha256": data.sha256,
            "image_shape": list(data.image_shape),
            "fallback_from": plan.fallback_from,
            "fallback_reason": plan.fallback_reason,
        },
        "groups": data.groups.to_dict(),
        "teacher": None,
        "student": {"name": plan.student, "n_parameters": None},
        "versions": versions(),
        "git_commit": git_commit(),
        "hardware": hardware(plan.device),
        "device": plan.device,
        "workers": None,
        "cpus_per_trial": plan.cpus_per_trial,
        "counts": {"complete": 0, "pruned": 0, "fail": 0, "running": 0},
        "confirm_entries": {},
        "failures": [],
        "starts": [{"started": now(), "command": command}],
    }


def checked_again(folder: Path, manifest: dict[str, Any]) -> Checked:
    """Rebuild what a resumed study needs from its manifest; the data must still be the same.

    Raises:
        UsageError: the manifest is not as it was written, data or teacher can not be had any more, or the data
            set's content has changed.
    """
    try:
        plan = StudyPlan.from_json({key: value for key, value in manifest["plan"].items() if key != "rungs"})
        space = SearchSpace.from_json(manifest["space"])
        sha256 = str(manifest["data"]["sha256"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UsageError(
            f"{folder / schema.MANIFEST} must be as the study wrote it; it is altered or of another version: "
            f"{type(error).__name__}: {error}"
        ) from error
    spec = parse_data(plan.data)
    data = load_data(spec, data_root=Path(plan.data_root), split=plan.split)
    if data.sha256 != sha256:
        raise DataError(
            f"the study in {folder} was begun on other images: data set {spec} had SHA-256 "
            f"{sha256[:12]}, {data.source} gives {data.sha256[:12]}"
        )
    teacher = TeacherSpec(plan.teacher, plan.teacher_form, plan.teacher_size, plan.teacher_views)
    return Checked(plan, space, data, teacher, check_teacher(teacher), folder)


def class_sizes(labels: list[int], n_classes: int) -> list[int]:
    """Images of each class, length C."""
    return [labels.count(class_id) for class_id in range(n_classes)]


def now() -> str:
    """The time in UTC, ISO 8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
