"""Complete trials as numbers: a row a trial, a column a knob, each on its own searched scale from 0 to 1."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial

from analysis.reading.study_data import Study
from search_spaces.space import Knob

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

#: What a knob may matter for: the objective, and the mean recall of a group of classes on D_val.
TARGETS = {"all": "All", "many": "Many", "medium": "Medium", "few": "Few"}


@dataclass(frozen=True)
class Design:
    """N trials by D knobs.

    Attributes:
        knobs: those that take at least two values among the trials that have them.
        x: (N, D) positions in the searched range, 0 to 1: in factors on a log scale, a choice as its place among the
            choices. Where a conditional knob is absent stands the median of the trials that have it, so that no
            model can read the parent's value from the child's column.
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


def design(trials: Sequence[FrozenTrial], knobs: Sequence[Knob]) -> Design:
    """Return the matrix of `trials`, which must be complete ones."""
    columns = [_column(trials, knob) for knob in knobs]
    varied = [len(set(column[np.isfinite(column)])) > 1 for column in columns]
    kept = [column for column, varies in zip(columns, varied, strict=True) if varies]
    raw = np.column_stack(kept) if kept else np.empty((len(trials), 0))
    present = np.isfinite(raw)
    x = np.where(present, raw, np.nanmedian(raw, axis=0) if kept else 0.0)
    return Design(
        tuple(knob for knob, varies in zip(knobs, varied, strict=True) if varies),
        x,
        present,
        tuple(knob.name for knob, varies in zip(knobs, varied, strict=True) if not varies),
    )


def position(knob: Knob, value: Any) -> float:
    """Return where `value` stands in the knob's range, 0 to 1; NaN for a choice that is not one of them."""
    spec = knob.distribution
    if isinstance(spec, CategoricalDistribution):
        return spec.choices.index(value) / max(1, len(spec.choices) - 1) if value in spec.choices else np.nan
    assert isinstance(spec, FloatDistribution | IntDistribution)
    if spec.log:
        return float(np.log(value / spec.low) / np.log(spec.high / spec.low))
    return float((value - spec.low) / (spec.high - spec.low))


def scored(study: Study) -> tuple[FrozenTrial, ...]:
    """Return the complete trials whose value is finite; a study writes no other, a stranger's folder may hold one."""
    return tuple(trial for trial in study.complete if trial.value is not None and np.isfinite(trial.value))


def targets(study: Study) -> dict[str, Floats]:
    """Return name of TARGETS -> (N,) validation accuracies of the complete trials; a group without any is left out."""
    complete = study.complete
    found = {"all": np.array([trial.value for trial in complete], dtype=float)}
    for name in TARGETS:
        column = f"val_{name}"
        if column in study.measured:
            values = study.measured[column].reindex([trial.number for trial in complete]).to_numpy(dtype=float)
            if np.isfinite(values).any():
                found[name] = values
    return found


def _column(trials: Sequence[FrozenTrial], knob: Knob) -> Floats:
    there = (knob.name in trial.params for trial in trials)
    pairs = zip(trials, there, strict=True)
    return np.array([position(knob, trial.params[knob.name]) if has else np.nan for trial, has in pairs], dtype=float)
