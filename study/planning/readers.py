"""The flags that are more than one word or number: `--set`, `--guard`, `--objectives`, devices, precision, folders."""

import json
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from math import inf, isfinite
from pathlib import Path
from typing import Any, cast

from search_spaces import SearchSpace
from study.planning.plan import LOCAL
from study.planning.spaces import FLAGS
from study.schema import FOLDER_NAME, MANIFEST
from study.strategy.guards import GROUPS
from study.strategy.objectives import FIRST, SECOND
from study.terminal.command_line import resume_command
from study.terminal.faults import Faults
from trainables.cckd.config import lacks_switch, value_fault
from trainables.cckd.precision import PRECISIONS, Precision, default_precision
from trainables.checkpoint_store import is_uri
from trainables.object_store import SCHEMES

#: Letters of the space's name in a folder's name, so that data set and time fit beside them.
_LONGEST_SPACE = 30


def read_overrides(items: Sequence[str], space: SearchSpace | None, faults: Faults) -> dict[str, Any]:
    """Read the `--set` items; a searched knob or a setting with a flag of its own is refused, and so is a wrong value.

    Whether the values go together is judged later, with all that decides a trial.
    """
    found: dict[str, Any] = {}
    for item in items:
        key, equals, text = item.partition("=")
        if not equals or not key:
            faults.add(f"--set must read KEY=VALUE; got {item!r}")
        elif key in found:
            faults.add(f"--set {key} must be given once; got it again as {item!r}")
        elif key in FLAGS:
            faults.add(f"--set {key}: use {FLAGS[key]}")
        elif space is not None and key in {knob.name for knob in space.tunable}:
            faults.add(f"--set {key}: space {space.name} searches {key}; choose a space that does not, or drop it")
        else:
            found[key] = read_value(text)
            fault = value_fault(None if space is None else space.method, key, found[key])
            faults.found += [fault] if fault else []
    if space is not None and "kd_weight" in found and lacks_switch(space.method, {**space.fixed, **found}):
        searched = f", which space {space.name} searches; leave kd_weight out"
        way = searched if "use_kd" in space.distributions else "; give --set use_kd=true too"
        faults.add(f"--set kd_weight: kd_weight acts only where use_kd is true{way}")
    return found


def read_augment(value: str, by_set: Mapping[str, Any], space: SearchSpace | None, faults: Faults) -> dict[str, Any]:
    """Read `--augment` as one more `--set` item; it must not contradict one, nor a space that searches it."""
    if by_set.get("augment", value) != value:
        faults.add(f"--augment and --set augment must agree; got {value!r} and {by_set['augment']!r}")
    if space is not None and "augment" in space.distributions:
        faults.add(f"--augment: space {space.name} searches augment; choose a space that does not, or drop it")
    return {"augment": value}


def read_guards(items: Sequence[str], faults: Faults) -> dict[str, float]:
    """Read the `--guard GROUP=POINTS` items."""
    found: dict[str, float] = {}
    for item in items:
        group, _, text = item.partition("=")
        try:
            points = float(text)
        except ValueError:
            points = inf
        if group not in GROUPS or not isfinite(points) or not -100 <= points <= 100:
            faults.add(
                f"--guard must read GROUP=POINTS, GROUP one of {', '.join(GROUPS)} and POINTS from -100 to 100; "
                f"got {item!r}"
            )
        elif group in found:
            faults.add(f"--guard {group} must be given once; got it again as {item!r}")
        else:
            found[group] = points
    return found


def read_objectives(text: str | None, faults: Faults) -> str | None:
    """Read `--objectives`; return the second objective's name, None where there is one objective."""
    if text is None:
        return None
    first, *others = text.split(",")
    if first != FIRST or len(others) > 1 or any(name not in SECOND for name in others):
        choices = " or ".join([FIRST, *(f"{FIRST},{name}" for name in SECOND)])
        faults.add(f"--objectives must be {choices}; got {text!r}")
        return None
    return others[0] if others else None


def read_gpus(asked: Mapping[str, Any]) -> float:
    """Return the GPUs per trial: as asked, else each trial's share of one, where --device says or finds CUDA."""
    if asked["gpus_per_trial"] is not None:
        return float(asked["gpus_per_trial"])
    # Whether a driver is loaded is asked first: importing torch to ask would cost seconds on every laptop.
    found = asked["device"] == "auto" and Path("/proc/driver/nvidia/version").exists() and _has_cuda()
    on_gpu = asked["device"] == "cuda" or found
    return 1.0 / asked["trials_per_process"] if on_gpu else 0.0


def read_precision(asked: Mapping[str, Any], device: str) -> Precision | None:
    """Return the precision: as asked, else that of a GPU; None on the CPU, where timed steps decide it."""
    if asked["precision"] in PRECISIONS:
        return cast(Precision, asked["precision"])
    return None if device == "cpu" else default_precision(device)


