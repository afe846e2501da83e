"""Which knobs of ACCKD matter, and where should they stand?

    python -m study.run --space acckd_core --data fashion_mnist_lt

`acckd_core` has the four knobs that a user would tune first. `acckd_full` has the others too, and the classic term that
can be switched on. `mix_statistics` and `mix_targets` keep their references, and the estimator is never `batch_mass`.
`acckd_full_lr` lets the method and every tuned baseline choose their learning rates too.
`acckd_smoke` has three knobs, for a run that only has to show that everything works.
"""

from dataclasses import replace

from search_spaces import knobs
from search_spaces.space import SearchSpace

ACCKD_CORE = SearchSpace(
    name="acckd_core",
    purpose="Where do ACCKD's four main knobs stand best, and how do pairs of them interact?",
    method="acckd",
    tunable=knobs.CORE,
    default_trials=40,
)

ACCKD_FULL = SearchSpace(
    name="acckd_full",
    purpose="Which of ACCKD's knobs matter?",
    method="acckd",
    tunable=knobs.ACCKD,
    conditions=(knobs.KD_WEIGHT_NEEDS_KD,),
    default_trials=50,
)

ACCKD_FULL_LR = replace(
    ACCKD_FULL,
    name="acckd_full_lr",
    purpose="Does ACCKD gain over baselines where each method tunes its learning rate too?",
    tunable=(*knobs.ACCKD, knobs.LR),
)

ACCKD_SMOKE = SearchSpace(
    name="acckd_smoke",
    purpose="Does a whole study run here from end to end? Too small to conclude anything from.",
    method="acckd",
    tunable=(knobs.TEMPERATURE, knobs.MIX_RATIO, knobs.ESTIMATOR),
    default_trials=8,
)

SPACES = (ACCKD_CORE, ACCKD_FULL, ACCKD_FULL_LR, ACCKD_SMOKE)
