"""Complete trials as numbers: one row per trial, one column per knob, on the knob's searched scale from 0 to 1."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial

from analysis.reading.study_data import StudyData
from analysis.reading.wording import GROUP_HEADINGS
from search_spaces.knob import Knob
from study.strategy.samplers import OPENINGS, POINTS, SAMPLERS

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

#: Target of an importance -> its heading: the objective, and the mean recall of each group of classes on D_val.
TARGETS = {"all": "All", **GROUP_HEADINGS}


#: Number of stages of a search.
N_STAGES = 3

#: Interquartile ranges from the nearer quartile beyond which a value is drawn in, and beyond which it is far off.
_FENCE, _FAR = 1.5, 3.0


@dataclass(frozen=True)
class TrialMatrix:
    """N trials by D knobs.

    Attributes:
        knobs: those that take at least two values among the trials that have them.
        x: (N, D) positions in the searched range, 0 to 1: in factors on a log scale, a choice as its place among the
            choices. An absent conditional knob gets the median of the trials that have it. So no model can read the
            parent's value from the child's column.
        present: (N, D) whether the trial has the knob.
        unvaried: names of the other knobs.
    """

    knobs: tuple[Knob, ...]
    x: Floats
    present: Bools
    unvaried: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names."""
        return tuple(knob.name for knob in self.knobs)

    def rows(self, kept: Bools) -> Self:
        """Return the matrix of some of the trials (N,)."""
        return type(self)(self.knobs, self.x[kept], self.present[kept], self.unvaried)


def trial_matrix(trials: Sequence[FrozenTrial], knobs: Sequence[Knob]) -> TrialMatrix:
    """Return the matrix of `trials`, which must be complete ones."""
    columns = [_column([trial.params for trial in trials], knob) for knob in knobs]
    varied = [len(set(column[np.isfinite(column)])) > 1 for column in columns]
    kept = [column for column, varies in zip(columns, varied, strict=True) if varies]
    raw = np.column_stack(kept) if kept else np.empty((len(trials), 0))
    present = np.isfinite(raw)
    x = np.where(present, raw, np.nanmedian(raw, axis=0) if kept else 0.0)
    return TrialMatrix(
        tuple(knob for knob, varies in zip(knobs, varied, strict=True) if varies),
        x,
        present,
        tuple(knob.name for knob, varies in zip(knobs, varied, strict=True) if not varies),
    )


def matrix_like(matrix: TrialMatrix, points: Sequence[Mapping[str, Any]]) -> TrialMatrix:
    """Return `points`, values by knob, as rows of the knobs of `matrix`; an absent knob has the median of `matrix`."""
    raw = np.array([_column(points, knob) for knob in matrix.knobs]).reshape(len(matrix.knobs), len(points)).T
    present = np.isfinite(raw)
    median = [np.median(x[there]) for x, there in zip(matrix.x.T, matrix.present.T, strict=True)]
    return replace(matrix, x=np.where(present, raw, np.array(median)), present=present)


def position(knob: Knob, value: Any) -> float:
    """Return the place of `value` in the knob's range, 0 to 1; NaN for an unknown choice or a range of one number."""
    spec = knob.distribution
    if isinstance(spec, CategoricalDistribution):
        return spec.choices.index(value) / max(1, len(spec.choices) - 1) if value in spec.choices else np.nan
    assert isinstance(spec, FloatDistribution | IntDistribution)
    if spec.high == spec.low:
        return np.nan
    if spec.log:
        return float(np.log(value / spec.low) / np.log(spec.high / spec.low))
    return float((value - spec.low) / (spec.high - spec.low))


def at_position(knob: Knob, places: Floats) -> Floats:
    """Return a number's values at `places`, 0 to 1: the inverse of `position`."""
    spec = knob.distribution
    assert isinstance(spec, FloatDistribution | IntDistribution)
    if spec.log:
        return np.asarray(spec.low * (spec.high / spec.low) ** places)
    return np.asarray(spec.low + places * (spec.high - spec.low))


def has_steps(knob: Knob) -> bool:
    """Return whether a number has a smallest step, as whole numbers have."""
    spec = knob.distribution
    return isinstance(spec, FloatDistribution | IntDistribution) and spec.step is not None


