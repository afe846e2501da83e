"""Any timm model as a student that yields logits and penultimate features in one pass."""

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor, nn

from trainables.cckd.errors import ConfigError
from trainables.cckd.students.cifar_net import CifarResNet
from trainables.cckd.students.cifar_sizes import N_BLOCKS
from trainables.cckd.students.cosine_classifier import fit_cosine_classifier, folded, has_cosine_classifier
from trainables.cckd.students.stems import fit_stem

#: Our own networks; all others are timm's.
OWN_STUDENTS = tuple(N_BLOCKS)


class StudentNet(nn.Module):
    """A timm classifier split at its penultimate features.

    Attributes:
        name: timm name.
        kwargs: arguments of `timm.create_model` beside the name.
        small_stem: whether its stem was replaced by one for small images (stems.py).
        net: the timm model.
        n_features: D_s, size of the penultimate features.
    """

    def __init__(
        self, name: str, kwargs: Mapping[str, Any], net: nn.Module, *, n_features: int, small_stem: bool
    ) -> None:
        super().__init__()
        self.name, self.kwargs, self.small_stem, self.n_features = name, dict(kwargs), small_stem, n_features
        self.net: Any = net  # timm's classifier interface has no type

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (N, C) and features (N, D_s) of normalised images (N, Ch, H, W)."""
        return _split(self.net, images)

    def features(self, images: Tensor) -> Tensor:
        """Return features (N, D_s) of normalised images (N, Ch, H, W)."""
        return _features(self.net, images)

    def classify(self, features: Tensor) -> Tensor:
        """Return logits (N, C) of features (N, D_s)."""
        return _classifier(self.net)(features)

    @property
    def n_parameters(self) -> int:
        """Trainable parameters."""
        return sum(parameter.numel() for parameter in self.net.parameters() if parameter.requires_grad)


def check_student(name: str) -> None:
    """Refuse an unknown student, without building a network.

    Raises:
        ConfigError: the name is unknown; the message lists the nearest known students.
    """
    if name in OWN_STUDENTS:
        return  # timm takes seconds to import
    import timm

    if timm.is_model(name):
        return
    near = get_close_matches(name, [*OWN_STUDENTS, *timm.list_models()], n=5, cutoff=0.5)
    hint = f"closest: {', '.join(near)}" if near else f"for instance {', '.join(OWN_STUDENTS)}"
    raise ConfigError(f"student must be a model that timm {timm.__version__} knows; got {name!r}; {hint}")


def build_student(
    name: str, n_classes: int, in_chans: int, image_size: int, *, cosine_scale: float = 0.0
) -> StudentNet:
    """Build an untrained student; its initial weights come from torch's global generator.

    Args:
        name: a timm model name, or one of `OWN_STUDENTS`.
        n_classes: C.
        in_chans: channels of the images.
        image_size: side of the images, pixels. Models with a fixed input size are built for it; on small images
            ResNets get another stem (stems.py).
        cosine_scale: above 0, the classifier returns cosines times this scale (cosine_classifier.py); at 0 it is the
            model's own.

    Raises:
        ConfigError: an unknown name, a model that does not take such images, or one without a single classifier on
            flat features.
    """
    check_student(name)
    what = f"student {name!r} on {image_size}-pixel images of {in_chans} channels"
    kwargs = {"num_classes": n_classes, "in_chans": in_chans}
    try:
        net, small_stem = _network(name, kwargs, image_size)
        if cosine_scale:
            fit_cosine_classifier(net, cosine_scale)
        # Eval mode leaves running statistics and random generators unchanged.
        net.eval()
        with torch.no_grad():
            logits, features = _split(net, torch.zeros(2, in_chans, image_size, image_size))
        net.train()
    except Exception as error:  # timm's constructors and layers raise many kinds
        raise ConfigError(f"{what} cannot be built: {_one_line(error)}") from error
    if features.ndim != 2 or logits.shape != (2, n_classes):
        shapes = f"features {tuple(features.shape)}, logits {tuple(logits.shape)}"
        raise ConfigError(f"{what} must split into flat features and {n_classes} logits; got {shapes} for 2 images")
    return StudentNet(name, kwargs, net, n_features=features.shape[1], small_stem=small_stem)


def try_student(
    name: str,
    n_classes: int,
    in_chans: int,
    image_size: int,
    *,
    cosine_scale: float = 0.0,
    needs_bias: bool = False,
    statistics_rule: str | None = None,
) -> None:
    """Train a student for one step on two images of noise.

    Args:
        name, n_classes, in_chans, image_size, cosine_scale: as for `build_student`.
        needs_bias: whether its classifier must have a bias, for `prediction_prior` uniform.
        statistics_rule: the chosen rule for statistics of batches, in words; None where the default stays.

    Raises:
        ConfigError: as `build_student` and `bias_name`; or it cannot take a step, sees the image as one patch, or
            keeps no statistics of batches, so that `statistics_rule` would change nothing.
    """
    with torch.random.fork_rng(devices=[]):
        student = build_student(name, n_classes, in_chans, image_size, cosine_scale=cosine_scale)
        if needs_bias:
            bias_name(student)
        if statistics_rule and not _keeps_statistics(student):
            raise ConfigError(
                f"{statistics_rule} acts through BatchNorm with running statistics, and student {name!r} has none, so "
                "that it changes nothing; leave mix_statistics out, or choose a student with BatchNorm"
            )
        what = f"student {name!r} on {image_size}-pixel images of {in_chans} channels"
        if _n_patches(student) == 1:
            raise ConfigError(
                f"{what} sees one patch, so that it has no places to compare; choose a student of smaller patches, or "
                f"one of {', '.join(OWN_STUDENTS)}"
            )
        try:
            logits, features = student(torch.randn(2, in_chans, image_size, image_size))
            (logits.square().mean() + features.square().mean()).backward()
        except Exception as error:  # as in build_student
            raise ConfigError(f"{what} cannot be trained: {_one_line(error)}") from error


def _keeps_statistics(student: StudentNet) -> bool:
    """Whether a layer keeps running statistics of batches: BatchNorm does, and what timm derives from it."""
    return any(name.endswith("running_var") for name, _ in student.net.named_buffers())


def _n_patches(student: StudentNet) -> int | None:
    """Return the patches that the image is cut into at first; later stages may merge them. None without patches."""
    counts = (getattr(module, "num_patches", None) for module in student.modules())
    return next((n for n in counts if n is not None), None)


def bias_name(student: StudentNet) -> str:
    """Return the name of the classifier's bias in the state dict of the exported network.

    Raises:
        ConfigError: the classifier has none, so no correction of the logits can be kept in it.
    """
    net = folded(student.net) if has_cosine_classifier(student.net) else student.net
    *_, last = net.get_classifier().modules()
    bias = getattr(last, "bias", None)
    for name, parameter in net.named_parameters():
        if parameter is bias:
            return str(name)
    raise ConfigError(
        f"prediction_prior=uniform needs a student whose classifier has a bias; {student.name!r} has none: "
        "choose another student, or prediction_prior=trained"
    )


def _network(name: str, kwargs: dict[str, int], image_size: int) -> tuple[nn.Module, bool]:
    """Return the network and whether its stem was replaced; add a fixed input size to `kwargs`."""
    if name in OWN_STUDENTS:
        return CifarResNet(N_BLOCKS[name], **kwargs), False
    import timm

    cfg = timm.get_pretrained_cfg(name)
    if cfg is not None and cfg.fixed_input_size:
        kwargs["img_size"] = image_size
    net = timm.create_model(name, pretrained=False, **kwargs)
    return net, fit_stem(net, in_chans=kwargs["in_chans"], image_size=image_size)


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _split(net: Any, images: Tensor) -> tuple[Tensor, Tensor]:
    features = _features(net, images)
    return _classifier(net)(features), features


def _features(net: Any, images: Tensor) -> Tensor:
    found: Tensor = net.forward_head(net.forward_features(images), pre_logits=True)
    return found


def _classifier(net: Any) -> Callable[[Tensor], Tensor]:
    found = net.get_classifier()
    if not isinstance(found, nn.Module):
        raise TypeError(f"it has {len(found)} classifiers instead of one")
    return found
