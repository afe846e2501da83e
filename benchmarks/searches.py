"""Searches by the product's own sampler and pruner whose truth is known, without a training.

A truth is a function of the knobs' positions. Around it lies noise that may have heavy tails, and some trials diverge.
Values at the rungs before the last rise to it and scatter more, so that the pruner sometimes errs.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from math import inf
from typing import Any

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState

from analysis.search.trial_matrix import position
from search_spaces.acckd import ACCKD_FULL
from search_spaces.knob import Knob, KnobValue
from search_spaces.space import SearchSpace
from study.strategy.pruners import PROTECTED
from study.strategy.samplers import SAMPLERS
from study.strategy.search_settings import SearchSettings, kind_of, make_pruner, make_sampler

_RUNGS = (1, 2, 3, 4)
_CHANCE = 0.1

#: As many knobs as `acckd_full` has: ten numbers, two switches, and choices of three and eight.
KNOBS = (
    *(Knob(f"k{index}", FloatDistribution(0.0, 1.0), "1", "a reason", 0.5) for index in range(10)),
    Knob("switch", CategoricalDistribution((False, True)), "choice", "a reason", False),
    Knob("other", CategoricalDistribution((False, True)), "choice", "a reason", False),
    Knob("three", CategoricalDistribution(tuple("abc")), "choice", "a reason", "a"),
    Knob("eight", CategoricalDistribution(tuple("abcdefgh")), "choice", "a reason", "a"),
)
SPACE = SearchSpace("simulated", "Is a known truth found?", "acckd", KNOBS, ACCKD_FULL.default_trials)


@dataclass(frozen=True)
class Truth:
    """What a search faces.

    Attributes:
        name: in a table.
        shares: knob -> share of the variance over an evenly covered space.
        shapes: knob -> its effect at a position in 0 to 1, on any scale.
        heavy: whether the noise is Student's t with two degrees of freedom, not normal.
        diverged: share of the trials that fall to chance.
    """

    name: str
    shares: Mapping[str, float]
    shapes: Mapping[str, Callable[[float], float]]
    heavy: bool = False
    diverged: float = 0.0

    def effect(self, name: str, at: float) -> float:
        """Return a knob's effect at a position, in sd of evenly spread trials; 0 where it has none."""
        if name not in self.shares:
            return 0.0
        mean, spread = _moments(self.shapes[name], name)
        return float(np.sqrt(self.shares[name]) * (self.shapes[name](at) - mean) / spread)


def _peak(at: float) -> float:
    return -((at - 0.5) ** 2)


def _saturating(at: float) -> float:
    return float(1 - np.exp(-5 * at))


def _cliff(at: float) -> float:
    return float(at < 0.85)


def _choice(at: float) -> float:
    return float((0, 3, -2, 1, -3, 2, -1, 0)[round(7 * at)])


def _slope(at: float) -> float:
    return at


_MIXED: dict[str, Callable[[float], float]] = {"k0": _peak, "k1": _saturating, "eight": _choice}

TRUTHS = (
    Truth("nothing matters", {}, {}),
    Truth("a peak worth half", {"k0": 0.5}, {"k0": _peak}),
    Truth("30, 20 and 20 %", {"k0": 0.3, "k1": 0.2, "eight": 0.2}, _MIXED),
    Truth("30, 20 and 20 %, heavy tails", {"k0": 0.3, "k1": 0.2, "eight": 0.2}, _MIXED, heavy=True),
    Truth("30, 20 and 20 %, one in 40 diverged", {"k0": 0.3, "k1": 0.2, "eight": 0.2}, _MIXED, diverged=1 / 40),
    Truth("a cliff worth half, a slope", {"k0": 0.5, "k1": 0.2}, {"k0": _cliff, "k1": _slope}),
)


def search(
    truth: Truth, seed: int, *, sampler: str = "lhs", pruner: str = "none", n_trials: int = SPACE.default_trials
) -> list[FrozenTrial]:
    """Return all trials of one search, by the default sampler where no other one is named."""
    rng, n_spread = np.random.default_rng([seed, 7]), SAMPLERS[sampler].n_spread(n_trials)
    settings = SearchSettings(sampler, pruner, n_trials, n_spread, seed, _RUNGS[-1], _RUNGS)
    return played(SPACE, settings, lambda params: dict(zip(_RUNGS, _values(truth, params, rng), strict=True)))


def played(
    space: SearchSpace,
    settings: SearchSettings,
    run: Callable[[dict[str, KnobValue]], Mapping[int, float]],
    *,
    most_epochs: float = inf,
) -> list[FrozenTrial]:
    """Return all trials of a search by the product's own sampler and pruner, without a training.

    Args:
        space: that is searched.
        settings: of the search, whose number of trials is the most.
        run: searched values -> value at each rung.
        most_epochs: the search begins no trial once it has used so many.
    """
    optuna.logging.set_verbosity(logging.ERROR)
    study, used = optuna.create_study(direction="maximize", pruner=make_pruner(settings), study_name="played"), 0
    for number in range(settings.trials):
        if used >= most_epochs:
            break
        study.sampler = make_sampler(space, settings, number)
        trial, kind = study.ask(), kind_of(settings, number)
        trial.set_user_attr("kind", kind)
        values = run(space.suggest(trial))
        for rung in settings.rungs:
            trial.report(values[rung], rung)
            if rung < settings.epochs and kind not in PROTECTED and trial.should_prune():
                study.tell(trial, state=TrialState.PRUNED)
                break
        else:
            study.tell(trial, values[settings.epochs])
        used += rung
    return study.get_trials(deepcopy=False)


def _values(truth: Truth, params: dict[str, Any], rng: np.random.Generator) -> list[float]:
    """Values at the rungs: an sd of 2 points between evenly spread trials, of which the truth's shares are no noise."""
    effect = sum(truth.effect(name, position(_BY_NAME[name], params[name])) for name in truth.shares)
    noise = rng.standard_t(2) / 2 if truth.heavy else rng.normal()
    last = 0.70 + 0.02 * (effect + np.sqrt(1 - sum(truth.shares.values())) * noise)
    if rng.random() < truth.diverged:
        last = _CHANCE
    return [last - 0.02 * (4 - rung) + 0.01 * (rung < 4) * rng.normal() for rung in _RUNGS]


_BY_NAME = {knob.name: knob for knob in KNOBS}


@cache
def _moments(shape: Callable[[float], float], name: str) -> tuple[float, float]:
    """Mean and sd of a knob's effect over an evenly covered range."""
    spec = _BY_NAME[name].distribution
    n = len(spec.choices) if isinstance(spec, CategoricalDistribution) else 400
    over = np.array([shape(place) for place in np.linspace(0, 1, n)])
    return float(over.mean()), float(over.std())
