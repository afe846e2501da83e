"""The teacher's frozen backbone, any timm model: from images to penultimate features."""

from argparse import Namespace
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import interpolate

from trainables.cckd.errors import TeacherError
from trainables.cckd.teacher.stages import stage_indices, stage_width
from trainables.cckd.teacher.teacher_file import TeacherFile
from trainables.cckd.tensors import resident

#: Filters that torch has for tensors. Some timm models are trained with others ('random', 'lanczos').
_FILTERS = ("bilinear", "bicubic")
#: What wrappers put before the name of every tensor: DataParallel, torch.compile, and models that hold this one.
_PREFIXES = ("module.", "_orig_mod.", "model.", "backbone.", "encoder.")
#: Letters of torch's own words on tensors that do not fit; it lists every tensor.
_LONGEST_FAULT = 400
#: Keys under which training scripts store the weights in a checkpoint.
_WRAPPERS = ("state_dict_ema", "model_ema", "state_dict", "model")


class Backbone(nn.Module):
    """A timm model without its classifier, always in eval mode, preceded by its own preprocessing.

    `features` says what is read of it: the 'final' features, which its classifier sees, the mean over all places of its
    intermediate 'stages', or 'both', the final ones first. All of them come from one pass.

    `n_images_seen` counts the images that it has processed, the cost of a teacher.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, *, size: int, features: str = "final") -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last).requires_grad_(False).eval()
        self.size = size
        self._reads_final = features != "stages"
        self._stages = () if features == "final" else stage_indices(network)
        final: Any = getattr(network, "head_hidden_size", None) or network.num_features
        self.n_features = self._reads_final * int(final) + stage_width(network, self._stages)
        self.n_images_seen = 0
        recipe: dict[str, Any] = network.pretrained_cfg  # type: ignore[assignment]
        wanted = recipe.get("interpolation", "bilinear")
        self.filter: str = wanted if wanted in _FILTERS else "bicubic"
        self.register_buffer("mean", torch.tensor(recipe["mean"]).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(recipe["std"]).view(1, 3, 1, 1), persistent=False)

    def train(self, mode: bool = True) -> "Backbone":
        """Stay in eval mode, also inside a parent module in training mode: a teacher's statistics are frozen."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Return float32 features (N, D) of images (N, Ch, H, W) on the scale 0..255, of any dtype, Ch 1 or 3.

        Grey images fill all three channels. The model's own filter resizes images to `size` x `size`, with
        antialiasing where they shrink.
        """
        if images.shape[1] not in (1, 3):
            raise TeacherError(f"a teacher sees images of 1 or 3 channels; got {images.shape[1]}")
        self.n_images_seen += len(images)
        side = (self.size, self.size)
        shrinks = min(images.shape[2:]) > self.size
        resized = interpolate(images.float(), side, mode=self.filter, antialias=shrinks).clamp(0, 255)
        pixels = (resized / 255 - self.mean) / self.std  # broadcasting makes three channels of one
        return self._read(pixels.contiguous(memory_format=torch.channels_last))

    def _read(self, pixels: Tensor) -> Tensor:
        network: Any = self.network
        if not self._stages:
            final: Tensor = network(pixels)
            return final
        last, maps = network.forward_intermediates(pixels, indices=list(self._stages))
        parts = [network.forward_head(last)] if self._reads_final else []
        return torch.cat([*parts, *(values.mean(dim=(2, 3)) for values in maps)], dim=1)

    def share(self) -> dict[str, NDArray[Any]]:
        """Return the weights as contiguous arrays that another process can use in place; see `build_backbone`."""
        return {name: _pixels_last(tensor).cpu().numpy() for name, tensor in self.network.state_dict().items()}


def build_backbone(
    file: TeacherFile, *, size: int, device: str = "cpu", shared: Mapping[str, NDArray[Any]] | None = None
) -> Backbone:
    """Build the backbone from a verified weight file, or on the arrays that another backbone shares.

    Raises:
        TeacherError: a file whose tensors do not fit the model.
    """
    if shared is None:
        network = _build_network(file, size=size)
        network.reset_classifier(0)
    else:
        network = _empty_network(file.name, size=size, n_outputs=0)
        # On the CPU the arrays are used in place, one copy per machine; they are only read.
        tensors = {name: _channels_second(resident(array, torch.device("cpu"))) for name, array in shared.items()}
        network.load_state_dict(tensors, assign=True)
    return Backbone(network, size=size, features=file.features).to(device)


def measure(file: TeacherFile, *, size: int) -> tuple[int, int]:
    """Build the model once and return (D, outputs of its classifier or 0).

    Raises:
        TeacherError: a file whose tensors do not fit, an input size that the model does not take, or a model without
            the stages that `file.features` asks for.
    """
    network = _build_network(file, size=size)
    classifier = network.get_classifier()
    n_outputs = classifier.out_features if isinstance(classifier, nn.Linear) else 0
    network.reset_classifier(0)
    backbone = Backbone(network, size=size, features=file.features)
    with _judging_size(file.name, size):
        return backbone(torch.zeros(1, 3, size, size)).shape[1], n_outputs


def read_classifier(file: TeacherFile, *, size: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return weight (O, D) and bias (O,) of the model's own classifier on its penultimate features.

    Raises:
        TeacherError: a model whose outputs are no linear function of these features.
    """
    network = _build_network(file, size=size).eval()
    classifier = network.get_classifier()
    refusal = f"the classifier of teacher {file.name} must be one linear layer on its penultimate features"
    if not isinstance(classifier, nn.Linear):
        raise TeacherError(f"{refusal}; it is a {type(classifier).__name__}")
    weight = classifier.weight.detach().numpy().copy()
    bias = np.zeros(len(weight), np.float32) if classifier.bias is None else classifier.bias.detach().numpy().copy()
    noise = torch.linspace(-2, 2, 3 * size * size).view(1, 3, size, size)
    with torch.no_grad():
        outputs = network(noise).numpy()
        network.reset_classifier(0)
        features = network(noise).numpy()
    if not np.allclose(features @ weight.T + bias, outputs, rtol=1e-3, atol=1e-3 * np.abs(outputs).max()):
        raise TeacherError(f"{refusal}; its outputs are another function of them")
    return weight, bias


