"""Which knobs matter: PED-ANOVA with a bootstrap interval, and fANOVA once, on complete trials only."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import optuna
import pandas as pd
from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial

from search_spaces.space import Knob

#: Complete trials below which no importance is computed, and below which a ranking is not settled.
MIN_TRIALS = 8
SETTLED_TRIALS = 50

#: PED-ANOVA asks what it takes to be among the best quarter; a tenth of a small study is too few trials.
TOP_SHARE = 0.25

PED_ANOVA = f"PED-ANOVA (best {TOP_SHARE:.0%} of trials; Watanabe et al. 2023)".replace("%", " %")
FANOVA = "fANOVA (64 trees; Hutter et al. 2014)"


@dataclass(frozen=True)
class Importances:
    """Shares that add up to 1 over the ranked knobs.

    Attributes:
        frame: a row a knob, most important first: knob, ped_anova, ped_anova_low, ped_anova_high (95 %
            percentile bootstrap over trials), fanova. Empty where there were too few trials or knobs.
        n_complete: complete trials used.
        n_bootstrap: resamples behind the intervals.
        unranked: knobs left out: absent from some trials (conditional), or without any variation.
    """

    frame: pd.DataFrame
    n_complete: int
    n_bootstrap: int
    unranked: tuple[str, ...]

    @property
    def settled(self) -> bool:
        """Whether there are enough complete trials for the order to mean something."""
        return self.n_complete >= SETTLED_TRIALS


def importances(
    trials: Sequence[FrozenTrial], knobs: Sequence[Knob], *, n_bootstrap: int = 200, seed: int = 0
) -> Importances:
    """Return the knobs' importances for validation balanced accuracy; `trials` must be complete ones."""
    names = [knob.name for knob in knobs if _varies(trials, knob.name)]
    unranked = tuple(knob.name for knob in knobs if knob.name not in names)
    columns = ["knob", "ped_anova", "ped_anova_low", "ped_anova_high", "fanova"]
    if len(trials) < MIN_TRIALS or len(names) < 2:
        return Importances(pd.DataFrame(columns=columns), len(trials), n_bootstrap, unranked)
    rng = np.random.default_rng(seed)
    resampled = [
        _ped_anova([trials[i] for i in rng.integers(len(trials), size=len(trials))], names) for _ in range(n_bootstrap)
    ]
    low, high = np.percentile(np.array(resampled), [2.5, 97.5], axis=0)
    frame = pd.DataFrame(
        {
            "knob": names,
            "ped_anova": _ped_anova(trials, names),
            "ped_anova_low": low,
            "ped_anova_high": high,
            "fanova": _evaluate(trials, names, FanovaImportanceEvaluator(seed=seed)),
        }
    )
    ordered = frame.sort_values(["ped_anova", "knob"], ascending=[False, True], ignore_index=True)
    return Importances(ordered, len(trials), n_bootstrap, unranked)


def _varies(trials: Sequence[FrozenTrial], name: str) -> bool:
    values = {trial.params.get(name) for trial in trials}
    return len(values) > 1 and None not in values


def _ped_anova(trials: Sequence[FrozenTrial], names: list[str]) -> list[float]:
    return _evaluate(trials, names, PedAnovaImportanceEvaluator(target_quantile=TOP_SHARE))


def _evaluate(
    trials: Sequence[FrozenTrial], names: list[str], evaluator: optuna.importance.BaseImportanceEvaluator
) -> list[float]:
    with _quiet_optuna():
        study = optuna.create_study(direction="maximize")
        study.add_trials(trials)
        shares = get_param_importances(study, evaluator=evaluator, params=names)
    return [float(shares[name]) for name in names]


@contextmanager
def _quiet_optuna() -> Iterator[None]:
    """Silence Optuna's note on every in-memory study and its remarks on features still marked experimental."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)
