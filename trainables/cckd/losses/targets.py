"""What the student is compared with in one step, before and after the objective has prepared it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import repeat

import torch
from torch import Tensor

from trainables.cckd.losses.feature_imitation import SHORTEST


@dataclass(frozen=True, eq=False)
class Targets:
    """The targets of the samples of one set (D or D_mix) in one step. A tensor that no term needs is None.

    Attributes:
        labels: int64 (N,), or float32 (N, C) for mixed samples.
        logits: the teacher's raw logits, float32 (N, C).
        features: the teacher's standardised features, float32 (N, D).
    """

    labels: Tensor
    logits: Tensor | None = None
    features: Tensor | None = None

    def steps(self) -> Iterator["Targets"]:
        """Split targets whose first dimension is the step into those of each step, without features."""
        if self.logits is None:
            return map(Targets, self.labels.unbind())
        return map(Targets, self.labels.unbind(), self.logits.unbind())


@dataclass(frozen=True, eq=False)
class PreparedTargets:
    """The targets of both sets in the form the losses compute with. A tensor that no term needs is None.

    With the targets of several steps, the step is the first dimension of every tensor.

    Attributes:
        labels: of the sets with a supervised term, of D where there is none, float32 (C, N).
        log_teacher: log-distributions that the estimator compares, on the distilled sets, (C, N).
        teacher: their exponentials, times `masses` where these are.
        features: the teacher's features on both sets, float32 (N, D).
        lengths: the norms of these features, (N,).
        masses: what `batch_mass` weighs the classes by, (C, N).
    """

    labels: Tensor
    log_teacher: Tensor | None = None
    teacher: Tensor | None = None
    features: Tensor | None = None
    lengths: Tensor | None = None
    masses: Tensor | None = None

    def with_features(self, features: Tensor) -> "PreparedTargets":
        """Return the same targets with teacher features (N, D) to imitate."""
        lengths = torch.linalg.vector_norm(features, dim=-1).clamp_min_(SHORTEST)
        return replace(self, features=features, lengths=lengths)

    def steps(self) -> Iterator["PreparedTargets"]:
        """Split the targets of several steps into those of each step."""
        fields = (self.labels, self.log_teacher, self.teacher, self.features, self.lengths, self.masses)
        return map(PreparedTargets, *(repeat(None) if field is None else field.unbind() for field in fields))
