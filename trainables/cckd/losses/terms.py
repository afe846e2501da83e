"""The terms of the objective, one row per term: its weight, the samples it is computed on, and what forms it.

A new loss on D or D_mix needs one function and one row here. Objective, training records, the order of the
`loss_<term>` columns, the refusal of knobs without effect and the documentation follow from the rows.

A plain loss is imported when it is called: the driver reads this table and does not wait for torch.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from math import prod
from typing import TYPE_CHECKING, Literal

from trainables.cckd.errors import UsageError
from trainables.cckd.losses import plain_forms
from trainables.cckd.methods import OWN, Knobs
from trainables.own_method import OwnMethod

if TYPE_CHECKING:
    from torch import Tensor

    from trainables.cckd.losses.setting import Setting
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


#: Takes the student's raw logits on one set, float32 (N, C), their targets and the trial's setting; returns a scalar.
PlainLoss = Callable[["Tensor", "Targets", "Setting"], "Tensor"]


#: The knob of every term, for it changes the student; the knob that forms D.
_STUDENT = "cosine_scale"
_FORMS_D = "sampling"

#: The knobs that form D_mix, and the knob of a term on D_mix that needs the teacher.
_FORM_D_MIX = ("mix_ratio", "mix_alpha", "mix_op", "mix_balance", "mix_until", "mix_statistics")
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
        plain = (_FORMS_D,) if Samples.PLAIN in self.samples else ()
        return frozenset((*self.weighed_by, *self.reads, _STUDENT, *plain, *mixing, *targets))


_D, _D_MIX = (Samples.PLAIN,), (Samples.MIXED,)

_DISTILLED = ("tau", "temperature", "estimator")


def _own_term(own: OwnMethod) -> Term:
    """The term of the user's own method; it may read any knob of the method that no built-in weight or D_mix reads."""
    used = (name for name in own.uses if not name.endswith("_weight") and name not in D_MIX_KNOBS)
    reads = (*(knob.name for knob in own.knobs), *used)
    return Term(own.name, _D, own.loss, (own.weight_knob,), reads, own.needs, own.text)


TERMS = (
    Term("sup", _D, Form.SUPERVISED, ("sup_weight",), ("tau",), None, "Cross-entropy on D, logit-adjusted by tau."),
    Term("kd", _D, plain_forms.kd, ("kd_weight",), ("temperature",), "logits", "Classic distillation on D."),
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
        plain_forms.kd,
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
    Term(
        "bkd",
        _D,
        plain_forms.bkd,
        ("bkd_weight",),
        ("temperature", "beta"),
        "logits",
        "Balanced distillation on D: the teacher's probabilities are weighed by class.",
    ),
    Term(
        "dive",
        _D,
        plain_forms.dive,
        ("dive_weight",),
        ("temperature", "power"),
        "logits",
        "Distillation on D from a power of the teacher's probabilities.",
    ),
    Term(
        "wsl",
        _D,
        plain_forms.wsl,
        ("wsl_weight",),
        ("temperature",),
        "logits",
        "Soft labels on D, weighed by how far the student is behind the teacher.",
    ),
    Term(
        "dkd_between",
        _D,
        plain_forms.dkd_between,
        ("dkd_between_weight",),
        ("temperature",),
        "logits",
        "Decoupled distillation on D: the label's class against all others.",
    ),
    Term(
        "dkd_within",
        _D,
        plain_forms.dkd_within,
        ("dkd_within_weight",),
        ("temperature",),
        "logits",
        "Decoupled distillation on D: the classes that are not the label's, among themselves.",
    ),
    Term(
        "ltkd_between",
        _D,
        plain_forms.ltkd_between,
        ("ltkd_between_weight",),
        ("temperature",),
        "logits",
        "Long-tailed distillation on D: thirds of the classes against each other.",
    ),
    Term(
        "ltkd_within",
        _D,
        plain_forms.ltkd_within,
        ("ltkd_within_weight",),
        ("temperature",),
        "logits",
        "Long-tailed distillation on D: the classes of each third among themselves.",
    ),
    Term("vs", _D, plain_forms.vs, ("vs_weight",), ("gamma", "tau"), None, "Vector-scaled cross-entropy on D."),
    Term(
        "ldam",
        _D,
        plain_forms.ldam,
        ("ldam_weight",),
        ("margin", "beta"),
        None,
        "Cross-entropy on D with a margin for each class, weighed by class late in training.",
    ),
    *map(_own_term, OWN),
)
if len({term.name for term in TERMS}) < len(TERMS):
    raise UsageError(f"own method: name must not be that of a built-in term; got {OWN[0].name!r}")


def terms_on(knobs: Knobs) -> dict[Term, float]:
    """Return the terms that are computed, in the order of TERMS, with their weights in the total."""
    weights = {term: term.weight(knobs) for term in TERMS}
    return {term: weight for term, weight in weights.items() if weight > 0}


#: Name of each loss in a training record -> what it is, in the order of the tables.
LOSSES = {"total": "Weighted sum of the terms, which training minimises.", **{term.name: term.text for term in TERMS}}
