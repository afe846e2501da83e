"""What forms each plain term: a function of logits, targets and setting, named after its term.

Losses are imported when they are called: the driver reads the table of terms and does not wait for torch.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from trainables.cckd.losses.rivals.decoupled import Parts
    from trainables.cckd.losses.setting import Setting
    from trainables.cckd.losses.targets import Targets

#: Share of the training after which `ldam_drw` weighs classes: from epoch 160 of 200 (Cao et al., NeurIPS 2019).
DEFERRED_UNTIL = 0.8


def kd(logits: "Tensor", targets: "Targets", setting: "Setting") -> "Tensor":
    """Classic distillation."""
    from trainables.cckd.losses.soft_targets import kd as loss

    return loss(logits, _teacher(targets), setting.knobs.temperature)


def bkd(logits: "Tensor", targets: "Targets", setting: "Setting") -> "Tensor":
    """Distillation of class-weighted answers."""
    from trainables.cckd.losses.rivals.class_weights import class_weights
    from trainables.cckd.losses.rivals.rebalanced_targets import bkd as loss

    weights = class_weights(setting.counts, setting.knobs.beta).to(logits.dtype)
    return loss(logits, _teacher(targets), weights, setting.knobs.temperature)


def dive(logits: "Tensor", targets: "Targets", setting: "Setting") -> "Tensor":
    """Distillation of a power of the teacher's answers."""
    from trainables.cckd.losses.rivals.rebalanced_targets import dive as loss

    return loss(logits, _teacher(targets), setting.knobs.temperature, setting.knobs.power)


def wsl(logits: "Tensor", targets: "Targets", setting: "Setting") -> "Tensor":
    """Soft labels weighed sample by sample."""
    from trainables.cckd.losses.rivals.sample_weights import wsl as loss

    return loss(logits, _teacher(targets), targets.labels, setting.knobs.temperature)


def dkd_between(logits: "Tensor", targets: "Targets", setting: "Setting") -> "Tensor":
    """The target against all other classes."""
    return _dkd(logits, targets, setting).between.mean()


def dkd_within(logits: "Tensor", targets: "Targets", setting: "Setting") -> "Tensor":
    """The other classes among themselves."""
    return _dkd(logits, targets, setting).within.mean()


def ltkd_between(logits: "Tensor", targets: "Targets", setting: "Setting") -> "Tensor":
    """Thirds of the classes against each other."""
    return _ltkd(logits, targets, setting).between


def ltkd_within(logits: "Tensor", targets: "Targets", setting: "Setting") -> "Tensor":
    """The classes of each third among themselves."""
    return _ltkd(logits, targets, setting).within


def vs(logits: "Tensor", targets: "Targets", setting: "Setting") -> "Tensor":
    """Vector scaling."""
    from trainables.cckd.losses.rivals.margins import vs as loss

    return loss(logits, targets.labels, setting.counts, gamma=setting.knobs.gamma, tau=setting.knobs.tau)


def ldam(logits: "Tensor", targets: "Targets", setting: "Setting") -> "Tensor":
    """Label-distribution-aware margins with deferred class weights."""
    from trainables.cckd.losses.rivals.class_weights import class_weights
    from trainables.cckd.losses.rivals.margins import deferred
    from trainables.cckd.losses.rivals.margins import ldam as loss

    knobs = setting.knobs
    return loss(
        logits,
        targets.labels,
        setting.counts,
        largest=knobs.margin,
        scale=knobs.cosine_scale or 1.0,  # at 0 the classifier is linear, and margins are in units of its logits
        weights=deferred(class_weights(setting.counts, knobs.beta), setting.progress, DEFERRED_UNTIL),
    )


def _dkd(logits: "Tensor", targets: "Targets", setting: "Setting") -> "Parts":
    from trainables.cckd.losses.rivals.decoupled import dkd as loss

    return loss(logits, _teacher(targets), targets.labels, setting.knobs.temperature)


def _ltkd(logits: "Tensor", targets: "Targets", setting: "Setting") -> "Parts":
    from trainables.cckd.losses.rivals.decoupled import ltkd as loss

    return loss(logits, _teacher(targets), setting.terciles, setting.knobs.temperature)


def _teacher(targets: "Targets") -> "Tensor":
    assert targets.logits is not None, "the term needs the teacher's logits"
    return targets.logits
