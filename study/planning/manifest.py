"""study.json: what was planned, on what, and what happened; written whole at the start, then amended."""

import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search_spaces.space import SearchSpace
from study import schema
from study.planning.checked import Checked, check_teacher_fit, watched_load
from study.planning.cores import allotted_cores
from study.planning.plan import StudyPlan
from study.planning.preview.training_length import training_length
from study.terminal import command_line
from trainables.cckd.data.file_record import files_lost
from trainables.cckd.data.load import LongTailData, without
from trainables.cckd.errors import DataError, TeacherError, UsageError
from trainables.cckd.methods import OWN, OWN_SOURCE
from trainables.cckd.students.cifar_sizes import N_BLOCKS, cifar_parameters
from trainables.cckd.teacher.fit.class_order import output_names
from trainables.cckd.teacher.spec import check_teacher

#: Skipped files that study.json names; it counts them all.
_MOST_NAMED = 100

_PACKAGES = ("torch", "torchvision", "timm", "ray", "optuna", "numpy", "pandas", "scikit-learn", "scipy")


def first_manifest(checked: Checked, command: str) -> dict[str, Any]:
    """The manifest of a study that has not started."""
    plan, data = checked.plan, checked.data
    return {
        "schema": schema.SCHEMA_VERSION,
        "name": checked.folder.name,
        "status": "running",
        "phase": schema.PhaseName.TEACHER,
        "command": command,
        "started": now(),
        "ended": None,
        "space": checked.space.to_json(),
        schema.OWN_METHOD: _own_method(),
        "plan": plan.to_json(),
        schema.PLANNED: plan.planned_runs(checked.space),
        "data": {
            "name": data.spec.name,
            "spec": str(data.spec),
            "classes": list(data.class_names),
            "n_train": list(data.counts),
            "n_val": class_sizes(data.val.labels, len(data.class_names)),
            "n_test": class_sizes(data.test.labels, len(data.class_names)),
            "split": data.split,
            "selected_on": data.selected_on,
            "source": data.source,
            "sha256": data.sha256,
            "cuts": list(checked.cuts),
            "image_shape": list(data.image_shape),
            schema.DATA_PATH: checked.data_path.name,
            schema.IMAGE_STORE: checked.image_store.shorter if checked.image_store else None,
            schema.STORE_RECIPE: checked.image_store.recipe if checked.image_store else None,
            "n_skipped": len(data.skipped),
            "skipped": list(data.skipped[:_MOST_NAMED]),
            "fallback_from": plan.fallback_from,
            "fallback_reason": plan.fallback_reason,
        },
        "groups": data.groups.to_dict(),
        "teacher": None,
        schema.CONTAMINATED_BY: checked.contaminated_by,
        schema.CAUTIONS: [caution._asdict() for caution in checked.cautions],
        "recipe": _recipe(checked),
        "student": _student(checked),
        "toolkit": command_line.version(),
        "versions": versions(),
        "git_commit": git_commit(),
        "hardware": hardware(plan.device),
        "device": plan.device,
        "workers": None,
        "cpus_per_trial": plan.cpus_per_trial,
        "counts": {"complete": 0, "pruned": 0, "fail": 0, "running": 0},
        "warm_start": checked.warm.described() if checked.warm else None,
        "confirm_entries": {},
        schema.LOOKS: [],
        "tuned_baselines": {},
        "failures": [],
        "starts": [{"started": now(), "command": command}],
    }


