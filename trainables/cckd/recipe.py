"""A training recipe: how a data set's students are trained, each value with its source."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from typing import Literal

from trainables.cckd.methods import KnobValue

#: How the learning rate moves; training/schedule.py has the shapes.
Schedule = Literal["one_cycle", "cosine", "step"]

#: What the student sees on top of the view that it shares with the teacher; batches/augmentation.py has the kinds.
Augment = Literal["none", "cutout", "autoaugment", "randaugment"]

#: How the epochs of a recipe were found: measured on D_val, as published, or neither.
Length = Literal["measured", "published", ""]

#: Fields of a recipe that are no training settings.
_OTHERS = ("name", "source", "sources", "teacher_size", "teacher_views", "length", "length_at")

#: Name of the recipe that is too short to train a student out.
QUICK = "quick"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One training recipe of a data set. The training settings have the names and meanings of `TrialConfig`.

    Attributes:
        name: what `--recipe` calls it.
        source: where its values come from.
        sources: field -> where its value comes from, for the values that are not from `source`.
        student, epochs, batch_size, lr, momentum, nesterov, weight_decay, schedule, augment: training settings.
        teacher_size: side of the teacher's input, pixels; None for the model's own.
        teacher_views: views of each training image that the teacher sees.
        length: how its epochs were found.
        length_at: option of the data set -> the values at which they were found; absent options do not matter.
    """

    name: str
    source: str
    student: str
    epochs: int
    batch_size: int
    lr: float
    momentum: float
    nesterov: bool
    weight_decay: float
    schedule: Schedule
    augment: Augment = "none"
    teacher_size: int | None = None
    teacher_views: int = 8
    sources: Mapping[str, str] = field(default_factory=dict)
    length: Length = ""
    length_at: Mapping[str, Collection[int | float | str]] = field(default_factory=dict)

    @property
    def training(self) -> dict[str, KnobValue]:
        """The training settings."""
        return {item.name: getattr(self, item.name) for item in fields(self) if item.name not in _OTHERS}

    def source_of(self, name: str) -> str:
        """Return where the value of a field comes from."""
        return self.sources.get(name, self.source)


def quick(epochs: int, *, student: str = "resnet8_cifar") -> Recipe:
    """Return a recipe for a first look: small batches, one cycle, too few epochs to train a student out."""
    return Recipe(
        name=QUICK,
        source="our choice for a first look",
        student=student,
        epochs=epochs,
        batch_size=64,
        lr=0.2,
        momentum=0.9,
        nesterov=True,
        weight_decay=5e-4,
        schedule="one_cycle",
    )
