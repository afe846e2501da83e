"""Whether a search is settled: further trials would change no answer by more than two points.

Each knob is bounded: the 95 % bound of what it costs is at most WITHIN. For a knob that the screen names at the level
of the look, that is the cost of the best trial's value; for another knob, of its worst place.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from optuna.trial import FrozenTrial
from threadpoolctl import threadpool_limits

from analysis.reading.study_data import StudyData
from analysis.reading.wording import listing, percent, plural
from analysis.search.screen import LEVEL, screen
from analysis.search.slices import slices_of
from analysis.search.trial_matrix import stages, trial_matrix, value_of
from search_spaces.knob import Knob

#: The most that a knob may cost: balanced accuracy, as a fraction.
WITHIN = 0.02


@dataclass(frozen=True)
class Look:
    """What a look at a search finds.

    Attributes:
        n: complete trials.
        named: knobs that are shown to matter, the clearest first.
        open: knobs that are not named, and may cost more than WITHIN at some place.
        unplaced: named knobs that may cost more than WITHIN where the best trial stands.
        bound: the most that a knob costs which is neither open nor unplaced, a fraction; 0 where there is none.
        has_best: whether a trial may be recommended; with guards, whether one keeps them.
    """

    n: int
    named: tuple[str, ...]
    open: tuple[str, ...]
    unplaced: tuple[str, ...]
    bound: float
    has_best: bool = True

    @property
    def settled(self) -> bool:
        """Whether further trials would change no answer."""
        return self.has_best and not self.open and not self.unplaced

    @property
    def text(self) -> str:
        """What was found, in words."""
        trials = plural(self.n, "complete trial")
        if not self.has_best:
            return f"none of {trials} may be recommended"
        if self.open:
            return f"{trials} leave {plural(len(self.open), 'knob')} open: {listing(list(self.open))}"
        if self.unplaced:
            return f"{trials} do not show that the best trial's {listing(list(self.unplaced))} is near the best value"
        verb = "matters" if len(self.named) == 1 else "matter"
        told = f"{listing(list(self.named))} {verb}" if self.named else "no knob is shown to matter"
        return f"{trials} settle it: {told}; no other choice costs more than {percent(self.bound)} points"


def look(study: StudyData, share: float) -> Look:
    """Look at the search of `study`; knobs are named at this share of the screen's level."""
    best = study.best
    if best is not None and "keeps_guards" in study.measured and study.measured["keeps_guards"].get(best.number) != 1:
        best = None
    with threadpool_limits(1, "blas"):  # as in a report
        return judged(study.complete, study.knobs, share, best)


def judged(trials: Sequence[FrozenTrial], knobs: Sequence[Knob], share: float, best: FrozenTrial | None) -> Look:
    """Judge complete `trials` of a search of `knobs`; a knob that too few of them have is open.

    `best` is the trial that would be recommended, None where none may be.
    """
    level = LEVEL * share
    matrix, values = trial_matrix(trials, knobs), np.array([value_of(trial) for trial in trials])
    found = screen(matrix, values, stages(trials)).frame if len(trials) else None
    named = [] if found is None else [str(name) for name in found.loc[found["p_family"].astype(float) <= level, "knob"]]
    effects = {each.knob.name: each.effect for each in slices_of(trials, knobs) if each.effect is not None}
    at = best.params if best else {}
    still_open: list[str] = []
    unplaced: list[str] = []
    bound = 0.0
    for knob in knobs:
        effect = effects.get(knob.name)
        if effect is None:
            still_open.append(knob.name)
            continue
        is_named = knob.name in named
        if is_named and best is not None and knob.name not in at:
            continue  # the choice without which it does not exist is judged by itself
        place = effect.nearest(knob, at[knob.name]) if is_named and knob.name in at else None
        cost = effect.curve.costs_at_most(range(len(effect.values)) if place is None else [place])
        if cost <= WITHIN:
            bound = max(bound, cost)
        else:
            (unplaced if is_named else still_open).append(knob.name)
    return Look(len(trials), tuple(named), tuple(still_open), tuple(unplaced), bound, best is not None)