def _build_network(file: TeacherFile, *, size: int) -> Any:
    if file.zipped:
        return _zipped_network(file, size=size)
    tensors = _read_tensors(file)
    faults = []
    for n_outputs in _possible_outputs(file.name, tensors):
        # timm's own loader renames the tensors of older layouts and resamples position embeddings to `size`.
        overlay = {"state_dict": tensors, "num_classes": n_outputs, "custom_load": False}
        try:
            return _empty_network(file.name, size=size, n_outputs=n_outputs, pretrained_cfg_overlay=overlay)
        except (RuntimeError, KeyError, AssertionError, ValueError) as error:
            faults.append("; ".join(line.strip() for line in str(error).splitlines()[:3]))
    with _judging_size(file.name, size):
        known = _empty_network(file.name, size=size, n_outputs=0).state_dict()
    if tensors.keys().isdisjoint(known):
        faults = [f"its tensors are called {_first_names(tensors)}, the model's {_first_names(known)}"]
    raise TeacherError(f"{file.path} does not fit timm's {file.name} at {size} pixels: {faults[0][:_LONGEST_FAULT]}")


@contextmanager
def _judging_size(name: str, size: int) -> Iterator[None]:
    """Turn what timm's models raise at an input size that they do not take into one fault.

    Raises:
        TeacherError: names the model, the size, and the first line of what was raised.
    """
    try:
        yield
    except (RuntimeError, AssertionError, ValueError) as error:
        why = next(iter(str(error).splitlines()), type(error).__name__)
        raise TeacherError(f"teacher {name} does not take images of {size} pixels: {why}") from error


