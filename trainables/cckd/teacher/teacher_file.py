"""A verified weight file, and how wide the model in it is."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class TeacherFile:
    """A weight file whose content has been verified.

    Attributes:
        name: timm name of the model.
        path, sha256: the file and its hash.
        n_features: D, the number of the backbone's features that are read.
        n_outputs: outputs of the file's own classifier, 0 without a classifier.
        model_size: side of the input that the model was trained with, pixels.
        zipped: whether its tensors have other names than timm's, but timm's order.
        features: what is read of the backbone, see `Backbone`.
    """

    name: str
    path: Path
    sha256: str
    n_features: int = 0
    n_outputs: int = 0
    model_size: int = 224
    zipped: bool = False
    features: str = "final"
