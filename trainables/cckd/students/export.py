"""A finished student as two portable files: weights in safetensors, and a JSON file that says how to use them."""

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from trainables.cckd.bundle.trial_data import TrialData
from trainables.cckd.errors import UsageError
from trainables.cckd.files.atomic import write_bytes
from trainables.cckd.files.sealed import sealed, unsealed
from trainables.cckd.students.build import OWN_STUDENTS, StudentNet, bias_name, build_student
from trainables.cckd.students.cosine_classifier import folded, folded_line, has_cosine_classifier
from trainables.cckd.students.stems import stem_line


class ExportError(UsageError):
    """An exported model that cannot be read."""


def export_model(
    student: StudentNet,
    data: TrialData,
    folder: Path,
    stem: str,
    *,
    meta: Mapping[str, Any],
    correction: Tensor | None = None,
) -> tuple[Path, Path]:
    """Write `<stem>.safetensors` and `<stem>.json` into `folder`; return both paths.

    The weights are the state dict of the timm model itself, without the alignment layer. A cosine classifier is written
    as layers of torch's own, which give the same logits to float32's rounding. `load` in the JSON file holds
    the lines of Python that rebuild the model with timm, in eval mode as `net`.

    Args:
        student: what to export.
        data: source of class names, image shape and normalisation.
        folder: created if absent.
        stem: name of the files.
        meta: plain facts to store with the model, such as its configuration and metrics.
        correction: what the student's answers add to its logits (C,); the exported classifier has it in its bias.
    """
    folder.mkdir(parents=True, exist_ok=True)
    cosine = has_cosine_classifier(student.net)
    net = folded(student.net) if cosine else student.net
    weights = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in net.state_dict().items()
    }
    if correction is not None:
        weights[bias_name(student)] += correction.detach().cpu()
    description = {
        "timm_name": student.name,
        "timm_kwargs": student.kwargs,
        "timm_module": _module(student),
        "small_stem": student.small_stem,
        "cosine_classifier": cosine,
        "load": _loading_lines(student, f"{stem}.safetensors"),
        "classes": list(data.class_names),
        "input_shape": list(data.image_shape),
        "pixel_mean": data.pixel_mean.tolist(),
        "pixel_std": data.pixel_std.tolist(),
        "preprocessing": "(pixels / 255 - pixel_mean) / pixel_std, channels first",
        "n_parameters": student.n_parameters,
        **meta,
    }
    payload = safetensors.torch.save(weights)
    description["weights_sha256"] = sha256(payload).hexdigest()
    weights_path, json_path = folder / f"{stem}.safetensors", folder / f"{stem}.json"
    write_bytes(weights_path, payload)
    write_bytes(json_path, json.dumps(sealed(description), indent=2, allow_nan=False).encode())
    return weights_path, json_path


def load_model(folder: Path, stem: str) -> StudentNet:
    """Rebuild an exported student, in eval mode on the CPU.

    Raises:
        ExportError: a file is absent, or was altered after it was written.
    """
    described, weights = folder / f"{stem}.json", folder / f"{stem}.safetensors"
    try:
        description = unsealed(described.read_bytes())
        payload = weights.read_bytes()
    except (OSError, ValueError) as error:
        raise ExportError(
            f"an exported model is {described.name} and {weights.name}, whole; {folder}: {error}"
        ) from error
    # Exports of an earlier version have no such hash.
    if sha256(payload).hexdigest() != description.get("weights_sha256", sha256(payload).hexdigest()):
        raise ExportError(f"{weights} was altered after it was written: its SHA-256 is not the one in {described.name}")
    channels, height, _ = description["input_shape"]
    # Exports of an earlier version do not say what classifier they have. The scale is in the weights.
    scale = 1.0 if description.get("cosine_classifier") else 0.0
    student = build_student(description["timm_name"], len(description["classes"]), channels, height, cosine_scale=scale)
    student.net = folded(student.net) if scale else student.net
    student.net.load_state_dict(safetensors.torch.load(payload))
    return student.eval()


def _loading_lines(student: StudentNet, file: str) -> list[str]:
    arguments = ", ".join([f'"{student.name}"', *(f"{key}={value!r}" for key, value in student.kwargs.items())])
    module = _module(student)
    imported = "timm" if module.startswith("timm.") else f"timm, {module}"
    changes = [stem_line(student.net)] if student.small_stem else []
    changes += [folded_line(student.net)] if has_cosine_classifier(student.net) else []
    if not changes:
        return [f"import {imported}", f'net = timm.create_model({arguments}, checkpoint_path="{file}").eval()']
    return [
        f"import {imported}, torch",
        f"net = timm.create_model({arguments})",
        *changes,
        f'timm.models.load_checkpoint(net.eval(), "{file}")',
    ]


def _module(student: StudentNet) -> str:
    # Importing this module registers our own networks with timm.
    return "trainables.cckd.students.timm_models" if student.name in OWN_STUDENTS else type(student.net).__module__