def check_device(asked: Mapping[str, Any], faults: Faults) -> None:
    """Compare --device, --gpus-per-trial and --trials-per-process; without a cluster, compare with the hardware too."""
    device, gpus, together = asked["device"], asked["gpus_per_trial"], asked["trials_per_process"]
    if device == "cpu" and gpus:
        faults.add(f"--gpus-per-trial must be 0 with --device cpu; got {gpus:g}")
    if device == "cuda" and gpus == 0:
        faults.add("--gpus-per-trial must be above 0 with --device cuda; got 0")
    if gpus and together * gpus > 1 + 1e-9:
        faults.add(
            f"--trials-per-process times --gpus-per-trial must be at most 1, for a process trains on one GPU; got "
            f"{together} times {gpus:g}"
        )
    if asked["cpus_per_trial"] == 0 and not gpus:
        faults.add("--cpus-per-trial must be above 0 where --gpus-per-trial is not; got 0")
    if asked["address"] == LOCAL and device != "cpu" and (device == "cuda" or gpus) and not _has_cuda():
        flag = "--device cuda" if device == "cuda" else f"--gpus-per-trial {gpus:g}"
        faults.add(
            f"{flag} needs a CUDA device, and torch sees none; without one give --device cpu (study.run, study.resume)"
        )


def study_folder(out: str, name: str | None, space: str, data: str, faults: Faults) -> Path:
    """Return the study's folder, named after `space` and `data` where the user gave no name; it must be new."""
    if name is None:
        name = f"{space[:_LONGEST_SPACE]}-{data}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    elif not FOLDER_NAME.fullmatch(name):
        faults.add(f"--name must be 1 to 64 of the characters A-Z a-z 0-9 . _ -; got {name!r}")
    folder = read_folder("--out", out, faults) / name
    if FOLDER_NAME.fullmatch(name) and os.path.lexists(folder):
        way = f"it {'holds no study' if folder.is_dir() else 'is no folder'}; choose another --name"
        if (folder / MANIFEST).is_file():
            way = f"continue it with: {resume_command(folder)}"
        faults.add(f"--name must be new; {folder} exists; {way}")
    return folder


def read_folder(flag: str, text: str, faults: Faults) -> Path:
    """Return the absolute path of a folder that a flag names; it must be possible to write there."""
    folder = absolute(text)
    if not text or not _can_be_written(folder):
        faults.add(f"{flag} must be a folder that can be written; got {text!r}")
    return folder


def read_storage(text: str, faults: Faults, name: str | None = None) -> str:
    """Return the absolute path, or the URI, that `--storage` names; a later check asks whether every node sees it.

    Args:
        text: as given.
        faults: takes what is wrong with it.
        name: of a new study, which must not be there yet.
    """
    if not is_uri(text):
        folder = absolute(text)
        if (scheme := text.partition(":")[0]) in SCHEMES and text != scheme:
            faults.add(f"--storage must name an object store as {scheme}://...; got {text!r}")
        if not text or not _can_be_written(folder):
            faults.add(f"--storage must be a folder that can be written; got {text!r}")
        elif name and os.path.lexists(folder / name):
            faults.add(f"--storage must hold no study of the name {name}; {folder / name} exists")
        return str(folder)
    scheme, _, rest = text.partition("://")
    if scheme not in SCHEMES:
        faults.add(f"--storage takes URIs of {', '.join(f'{known}://' for known in SCHEMES)}; got {text!r}")
    elif not re.fullmatch(r"[^\s?#]+", rest):
        path = f"; give the folder without {scheme}://, as {shlex.quote(rest)}" if scheme == "file" and rest else ""
        faults.add(f"--storage {scheme}:// must go on with a place without spaces, ? and #; got {text!r}{path}")
    return text.rstrip("/")


def read_path(flag: str, what: str, text: str, faults: Faults) -> str:
    """Return the absolute path of what a flag names; the empty text of an unset variable names nothing.

    Args:
        flag: as the user spells it.
        what: it must be, in words.
        text: as given.
        faults: takes what is wrong with it. Whether there is such a file is judged where it is read.
    """
    if not text:
        faults.add(f"{flag} must be {what}; got ''")
    return str(absolute(text))


def absolute(text: str) -> Path:
    """The absolute path of what a user typed, ~ expanded; links stay as they are."""
    return Path(os.path.abspath(os.path.expanduser(text)))


def read_value(text: str) -> Any:
    """A JSON scalar where the text is one, else the text."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, int | float | bool | str) else text


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def _can_be_written(folder: Path) -> bool:
    """Whether `folder` can be written, or made where it is absent."""
    try:
        parent = next(path for path in (folder, *folder.parents) if path.exists())
    except OSError:  # a name too long, a folder that may not be entered
        return False
    return parent.is_dir() and os.access(parent, os.W_OK | os.X_OK)