def _first_names(tensors: Mapping[str, Tensor]) -> str:
    return ", ".join(list(tensors)[:2]) + (" and so on" if len(tensors) > 2 else "")


def _zipped_network(file: TeacherFile, *, size: int) -> nn.Module:
    """Load the embedded file: its tensors have other names than timm's, but the same order; shapes are checked."""
    network = _empty_network(file.name, size=size, n_outputs=file.n_outputs)
    slots = network.state_dict()
    tensors = list(torch.load(file.path, map_location="cpu", weights_only=True).values())
    if len(tensors) != len(slots):
        raise TeacherError(
            f"{file.path} and timm's {file.name} must have {len(slots)} tensors each; got {len(tensors)} in the file"
        )
    faults = [
        f"{file.path}: {name} must have shape {tuple(slot.shape)}; got {tuple(tensor.shape)}"
        for (name, slot), tensor in zip(slots.items(), tensors, strict=True)
        if slot.shape != tensor.shape
    ]
    if faults:
        raise TeacherError(faults)
    network.load_state_dict(dict(zip(slots, tensors, strict=True)))
    return network


def _empty_network(name: str, *, size: int, n_outputs: int, **loading: Any) -> Any:
    recipe = timm.get_pretrained_cfg(name)
    fixed = {"img_size": size} if recipe is not None and recipe.fixed_input_size else {}
    with torch.random.fork_rng(devices=[]):  # its initial weights are discarded and must not advance a random stream
        network = timm.create_model(name, pretrained=bool(loading), num_classes=n_outputs, **fixed, **loading)
    return network


def _read_tensors(file: TeacherFile) -> dict[str, Tensor]:
    """Read the file's weights; a pickle is read with weights_only, which runs no code from the file."""
    try:
        if file.path.suffix == ".safetensors":
            return load_file(file.path)
        # timm's own checkpoints hold their training arguments too, as plain values in a Namespace.
        with torch.serialization.safe_globals([Namespace]):
            content = torch.load(file.path, map_location="cpu", weights_only=True)
    except MemoryError:  # of the machine, not of the file
        raise
    except Exception as error:
        # The unpickler runs the file's bytes on a stack machine of Python code. Other bytes than a checkpoint's make it
        # fail at whatever they hit: IndexError, KeyError, struct.error, AssertionError and more. Only loaders run here.
        # The library's own message is not shown: it advises to load the file in a way that runs code from it.
        raise TeacherError(
            f"{file.path} must be a safetensors file or one that torch.load reads with weights_only=True; "
            f"reading it gave {type(error).__name__}"
        ) from error
    for wrapper in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
            break
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise TeacherError(f"{file.path} must hold named tensors; got {type(content).__name__}")
    return _without_wrappers(dict(content))


def _without_wrappers(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors under the names that they had before the model was wrapped, compiled or part of another."""
    for _ in _PREFIXES:
        for prefix in _PREFIXES:
            if tensors and all(name.startswith(prefix) for name in tensors):
                tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return tensors


def _possible_outputs(name: str, tensors: Mapping[str, Tensor]) -> tuple[int, ...]:
    """Return the outputs of the file's classifier; where its layout hides them, the published number and 0."""
    recipe = timm.get_pretrained_cfg(name)
    where = recipe.classifier if recipe is not None else None
    weight = tensors.get(f"{where[0] if isinstance(where, tuple | list) else where}.weight")
    if weight is not None:
        return (int(weight.shape[0]),)
    return (recipe.num_classes, 0) if recipe is not None else (0,)


def _pixels_last(tensor: Tensor) -> Tensor:
    """Move the channels of convolution kernels last, so that channels_last memory is contiguous."""
    return tensor.permute(0, 2, 3, 1).contiguous() if tensor.ndim == 4 else tensor.contiguous()


def _channels_second(tensor: Tensor) -> Tensor:
    """Invert `_pixels_last`, without a copy."""
    return tensor.permute(0, 3, 1, 2) if tensor.ndim == 4 else tensor
