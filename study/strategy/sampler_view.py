"""A sampler that sees more than the search's own trials as study.db stores them.

Optuna's samplers read trials from the study that they are given. `SeeingSampler` gives them a study that adds two
things: how far each complete trial breaks the guards (Optuna's constraints), and the trials of the warm-start study.
Neither is stored, because both follow from what study.db holds.
"""

from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from study.strategy.optuna_private import SubstituteStudy, Trials


class SeeingSampler(BaseSampler):
    """Asks `sampler` and shows it `trials` instead of the study's own."""

    def __init__(self, sampler: BaseSampler, trials: Trials) -> None:
        self._sampler, self._trials = sampler, trials

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Ask the sampler."""
        return self._sampler.infer_relative_search_space(SubstituteStudy(study, self._trials), trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Ask the sampler."""
        return self._sampler.sample_relative(SubstituteStudy(study, self._trials), trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Ask the sampler."""
        seen = SubstituteStudy(study, self._trials)
        return self._sampler.sample_independent(seen, trial, param_name, param_distribution)
