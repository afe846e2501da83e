"""What the losses of a step are held against, in the form that they compute with."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat

import torch
from torch import Tensor

from trainables.cckd.losses.definitions import SHORTEST


@dataclass(frozen=True, eq=False)
class Aims:
    """What an objective makes of both sets' targets before it sees the student; None where no term needs it.

    Those of several steps have the steps as their first dimension.

    Attributes:
        labels: of the sets with a supervised term, float32 (C, N).
        log_teacher: of the sets that are distilled, the log-distributions that the estimator compares, (C, N).
        teacher: their exponentials.
        features: the teacher's on both sets, float32 (N, D).
        lengths: norms of those, (N,).
    """

    labels: Tensor
    log_teacher: Tensor | None = None
    teacher: Tensor | None = None
    features: Tensor | None = None
    lengths: Tensor | None = None

    def with_features(self, features: Tensor) -> "Aims":
        """The same with teacher features (N, D) to imitate."""
        lengths = torch.linalg.vector_norm(features, dim=-1).clamp_min_(SHORTEST)
        return Aims(self.labels, self.log_teacher, self.teacher, features, lengths)

    def steps(self) -> Iterator["Aims"]:
        """Those of one step after the other."""
        fields = (self.labels, self.log_teacher, self.teacher, self.features, self.lengths)
        return map(Aims, *(repeat(None) if field is None else field.unbind() for field in fields))
