"""Class embeddings of a zero-shot teacher: from a file, or from the text encoder of open_clip."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from trainables.cckd.errors import TeacherError
from trainables.cckd.files.digests import sha256_of

#: The scale CLIP's training ends at (Radford et al., arXiv 2103.00020, section 2.5).
CLIP_SCALE = 100.0
#: The prompt for open_clip's text encoder, the paper's single prompt.
PROMPT = "a photo of a {}."

#: Letters that a message shows of class names that are no list.
_SHOWN = 60


@dataclass(frozen=True, eq=False)
class ClassEmbeddings:
    """One embedding per class, in label order.

    Attributes:
        vectors: float32 (C, E).
        scale: factor on the cosines, CLIP's logit scale.
        source: where the vectors come from, one line.
        sha256: of the file; of the vectors where there is no file.
    """

    vectors: NDArray[np.float32]
    scale: float
    source: str
    sha256: str


def read_embeddings(path: Path, class_names: Sequence[str]) -> ClassEmbeddings:
    """Read a safetensors or npz file with `embeddings` (C, E) and, optionally, `logit_scale` and class names.

    In an npz file the class names are an array `class_names`, in a safetensors file a JSON list under the metadata key
    `class_names`. They must be the data set's class names in its order.

    Raises:
        TeacherError: a file that cannot be read, has other classes, or holds no numbers.
    """
    if not path.is_file():
        raise TeacherError(f"teacher embeddings must be a file; {path} is none")
    try:
        arrays, names = _read_npz(path) if path.suffix == ".npz" else _read_safetensors(path)
        vectors = np.asarray(arrays["embeddings"], np.float32)
        scale = float(arrays.get("logit_scale", CLIP_SCALE))
    except MemoryError:  # of the machine, not of the file
        raise
    except Exception as error:  # the readers of archives fail in as many ways as a file can be damaged
        raise TeacherError(
            f"{path} must be a safetensors or npz file with an array 'embeddings' (classes, width); "
            f"reading it gave {type(error).__name__}"
        ) from error
    faults = []
    if vectors.ndim != 2 or len(vectors) != len(class_names):
        faults.append(
            f"{path}: 'embeddings' must hold one row for each of the {len(class_names)} classes; "
            f"got shape {vectors.shape}"
        )
    if not np.isfinite(vectors).all() or not (scale > 0 and np.isfinite(scale)):
        faults.append(f"{path}: 'embeddings' must be finite and 'logit_scale' above 0; got scale {scale:g}")
    if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        faults.append(
            f"{path}: class_names must be a list of names, in JSON where it is metadata; got {str(names)[:_SHOWN]!r}"
        )
    elif names is not None and names != list(class_names):
        faults.append(f"{path}: its classes must be the data set's, in order; {_first_difference(names, class_names)}")
    if faults:
        raise TeacherError(faults)
    return ClassEmbeddings(vectors, scale, str(path), sha256_of(path))


def encode_class_names(name: str, class_names: Sequence[str]) -> ClassEmbeddings:
    """Embed 'a photo of a <class>.' with the text encoder that was trained with timm's model `name`.

    Raises:
        TeacherError: open_clip is not installed, or has no text encoder for this model.
    """
    try:
        import open_clip
    except ImportError:
        raise TeacherError(
            "teacher form zero_shot needs class embeddings: give a file with --teacher-embeddings, "
            "or install open_clip: pip install 'cckd-study[clip]'"
        ) from None
    import timm
    import torch

    recipe = timm.get_pretrained_cfg(name)
    where = f"hf-hub:{recipe.hf_hub_id}" if recipe is not None and recipe.hf_hub_id else name
    try:
        model = open_clip.create_model_from_pretrained(where, return_transform=False).eval()
        tokens = open_clip.get_tokenizer(where)([PROMPT.format(text) for text in class_names])
        with torch.no_grad():
            vectors = model.encode_text(tokens, normalize=True).float().numpy()
            scale = float(model.logit_scale.exp())
    except Exception as error:  # its hub, configuration and weights raise many kinds
        raise TeacherError(
            f"open_clip has no text encoder for teacher {name} here ({type(error).__name__}: {error}); "
            "give class embeddings with --teacher-embeddings FILE"
        ) from error
    digest = hashlib.sha256(np.ascontiguousarray(vectors).tobytes()).hexdigest()
    return ClassEmbeddings(vectors, scale, f"open_clip {where}, prompt {PROMPT!r}", digest)


def _read_npz(path: Path) -> tuple[dict[str, NDArray[Any]], Any]:
    """Return the arrays of a file, and its class names as they stand there; None where it has none."""
    with np.load(path, allow_pickle=False) as content:
        arrays = {name: content[name] for name in content.files}
    names = arrays.pop("class_names", None)
    if names is None or names.ndim != 1:
        return arrays, None if names is None else names.tolist()
    return arrays, [str(name) for name in names]


def _read_safetensors(path: Path) -> tuple[dict[str, NDArray[Any]], Any]:
    """Return the arrays of a file, and its class names as they stand there; None where it has none."""
    with safe_open(path, "np") as content:
        arrays = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118, no mapping
        names = (content.metadata() or {}).get("class_names")
    try:
        return arrays, None if names is None else json.loads(names)
    except ValueError:
        return arrays, names


def _first_difference(found: Sequence[str], wanted: Sequence[str]) -> str:
    for position, (ours, theirs) in enumerate(zip(wanted, found, strict=False)):
        if ours != theirs:
            return f"class {position} is {ours!r}, got {theirs!r}"
    return f"there are {len(wanted)}, got {len(found)}"
