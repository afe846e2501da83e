"""A trial's checkpoint folder: tensors in safetensors, everything else in JSON, no pickle.

`checkpoint.json` is the completion mark: it is renamed into place last, names its tensor file by content, and carries
a hash of itself. A kill at any moment therefore leaves the previous checkpoint whole, and damage is noticed.
Checkpoints of an earlier version, without that hash, are still read.
"""

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from trainables.cckd.errors import UsageError
from trainables.cckd.files.atomic import write_bytes
from trainables.cckd.files.sealed import sealed, unsealed

_MARK = "checkpoint.json"


class CheckpointError(UsageError):
    """A checkpoint that is absent or damaged, or belongs to another trial."""


@dataclass(frozen=True)
class CheckpointState:
    """Where a trial stands, apart from its tensors.

    Attributes:
        epoch: epochs completed.
        config: the trial's flat configuration.
        data: name, image shape, class counts and views of the training data, to recognise it.
        records: `EpochRecord.to_dict` of every epoch so far.
        versions: library -> version that wrote the checkpoint.
    """

    epoch: int
    config: dict[str, Any]
    data: dict[str, Any]
    records: list[dict[str, Any]]
    versions: dict[str, str]

    def differences(self, config: Mapping[str, Any], data: Mapping[str, Any]) -> list[str]:
        """Return one sentence per value of configuration or data that differs from `config` and `data`."""
        return [
            f"its {what}{key} is {theirs.get(key)!r}, here it is {ours.get(key)!r}"
            for what, theirs, ours in (("", self.config, config), ("data ", self.data, data))
            for key in dict.fromkeys([*theirs, *ours])
            if theirs.get(key) != ours.get(key)
        ]


def library_versions() -> dict[str, str]:
    """Return the versions that decide a trial's numbers, for the checkpoint."""
    return {
        "python": platform.python_version(),
        "numpy": version("numpy"),
        "torch": torch.__version__,
        "timm": version("timm"),
    }


def write_checkpoint(folder: Path, state: CheckpointState, tensors: Mapping[str, Tensor]) -> None:
    """Write a checkpoint into `folder`; an older one is replaced only when the new one is on the disk."""
    folder.mkdir(parents=True, exist_ok=True)
    payload = safetensors.torch.save({name: tensor.cpu().contiguous() for name, tensor in tensors.items()})
    digest = sha256(payload).hexdigest()
    name = f"tensors-{digest[:16]}.safetensors"
    write_bytes(folder / name, payload)
    mark = {"tensors": name, "sha256": digest, **asdict(state)}
    write_bytes(folder / _MARK, json.dumps(sealed(mark), allow_nan=False).encode())
    for old in folder.glob("tensors-*.safetensors"):
        if old.name != name:
            old.unlink()


def read_checkpoint(folder: Path) -> tuple[CheckpointState, dict[str, Tensor]]:
    """Return what `write_checkpoint` wrote, its tensors on the CPU.

    Raises:
        CheckpointError: no completion mark, an unreadable one, or tensors with another hash.
    """
    if not (folder / _MARK).is_file():
        raise CheckpointError(f"a checkpoint folder must hold {_MARK}; {folder} does not")
    try:
        mark = unsealed((folder / _MARK).read_bytes())
        name, digest = mark.pop("tensors"), mark.pop("sha256")
        payload = (folder / name).read_bytes()
        state = CheckpointState(**mark)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"checkpoint {folder} is damaged: {error}; remove it to start over") from error
    if sha256(payload).hexdigest() != digest:
        raise CheckpointError(f"checkpoint {folder} is damaged: {name} has another hash; remove it to start over")
    return state, safetensors.torch.load(payload)
