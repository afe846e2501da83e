"""How good are the methods of other papers, when they are tuned?

    python -m study.run --space bkd --data fashion_mnist_lt
    python -m study.run --space acckd_core --tuned-baselines la,kd,bkd

One space per method. docs/method.md names the source of each, and what of it is second-hand.
"""

from search_spaces import knobs
from search_spaces.baselines import baseline

VS = baseline("vs", "How good is vector scaling, tuned?", knobs.TAU, knobs.GAMMA)

LDAM_DRW = baseline(
    "ldam_drw",
    "How good are label-distribution-aware margins with deferred class weights, tuned?",
    knobs.MARGIN,
    knobs.COSINE_SCALE,
    knobs.BETA,
)

BKD = baseline(
    "bkd",
    "How good is balanced distillation, tuned?",
    knobs.TAU_FROM_0,
    knobs.TEMPERATURE,
    knobs.BKD_WEIGHT,
    knobs.BETA,
)

DIVE = baseline(
    "dive",
    "How good is distillation of virtual examples, tuned?",
    knobs.TAU,
    knobs.TEMPERATURE,
    knobs.SUP_WEIGHT,
    knobs.DIVE_WEIGHT,
    knobs.POWER,
)

WSL = baseline(
    "wsl",
    "How good are soft labels weighed by sample, tuned?",
    knobs.TAU_FROM_0,
    knobs.TEMPERATURE,
    knobs.WSL_WEIGHT,
)

DKD = baseline(
    "dkd",
    "How good is decoupled distillation, tuned?",
    knobs.TAU_FROM_0,
    knobs.TEMPERATURE,
    knobs.DKD_BETWEEN_WEIGHT,
    knobs.DKD_WITHIN_WEIGHT,
)

LTKD = baseline(
    "ltkd",
    "How good is long-tailed distillation, tuned?",
    knobs.TAU_FROM_0,
    knobs.TEMPERATURE,
    knobs.LTKD_BETWEEN_WEIGHT,
    knobs.LTKD_WITHIN_WEIGHT,
)

CBD = baseline(
    "cbd",
    "How good is class-balanced distillation of features, tuned?",
    knobs.SUP_WEIGHT,
    knobs.CBD_FEATURE_WEIGHT,
)

SPACES = (VS, LDAM_DRW, BKD, DIVE, WSL, DKD, LTKD, CBD)
