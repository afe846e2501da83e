"""Decode image files once, before the first trial, where the study keeps its images in memory."""

from dataclasses import replace
from typing import Any

from study.execution.tuner import Workers, beside_driver
from study.planning.checked import Checked
from study.teacher.worker_tasks import hold
from study.terminal.progress import Progress
from trainables.cckd.data.images.image_files import ImageFiles


def hold_images(checked: Checked, workers: Workers, progress: Progress) -> Checked:
    """Return the study with its image files decoded, in Ray's object store, if its data path says so. Needs Ray."""
    sets = {name: getattr(checked.data, name) for name in ("train", "val", "test")}
    files = {name: of_set for name, of_set in sets.items() if isinstance(of_set, ImageFiles)}
    if not files or checked.data_path.name == "streamed":
        return checked
    import ray

    progress.say(f"data     decoding {sum(map(len, files.values()))} images")
    # One task a set; it may use every core, as no trial runs yet. On the driver's node, the only one that has to have
    # the files: trials read what is held here.
    task = beside_driver(hold)
    held: dict[str, Any] = {name: task.remote(of_set, workers.n_workers) for name, of_set in files.items()}
    return replace(checked, data=replace(checked.data, **{name: ray.get(ref) for name, ref in held.items()}))