def checked_again(folder: Path, manifest: dict[str, Any], *, skip_corrupt: bool = False) -> Checked:
    """Rebuild what a resumed study needs from its manifest; data and teacher must still be the same.

    Args:
        folder: of the study.
        manifest: its study.json.
        skip_corrupt: whether image files that are damaged or gone by now may leave the study; the plan may say so too.

    Raises:
        UsageError: the manifest is not as it was written, data or teacher are missing, or their content has changed.
    """
    try:
        plan = _as_chosen(StudyPlan.from_json(manifest["plan"]), manifest["data"])
        plan = replace(plan, skip_corrupt=plan.skip_corrupt or skip_corrupt)
        space = SearchSpace.from_json(manifest["space"])
        known = dict(manifest["data"].get(schema.LEFT_OUT, {}))
        str(manifest["data"]["sha256"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UsageError(
            f"{folder / schema.MANIFEST} must be as the study wrote it; it is altered or of another version: "
            f"{type(error).__name__}: {error}"
        ) from error
    data = watched_load(plan)
    if known:
        data = without(data, known)
    data = _as_begun(folder, manifest["data"], data, may_lose=plan.skip_corrupt)
    teacher, before = plan.teacher, manifest.get("teacher") or {}
    file = check_teacher(teacher)
    embeddings = check_teacher_fit(teacher, file, data)
    outputs = output_names(teacher, data.class_names)
    now_known = {
        "sha256": file.sha256,
        "embeddings_sha256": embeddings.sha256 if embeddings else None,
        "classes": list(outputs) if outputs and teacher.classes else None,
    }
    for what, found in now_known.items():
        if before and before.get(what) != found:
            raise TeacherError(
                f"the study in {folder} was begun with another teacher: {what} was {before.get(what)}; got {found}"
            )
    checked = Checked(plan, space, data, file, folder, embeddings, outputs)
    begun, here = schema.store_recipe(manifest["data"]), checked.image_store.recipe if checked.image_store else None
    if begun != here:
        raise DataError(
            f"the study in {folder} was begun on {schema.images_of(begun)}, and this version reads "
            f"{schema.images_of(here)}, which are other pixels; go on with the version that began it, or begin another "
            "study"
        )
    return checked


def _as_chosen(plan: StudyPlan, begun: Mapping[str, Any]) -> StudyPlan:
    """Return the plan of a resumed study with how it streams images, which early versions kept in `data` alone."""
    if begun.get(schema.DATA_PATH) != "streamed":
        return plan
    return replace(plan, data_path="streamed", image_store=begun.get(schema.IMAGE_STORE) or 0)


def _as_begun(folder: Path, begun: dict[str, Any], data: LongTailData, *, may_lose: bool) -> LongTailData:
    """Return the data of a resumed study; image files that it has lost by now are noted in it.

    Raises:
        DataError: the data are others than when the study was begun, and not only by such files.
    """
    lost: dict[str, str] = {}
    if data.sha256 != begun["sha256"]:
        record = folder / schema.IMAGE_FILES
        if not (may_lose and record.exists()):
            raise DataError(
                f"the study in {folder} was begun on other images: data set {data.spec} had SHA-256 "
                f"{begun['sha256'][:12]}, {data.source} gives {data.sha256[:12]}"
            )
        lost = dict.fromkeys(files_lost(record, data), "is damaged or gone")
    left = {**lost, **data.left_out}
    return replace(data, left_out=left, grouped_by=tuple(begun["n_train"])) if left else data


def _own_method() -> dict[str, str] | None:
    """The user's own method: what it is, where it comes from, and the hash that resuming compares."""
    for own in OWN:
        assert OWN_SOURCE is not None, "an own method has a source"
        return {"method": OWN_SOURCE.method, "name": own.name, "text": own.text, "sha256": OWN_SOURCE.sha256}
    return None


def _student(checked: Checked) -> dict[str, Any]:
    """The student and its parameters: of ours, by the closed form; a worker counts those of others, with torch."""
    name, (channels, *_) = checked.plan.student, checked.data.image_shape
    n_classes = len(checked.data.class_names)
    return {"name": name, "n_parameters": cifar_parameters(name, n_classes, channels) if name in N_BLOCKS else None}


def _recipe(checked: Checked) -> dict[str, Any]:
    """The recipe, every value that it can give with its origin, and what is known of the training length."""
    plan, length = checked.plan, training_length(checked)
    values = plan.training | {"teacher_views": checked.teacher.views, "teacher_size": checked.teacher_size}
    return {
        "name": checked.data.spec.info.recipe(plan.recipe).name,
        "values": {key: {"value": values[key], "from": origin} for key, origin in checked.origins.items()},
        schema.NOT_TRAINED_OUT: length.not_trained_out,
        schema.LENGTH_NOT_MEASURED: length.not_measured,
    }


def class_sizes(labels: NDArray[np.int64], n_classes: int) -> list[int]:
    """Images of each class, length C."""
    return np.bincount(labels, minlength=n_classes).tolist()


def now() -> str:
    """The time in UTC, ISO 8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    """Versions of Python and of each installed package that a result depends on."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def hardware(device: str) -> dict[str, Any]:
    """The driver's machine: processor, cores for it, memory in GB, and the GPU's name where trials train on a GPU."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cpu": _cpu_name(),
        "cores": allotted_cores().n,
        "memory_gb": round(pages / 2**30, 1),
        "gpu": _gpu_name() if device == "cuda" else None,
    }


def git_commit() -> str | None:
    """The commit of the checkout that ran, with '+' where the tree had changes; None outside a checkout.

    An installed package may lie in the repository of somebody's own work, which does not track it.
    """
    here = Path(__file__).resolve()
    try:
        _git(here.parent, "ls-files", "--error-unmatch", here.name)
        return _git(here.parent, "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*") or None
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *words: str) -> str:
    """Return what git answers in a folder; an error where it fails or takes too long."""
    run = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, timeout=10, check=True)
    return run.stdout.strip()


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _gpu_name() -> str | None:
    import torch

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
