"""Every knob the built-in spaces search, one row per knob: range, scale, unit and reason.

The reference value of a knob comes from the trainer (`trainables.cckd.config`), where it stands once.

A log scale has no 0, so no weight can be 0: methods without a term are rungs of the ladder, not points of a space.
"""

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from search_spaces.knob import Condition, Knob
from trainables.cckd.config import reference_of


def _knob(name: str, distribution: BaseDistribution, unit: str, reason: str) -> Knob:
    return Knob(name, distribution, unit, reason, reference_of(name))


def _log(low: float, high: float) -> FloatDistribution:
    return FloatDistribution(low, high, log=True)


TEMPERATURE = _knob(
    "temperature",
    _log(1.0, 8.0),
    "1",
    "1 keeps the teacher's probabilities, 8 nearly flattens them over ten classes; doubling is what matters.",
)
CCKD_WEIGHT = _knob(
    "cckd_weight",
    _log(0.1, 10.0),
    "1",
    "A tenth to ten times the supervised loss: from a hint to the teacher deciding alone.",
)
KD_WEIGHT = _knob(
    "kd_weight",
    _log(0.1, 3.0),
    "1",
    "A tenth to three times the supervised loss; the class-conditional term stands beside it.",
)
MIX_RATIO = _knob(
    "mix_ratio",
    FloatDistribution(0.1, 0.7),
    "share of mixed samples in a step",
    "At 0.7 a step has 2.3 mixed samples to each real one and costs 3.3 times as much.",
)
MIX_WEIGHT = _knob(
    "mix_weight",
    _log(0.1, 3.0),
    "1",
    "A tenth to three times the supervised loss on D; beyond that the mixed samples decide alone.",
)
MIX_ALPHA = _knob(
    "mix_alpha",
    _log(0.1, 2.0),
    "1",
    "Both parameters of the Beta: 0.1 leaves nearly pure images, 1 is uniform, 2 prefers even mixtures.",
)
MIX_OP = _knob(
    "mix_op",
    CategoricalDistribution(("mixup", "cutmix")),
    "choice",
    "Blending whole images and pasting rectangles are the field's two ways to mix.",
)
MIX_BALANCE = _knob(
    "mix_balance",
    FloatDistribution(0.0, 1.0),
    "1",
    "0 draws all images alike; 1 draws all classes alike, so that the few images of the tail come again and again.",
)
MIX_UNTIL = _knob(
    "mix_until",
    FloatDistribution(0.5, 1.0),
    "share of the epochs",
    "The epochs after it see real images only; below a half there is little mixing left to study.",
)
CCKD_MIX_WEIGHT = _knob(
    "cckd_mix_weight",
    _log(0.1, 3.0),
    "1",
    "A tenth to three times the supervised loss on D; at 45 times training diverged at the reference learning rate.",
)
KD_MIX_WEIGHT = _knob(
    "kd_mix_weight",
    _log(0.1, 3.0),
    "1",
    "A tenth to three times the supervised loss on D, the range of kd_weight.",
)
FEATURE_WEIGHT = _knob(
    "feature_weight",
    _log(0.01, 3.0),
    "1",
    "Imitation at weight 2 has cost accuracy in trial runs: the range reaches far below 1, little above.",
)
ESTIMATOR = _knob(
    "estimator",
    CategoricalDistribution(("batch", "prior", "prior_uniform")),
    "choice",
    "Readings of p(x|y): normalised over the batch, or a posterior under the set's or the uniform prior.",
)
TAU = _knob(
    "tau",
    FloatDistribution(0.5, 1.5),
    "1",
    "1 corrects the label prior exactly; half as much either way shifts accuracy between head and tail.",
)
USE_KD = _knob(
    "use_kd",
    CategoricalDistribution((False, True)),
    "choice",
    "Whether the classic term joins the class-conditional one; a switch, as weight 0 has no logarithm.",
)
LR = _knob(
    "lr",
    _log(0.02, 0.8),
    "peak of the schedule",
    "At 0.8 small batches diverge, at 0.02 learning does not finish; the recipes' rates, 0.1 to 0.2, lie between.",
)
WEIGHT_DECAY = _knob(
    "weight_decay",
    _log(1e-5, 5e-3),
    "1 / (learning rate * step)",
    "From no visible effect to visible under-fitting, about the field's 5e-4.",
)
SUP_WEIGHT = _knob(
    "sup_weight",
    _log(0.1, 3.0),
    "1",
    "A tenth to three times the weight it has beside no other loss; published as 1 minus the share of distillation.",
)
TAU_FROM_0 = _knob(
    "tau",
    FloatDistribution(0.0, 1.5),
    "1",
    "0 is plain cross-entropy, on which the method was published; 1 is logit adjustment, which every rung above has.",
)
BKD_WEIGHT = _knob(
    "bkd_weight",
    _log(0.1, 10.0),
    "1",
    "A tenth to ten times the supervised loss, around the published 1.",
)
DIVE_WEIGHT = _knob(
    "dive_weight",
    _log(0.1, 5.0),
    "1",
    "A fifth to ten times the published 0.5.",
)
WSL_WEIGHT = _knob(
    "wsl_weight",
    _log(0.25, 10.0),
    "1",
    "A tenth to four times the 2.5 of the public code.",
)
DKD_BETWEEN_WEIGHT = _knob(
    "dkd_between_weight",
    _log(0.1, 3.0),
    "1",
    "Published between 0.5 and 1.",
)
DKD_WITHIN_WEIGHT = _knob(
    "dkd_within_weight",
    _log(0.5, 10.0),
    "1",
    "Published between 2 and 8.",
)
LTKD_BETWEEN_WEIGHT = _knob(
    "ltkd_between_weight",
    _log(0.1, 10.0),
    "1",
    "The published value was not found, so the range is a tenth to ten times the supervised loss.",
)
LTKD_WITHIN_WEIGHT = _knob(
    "ltkd_within_weight",
    _log(0.1, 10.0),
    "1",
    "The published value was not found, so the range is a tenth to ten times the supervised loss.",
)
CBD_FEATURE_WEIGHT = _knob(
    "feature_weight",
    _log(1.0, 100.0),
    "1",
    "The published 0.4 times 100 in the middle; at 1 the features are a hint.",
)
BETA = _knob(
    "beta",
    CategoricalDistribution((0.9, 0.99, 0.999, 0.9999)),
    "choice",
    "The values that papers on class weights try: about 10 to 10,000 images after which more count no longer.",
)
POWER = _knob(
    "power",
    CategoricalDistribution((0.5, 1.0)),
    "choice",
    "The published 0.5 flattens the teacher as twice the temperature does; 1 leaves it, which a flat teacher needs.",
)
GAMMA = _knob(
    "gamma",
    FloatDistribution(0.0, 0.5),
    "1",
    "0 is logit adjustment; at 0.5 the logits of a class with a hundredth of the images are scaled by 0.1.",
)
MARGIN = _knob(
    "margin",
    FloatDistribution(0.1, 1.0),
    "cosine",
    "A fifth to twice the published 0.5; at 0 there would be no margin.",
)
COSINE_SCALE = _knob(
    "cosine_scale",
    _log(8.0, 64.0),
    "1",
    "Around the published 30; far below, even perfect cosines leave doubt, far above the softmax is hard.",
)

#: kd_weight is a knob only where use_kd switches the term on.
KD_WEIGHT_NEEDS_KD = Condition("kd_weight", "use_kd", (True,))

#: The four knobs of ACCKD that a user would turn first.
CORE = (TEMPERATURE, CCKD_WEIGHT, MIX_RATIO, FEATURE_WEIGHT)

#: How to mix, and how much it weighs.
MIXING = (MIX_WEIGHT, MIX_ALPHA, MIX_OP, MIX_BALANCE, MIX_UNTIL)

#: Every knob of ACCKD that is searched; Sobol's points depend on this order.
ACCKD = (*CORE, CCKD_MIX_WEIGHT, *MIXING, ESTIMATOR, TAU, USE_KD, KD_WEIGHT)
