"""The texts of flags as values: numbers within their bounds, `--set` items, GPUs a trial, precision."""

import argparse
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from search_spaces.space import SearchSpace
from study.planning.spaces import FLAGS
from study.terminal.faults import Faults
from trainables.cckd.precision import PRECISIONS, Precision, default_precision, fastest_precision

#: No flag takes more; seeds that derive from --seed stay within the 64 bits of a database's integers.
_LARGEST = 2**32 - 1


def read_numbers(args: argparse.Namespace, faults: Faults) -> dict[str, Any]:
    """Read every numeric flag; one that is absent or faulty is None."""
    wanted: dict[str, tuple[Callable[[str], Any], int]] = {
        "trials": (int, 1),
        "epochs": (int, 1),
        "teacher_size": (int, 8),
        "teacher_views": (int, 1),
        "teacher_prior_smoothing": (float, 0),
        "teacher_folds": (int, 2),
        "finalists": (int, 0),
        "finalist_seeds": (int, 0),
        "confirm_top": (int, 1),
        "confirm_seeds": (int, 0),
        "data_seeds": (int, 1),
        "seed": (int, 0),
        "cpus_per_trial": (float, 0),
        "gpus_per_trial": (float, 0),
        "max_concurrent": (int, 1),
        "trials_per_process": (int, 1),
        "max_retries": (int, 0),
        "max_failures": (int, 0),
        "trial_timeout": (float, 0),
    }
    found: dict[str, Any] = {}
    for name, (kind, least) in wanted.items():
        text = getattr(args, name)
        found[name] = None
        if text is None:
            continue
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if least <= value <= _LARGEST:
            found[name] = value
        else:
            what = "a whole number" if kind is int else "a number"
            faults.add(f"--{name.replace('_', '-')} must be {what} from {least} to {_LARGEST}; got {text!r}")
    return found


def read_overrides(items: Sequence[str], space: SearchSpace | None, faults: Faults) -> dict[str, Any]:
    """Read the `--set` items; a searched knob or a setting with a flag of its own is refused."""
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
            found[key] = _value(text)
    return found


def _value(text: str) -> Any:
    """A JSON scalar where the text is one, else the text."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, int | float | bool | str) else text


def read_gpus(args: argparse.Namespace, asked: float | None, together: int) -> float:
    """GPUs a trial takes: as asked, else its share of one, where --device says or finds CUDA."""
    if asked is not None:
        return asked
    on_gpu = args.device == "cuda" or (args.device == "auto" and _has_cuda_driver())
    return 1.0 / together if on_gpu else 0.0


def read_precision(args: argparse.Namespace, device: str) -> Precision:
    """As asked, else the faster one here; whether a cluster's processors are like this one's is not known."""
    if args.precision in PRECISIONS:
        return cast(Precision, args.precision)
    return fastest_precision(device) if args.address == "local" else default_precision(device)


def check_device(args: argparse.Namespace, gpus: float | None, together: int | None, faults: Faults) -> None:
    """Hold --device against --gpus-per-trial and `together`, the trials a process, and here against the hardware."""
    if args.device == "cpu" and gpus:
        faults.add(f"--gpus-per-trial must be 0 with --device cpu; got {gpus:g}")
    if args.device == "cuda" and gpus == 0:
        faults.add("--gpus-per-trial must be above 0 with --device cuda; got 0")
    if gpus and together and together * gpus > 1 + 1e-9:
        faults.add(
            f"--trials-per-process times --gpus-per-trial must be at most 1, for a process trains on one GPU; got "
            f"{together} times {gpus:g}"
        )
    if args.address == "local" and args.device != "cpu" and (args.device == "cuda" or gpus) and not _has_cuda():
        flag = "--device cuda" if args.device == "cuda" else f"--gpus-per-trial {gpus:g}"
        faults.add(f"{flag} needs a CUDA device, and torch sees none; choices: --device auto, --device cpu")


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def _has_cuda_driver() -> bool:
    """Whether an NVIDIA driver is loaded; importing torch to ask would cost seconds on every laptop."""
    return Path("/proc/driver/nvidia/version").exists() and _has_cuda()
