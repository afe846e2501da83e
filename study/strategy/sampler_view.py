"""The search as a sampler sees it, where that is more than its own trials as they are stored.

Optuna's samplers read trials from the study they are given. Here they are given one that adds, for each complete trial,
by how much it breaks the guards (Optuna's constraints), and the trials of another study that this one starts warm from.
Nothing of it is stored: it follows from what is.
"""

from collections.abc import Callable, Container, Sequence
from copy import copy
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

#: Where Optuna keeps a trial's constraints.
_CONSTRAINTS = "constraints"

Trials = Callable[[], Sequence[FrozenTrial]]


class SeenStudy(Study):
    """A study whose trials are those that `trials` returns.

    Args:
        study: the search itself.
        trials: called whenever a sampler asks for trials.
    """

    def __init__(self, study: Study, trials: Trials) -> None:
        super().__init__(study.study_name, study._storage, sampler=study.sampler, pruner=study.pruner)
        self._trials_seen = trials

    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        return [trial for trial in self._trials_seen() if states is None or trial.state in states]


class SeeingSampler(BaseSampler):
    """Asks `sampler`, and shows it `trials` in place of the study's own."""

    def __init__(self, sampler: BaseSampler, trials: Trials) -> None:
        self._sampler, self._trials = sampler, trials

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """As the sampler does."""
        return self._sampler.infer_relative_search_space(SeenStudy(study, self._trials), trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """As the sampler does."""
        return self._sampler.sample_relative(SeenStudy(study, self._trials), trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """As the sampler does."""
        seen = SeenStudy(study, self._trials)
        return self._sampler.sample_independent(seen, trial, param_name, param_distribution)


def constrained(trial: FrozenTrial, excesses: Sequence[float]) -> FrozenTrial:
    """Return `trial` with these values as its constraints, each kept where it is at most 0."""
    other = copy(trial)
    other.system_attrs = {**trial.system_attrs, _CONSTRAINTS: list(excesses)}
    return other
