"""The terms of the objective, one row per term: its weight, the samples it is computed on, and what forms it.

A new loss on D or D_mix needs one function and one row here. Objective, training records, the order of the
`loss_<term>` columns, the refusal of knobs without effect and the documentation follow from the rows.

Functions import torch when they are called: the driver reads this table and does not wait for torch.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from math import prod
from typing import TYPE_CHECKING, Literal

from trainables.cckd.methods import Knobs

if TYPE_CHECKING:
    from torch import Tensor

    from trainables.cckd.losses.targets import Targets


class Samples(Enum):
    """The two sets of samples in a step."""

    PLAIN = "D"
    MIXED = "D_mix"


class Form(Enum):
    """Losses that are not a plain function of logits and targets.

    SUPERVISED and DISTILLED are computed together for both sets, with their gradient in closed form (closed_form.py).
    IMITATION compares features (feature_imitation.py).
    """

    SUPERVISED = auto()
    DISTILLED = auto()
    IMITATION = auto()


#: Takes the student's raw logits on one set, float32 (N, C), their targets and the trial's knobs; returns a scalar.
PlainLoss = Callable[["Tensor", "Targets", Knobs], "Tensor"]


#: The knobs that form D_mix, and the knob of a term on D_mix that needs the teacher.
_FORM_D_MIX = ("mix_ratio", "mix_alpha", "mix_op")
_D_MIX_TARGETS = "mix_targets"
D_MIX_KNOBS = (*_FORM_D_MIX, _D_MIX_TARGETS)


@dataclass(frozen=True)
class Term:
    """One term of the objective.

    Attributes:
        name: key in a training record; `loss_<name>` is the column of the tables.
        samples: the sets it is computed on. Every term but imitation has one set.
        formed_by: how it is computed.
        weighed_by: the knobs whose product is its weight. Without knobs the weight is 1.
        reads: the other knobs that decide its value, beside the knobs that form its samples.
        needs: what it reads of the teacher on its samples.
        text: what it measures, in one sentence.
    """

    name: str
    samples: tuple[Samples, ...]
    formed_by: Form | PlainLoss
    weighed_by: tuple[str, ...]
    reads: tuple[str, ...]
    needs: Literal["logits", "features"] | None
    text: str

    def weight(self, knobs: Knobs) -> float:
        """Return the weight in the total; at 0 the term is not computed.

        A term on D_mix alone has weight 0 where `mix_ratio` is 0: there is no D_mix.
        """
        exists = Samples.PLAIN in self.samples or knobs.mix_ratio > 0
        return prod((getattr(knobs, knob) for knob in self.weighed_by), start=1.0) if exists else 0.0

    @property
    def knobs(self) -> frozenset[str]:
        """Every knob that the term may depend on, its weights included."""
        mixing = _FORM_D_MIX if Samples.MIXED in self.samples else ()
        targets = (_D_MIX_TARGETS,) if mixing and self.needs else ()
        return frozenset((*self.weighed_by, *self.reads, *mixing, *targets))


def kd(student_logits: "Tensor", teacher_logits: "Tensor", temperature: float) -> "Tensor":
    """T^2 KL(softmax(z_t / T) || softmax(z_s / T)), mean over samples (Hinton et al., arXiv 1503.02531).

    Both logits are raw, (N, C). The loss is zero at agreement. It is blind to priors, unlike the class-conditional
    losses of closed_form.py. The teacher's logits are detached, so that no caller can train through them.
    """
    from torch import log_softmax
    from torch.nn.functional import kl_div

    log_target = log_softmax(teacher_logits.detach() / temperature, dim=1)
    log_guess = log_softmax(student_logits / temperature, dim=1)
    # T^2 keeps the gradient's size about constant over temperatures (Hinton et al., section 2).
    return temperature**2 * kl_div(log_guess, log_target, reduction="batchmean", log_target=True)


def _kd(student_logits: "Tensor", targets: "Targets", knobs: Knobs) -> "Tensor":
    assert targets.logits is not None, "the term kd needs the teacher's logits"
    return kd(student_logits, targets.logits, knobs.temperature)


_D, _D_MIX = (Samples.PLAIN,), (Samples.MIXED,)

_DISTILLED = ("tau", "temperature", "estimator")

TERMS = (
    Term("sup", _D, Form.SUPERVISED, (), ("tau",), None, "Cross-entropy on D, logit-adjusted by tau."),
    Term("kd", _D, _kd, ("kd_weight",), ("temperature",), "logits", "Classic distillation on D."),
    Term("cckd", _D, Form.DISTILLED, ("cckd_weight",), _DISTILLED, "logits", "Class-conditional distillation on D."),
    Term(
        "sup_mix",
        _D_MIX,
        Form.SUPERVISED,
        ("mix_weight",),
        ("tau",),
        None,
        "Cross-entropy on D_mix, the mixed samples.",
    ),
    Term(
        "kd_mix",
        _D_MIX,
        _kd,
        ("kd_mix_weight",),
        ("temperature",),
        "logits",
        "Classic distillation on D_mix.",
    ),
    Term(
        "cckd_mix",
        _D_MIX,
        Form.DISTILLED,
        ("cckd_mix_weight",),
        _DISTILLED,
        "logits",
        "Class-conditional distillation on D_mix.",
    ),
    Term(
        "imitation",
        _D + _D_MIX,
        Form.IMITATION,
        ("feature_weight",),
        (),
        "features",
        "1 - cosine of student and teacher features, the mean over D and D_mix.",
    ),
)


def terms_on(knobs: Knobs) -> dict[Term, float]:
    """Return the terms that are computed, in the order of TERMS, with their weights in the total."""
    weights = {term: term.weight(knobs) for term in TERMS}
    return {term: weight for term, weight in weights.items() if weight > 0}


#: Name of each loss in a training record -> what it is, in the order of the tables.
LOSSES = {"total": "Weighted sum of the terms, which training minimises.", **{term.name: term.text for term in TERMS}}
