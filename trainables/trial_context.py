"""What every trial of one run shares. Ray and torch are not imported: the driver builds it, the trials use it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from trainables.cckd.precision import Precision

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class TrialContext:
    """Data sets, device and limits that all trials share.

    On the driver the first three are references into Ray's object store. `fetched` replaces them by the objects.

    Attributes:
        data: a TrialData.
        teacher: the backbone's weights for `forward` targets, None where no trial may ask for them. Trials on the
            CPUs of one node then read one copy in the node's object store. Once fetched: a function that returns them.
        test: a TestData, None until the confirmation: neither search nor selection may see it. A run reads it only
            where its configuration says so.
        device: 'cpu' or 'cuda'.
        precision: of the students' passes.
        threads: torch threads of one trial.
        leg_s: seconds after which a trial reports and saves a checkpoint, at the next end of an epoch; at a rung it
            always does.
    """

    data: Any
    teacher: Any
    test: Any
    device: str
    precision: Precision
    threads: int
    leg_s: float = 5.0

    def fetched(self, get: Callable[[Any], Any]) -> "TrialContext":
        """Fetch the objects behind the references with `get`; the teacher's weights only when a trial needs them."""
        return replace(
            self,
            data=get(self.data),
            test=None if self.test is None else get(self.test),
            teacher=None if self.teacher is None else partial(get, self.teacher),
        )

    @cached_property
    def forward_teacher(self) -> "nn.Module":
        """The teacher of `forward` targets, built for the first trial that asks for it; of a fetched context."""
        from trainables.cckd.teacher.forward import ForwardTeacher  # which imports timm for a second

        return ForwardTeacher(self.data.teacher, None if self.teacher is None else self.teacher())
