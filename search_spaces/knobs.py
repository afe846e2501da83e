"""Every knob the built-in spaces search, written once: range, scale, unit, reason and reference value.

A weight of 0 has no place on a log scale: methods without a term are rungs of the ladder, not points of a
space.
"""

from optuna.distributions import CategoricalDistribution, FloatDistribution

from search_spaces.knob import Condition, Knob


def _log(low: float, high: float) -> FloatDistribution:
    return FloatDistribution(low, high, log=True)


TEMPERATURE = Knob(
    "temperature",
    _log(1.0, 8.0),
    "1",
    "1 keeps the teacher's probabilities, 8 nearly flattens them over ten classes; doubling is what matters.",
    2.0,
)
CCKD_WEIGHT = Knob(
    "cckd_weight",
    _log(0.1, 10.0),
    "1",
    "A tenth to ten times the supervised loss: from a hint to the teacher deciding alone.",
    1.0,
)
KD_WEIGHT = Knob(
    "kd_weight",
    _log(0.1, 3.0),
    "1",
    "A tenth to three times the supervised loss; the class-conditional term stands beside it.",
    1.0,
)
MIX_RATIO = Knob(
    "mix_ratio",
    FloatDistribution(0.1, 0.7),
    "share of mixed samples in a step",
    "At 0.7 a step has 2.3 mixed samples to each real one and costs 3.3 times as much.",
    0.5,
)
MIX_WEIGHT = Knob(
    "mix_weight",
    _log(0.1, 3.0),
    "1",
    "It multiplies cckd_mix_weight: at 4.7 x 9.6 training diverged at the reference learning rate, so both end at 3.",
    1.0,
)
MIX_ALPHA = Knob(
    "mix_alpha",
    _log(0.1, 2.0),
    "1",
    "Both parameters of the Beta: 0.1 leaves nearly pure images, 1 is uniform, 2 prefers even mixtures.",
    0.5,
)
MIX_OP = Knob(
    "mix_op",
    CategoricalDistribution(("mixup", "cutmix")),
    "choice",
    "Blending whole images and pasting rectangles are the field's two ways to mix.",
    "mixup",
)
CCKD_MIX_WEIGHT = Knob(
    "cckd_mix_weight",
    _log(0.1, 3.0),
    "1",
    "Distillation on the mixed set against its supervised loss; ends at 3 for the reason of mix_weight.",
    1.0,
)
FEATURE_WEIGHT = Knob(
    "feature_weight",
    _log(0.01, 3.0),
    "1",
    "Imitation at weight 1 has cost accuracy in trial runs: the range reaches far below 1, little above.",
    1.0,
)
ESTIMATOR = Knob(
    "estimator",
    CategoricalDistribution(("batch", "prior")),
    "choice",
    "The two readings of p(x|y): normalised over the batch, or the posterior after the prior is replaced.",
    "batch",
)
TAU = Knob(
    "tau",
    FloatDistribution(0.5, 1.5),
    "1",
    "1 corrects the label prior exactly; half as much either way shifts accuracy between head and tail.",
    1.0,
)
USE_KD = Knob(
    "use_kd",
    CategoricalDistribution((False, True)),
    "choice",
    "Whether the classic term joins the class-conditional one; a switch, as weight 0 has no logarithm.",
    False,
)
LR = Knob(
    "lr",
    _log(0.02, 0.8),
    "peak of the schedule",
    "Four times the reference diverges on small batches, a tenth of it does not finish learning.",
    0.2,
)
WEIGHT_DECAY = Knob(
    "weight_decay",
    _log(1e-5, 5e-3),
    "1 / (learning rate * step)",
    "From no visible effect to visible under-fitting, about the field's 5e-4.",
    5e-4,
)

#: kd_weight is a knob only where use_kd switches the term on.
KD_WEIGHT_NEEDS_KD = Condition("kd_weight", "use_kd", (True,))