def values_between(knob: Knob, first: float, last: float, most: int) -> tuple[float, ...]:
    """Return values of a number that a trial can have, evenly placed on its scale.

    Args:
        knob: a number.
        first: the place of the lowest value, 0 to 1.
        last: the place of the highest value.
        most: how many values there are; fewer where the knob's step leaves fewer.
    """
    values, spec = at_position(knob, np.linspace(first, last, most)), knob.distribution
    assert isinstance(spec, FloatDistribution | IntDistribution)
    if spec.step is None:
        return tuple(map(float, values))
    steps = np.unique(np.round((values - spec.low) / spec.step).astype(int))
    # Twelve digits: 0.1 + 2 * 0.1 is not 0.3.
    exact = (spec.low + spec.step * int(step) for step in steps)
    return tuple(float(f"{value:.12g}") if isinstance(value, float) else value for value in exact)


def told_value(knob: Knob, values: Sequence[Any], place: int) -> Any:
    """Return one of the values of a knob as it is told and set: a choice or a step as it is, another number rounded.

    It has the fewest significant digits, two at least, that leave it nearer to its own value than to the next one.
    """
    value, spec = values[place], knob.distribution
    if not isinstance(spec, FloatDistribution) or has_steps(knob):
        return value
    room = min((abs(value - other) for other in values if other != value), default=np.inf) / 2
    for digits in range(2, 17):
        told = float(f"{value:.{digits}g}")
        if abs(told - value) <= room and spec.low <= told <= spec.high:
            return told
    return value


def numeric_position(knob: Knob, value: Any) -> float:
    """Return `position` of a number, kept within 0 and 1; NaN for every choice."""
    is_choice = isinstance(knob.distribution, CategoricalDistribution)
    return np.nan if is_choice else float(np.clip(position(knob, value), 0, 1))


def scored(study: StudyData) -> tuple[FrozenTrial, ...]:
    """Return the complete trials with a finite value. A study writes no other value, but a stranger's folder may."""
    return tuple(trial for trial in study.complete if trial.value is not None and np.isfinite(trial.value))


def value_of(trial: FrozenTrial) -> float:
    """Return the value of a complete trial: its last validation balanced accuracy, a fraction."""
    assert trial.value is not None
    return float(trial.value)


def drawn_in(y: Floats) -> tuple[Floats, Bools]:
    """Return `y` (N,) with values beyond Tukey's fences drawn in to them, and which values are not far off.

    Where the quartiles tie, they say nothing of the spread: every value stays.
    """
    lower, upper = np.quantile(y, [0.25, 0.75])
    if lower == upper:
        return y, np.ones(len(y), dtype=bool)
    inner, outer = (factor * (upper - lower) for factor in (_FENCE, _FAR))
    return np.clip(y, lower - inner, upper + inner), (y >= lower - outer) & (y <= upper + outer)


def stages(trials: Sequence[FrozenTrial]) -> npt.NDArray[np.int64]:
    """Return the stage of each trial (N,), one of N_STAGES.

    0 where it opened the search, 1 where its sampler may have learned, 2 at the user's own points: who chooses points
    knows something, so that their mean says nothing of a knob, and they are not exchanged for evenly spread ones.
    """
    stage = {POINTS: 2, **dict.fromkeys(OPENINGS, 0)}
    return np.array([stage.get(kind, 1) for kind in _kinds(trials)], dtype=np.int64)


def n_learned(trials: Sequence[FrozenTrial]) -> int:
    """Return how many of the trials were chosen by a sampler that learns."""
    return sum(kind in SAMPLERS and SAMPLERS[kind].learns for kind in _kinds(trials))


def targets(study: StudyData) -> dict[str, Floats]:
    """Return target -> (N,) validation accuracies of the complete trials; a group without any value is left out."""
    complete = study.complete
    found = {"all": np.array([trial.value for trial in complete], dtype=float)}
    for name in TARGETS:
        column = f"val_{name}"
        if column in study.measured:
            values = study.measured[column].reindex([trial.number for trial in complete]).to_numpy(dtype=float)
            if np.isfinite(values).any():
                found[name] = values
    return found


def _kinds(trials: Sequence[FrozenTrial]) -> list[str]:
    return [str(trial.user_attrs.get("kind", "")) for trial in trials]


def _column(points: Sequence[Mapping[str, Any]], knob: Knob) -> Floats:
    found = [position(knob, point[knob.name]) if knob.name in point else np.nan for point in points]
    return np.array(found, dtype=float)
