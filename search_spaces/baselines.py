"""How good is each rung below ACCKD when it is tuned as well?

    python -m study.run --space la --data fashion_mnist_lt

A method tuned over 40 or 50 trials would beat untuned baselines by the search alone. These spaces give every rung a
search of its own. Plain cross-entropy and logit adjustment have no teacher to weigh, so their spaces search the
optimiser.
"""

from dataclasses import replace

from search_spaces import knobs
from search_spaces.knob import Knob
from search_spaces.space import SearchSpace
from trainables.cckd.methods import METHODS

_TRIALS = 24


def baseline(method: str, purpose: str, *tunable: Knob) -> SearchSpace:
    """Return the space of a method, under its name; each knob's reference is the method's own."""
    own = METHODS[method]
    known = tuple(replace(knob, reference=own.get(knob.name, knob.reference)) for knob in tunable)
    return SearchSpace(name=method, purpose=purpose, method=method, tunable=known, default_trials=_TRIALS)


CE = baseline("ce", "How good is plain cross-entropy, tuned?", knobs.LR, knobs.WEIGHT_DECAY)

LA = baseline("la", "How good is logit adjustment, tuned?", knobs.TAU, knobs.LR, knobs.WEIGHT_DECAY)

LA_MIX = baseline(
    "la_mix",
    "How good is logit adjustment with the mixed set, without a teacher, tuned?",
    knobs.TAU,
    knobs.MIX_RATIO,
    *knobs.MIXING,
)

KD = baseline(
    "kd",
    "How good is classic distillation over logit adjustment, tuned?",
    knobs.TAU,
    knobs.TEMPERATURE,
    knobs.KD_WEIGHT,
)

KD_MIX = baseline(
    "kd_mix",
    "How good is classic distillation on both sets, without a class-conditional term, tuned?",
    knobs.TAU,
    knobs.TEMPERATURE,
    knobs.KD_WEIGHT,
    knobs.KD_MIX_WEIGHT,
    knobs.MIX_RATIO,
    knobs.MIX_WEIGHT,
    knobs.MIX_BALANCE,
    knobs.MIX_UNTIL,
)

CCKD_PRIOR = baseline(
    "cckd_prior",
    "How good is class-conditional distillation in the nearest reading of the paper, tuned?",
    knobs.TAU,
    knobs.TEMPERATURE,
    knobs.CCKD_WEIGHT,
)

CCKD = baseline(
    "cckd",
    "How good is class-conditional distillation alone, tuned?",
    knobs.TAU,
    knobs.TEMPERATURE,
    knobs.CCKD_WEIGHT,
    knobs.ESTIMATOR,
)

ACCKD_NO_FI = baseline(
    "acckd_no_fi",
    "How good is ACCKD without feature imitation, tuned?",
    knobs.TAU,
    knobs.TEMPERATURE,
    knobs.CCKD_WEIGHT,
    knobs.CCKD_MIX_WEIGHT,
    knobs.MIX_RATIO,
    knobs.MIX_WEIGHT,
    knobs.MIX_BALANCE,
    knobs.MIX_UNTIL,
)

SPACES = (CE, LA, LA_MIX, KD, KD_MIX, CCKD_PRIOR, CCKD, ACCKD_NO_FI)
