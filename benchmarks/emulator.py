"""A response surface as a function of all knobs: real trainings, with their noise and their learning curves.

The mean is the report's additive surrogate of all recorded runs, and a fixed random function for what the points' own
means vary beyond it: no model tells what that depends on (`benchmarks.surface_truth`). Around it lies noise as between
seeds of one point: its sd follows the mean, its tails are those of the recorded seeds. A curve has the shape of the
recorded run that is nearest in the knobs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pandas as pd
from optuna.distributions import CategoricalDistribution

from analysis.search.surrogate import Shape, Surrogate, fit_surrogate
from analysis.search.trial_matrix import Floats, matrix_like, position
from benchmarks.surface_truth import accuracies, curves_of, noise_of, trials_of
from benchmarks.surfaces import screened
from search_spaces.space import SearchSpace

#: Waves of the random function, and how far it reaches, in ranges of one knob: so short that no knob has an effect of
#: its own in it.
_N_WAVES, _REACH = 256, 0.3


@dataclass(frozen=True)
class Emulator:
    """A response surface.

    Attributes:
        space: the space that it was recorded for.
        named: the knobs that matter, by the screen of all points.
        epochs: (E,) epochs at which a curve has values.
    """

    space: SearchSpace
    named: tuple[str, ...]
    epochs: tuple[int, ...]
    _surrogate: Surrogate
    _waves: Floats
    _phases: Floats
    _rough: float
    _middle: float
    _sd: tuple[float, float]
    _deviations: Floats
    _places: Floats
    _shapes: Floats

    @classmethod
    def of(cls, rows: pd.DataFrame, space: SearchSpace) -> Self:
        """Fit an emulator to `benchmarks.response_surface.read_rows`; runs that diverged have no curve."""
        known = accuracies(rows)
        trials, noise = trials_of(known, space), noise_of(known)
        matrix, y, judged = screened(trials, space.tunable)
        named = judged.named
        first = known["seed"] == known["seed"].min()
        fresh = known[~first].groupby("point")["value"].apply(list).to_dict()
        surrogate = fit_surrogate(
            trials, space.tunable, Shape(tuple(named)), {int(str(k)): v for k, v in fresh.items()}
        )
        assert surrogate is not None
        additive = surrogate.predict(matrix)
        rest = float(np.var(y - additive) - noise["var"].mean())
        # log sd = a + b (mean - middle), by regression on the points with more than one seed.
        middle = float(noise["mean"].mean())
        slope, level = np.polyfit(noise["mean"] - middle, np.log(noise["var"].clip(1e-8)) / 2, 1)
        whole = rows[rows["val"].str.len() > 0]
        curve = curves_of(whole)
        rng = np.random.default_rng(0)
        places = np.array([_place(space, trial.params) for trial in trials])
        of_point = {trial.number: k for k, trial in enumerate(trials)}
        found = cls(
            space,
            tuple(named),
            tuple(int(epoch) for epoch in whole["epochs"].iloc[0]),
            surrogate,
            rng.normal(size=(places.shape[1], _N_WAVES)) / _REACH,
            rng.uniform(0, 2 * np.pi, _N_WAVES),
            max(0.0, rest) ** 0.5,
            middle,
            (float(level), float(slope)),
            np.zeros(0),
            places[[of_point[int(point)] for point in whole["point"]]],
            curve - curve[:, -1:],
        )
        repeated = known[known["point"].isin(noise.index)]
        means, counts = (noise.loc[repeated["point"], column].to_numpy(dtype=float) for column in ("mean", "count"))
        deviations = (repeated["value"].to_numpy() - means) * np.sqrt(counts / (counts - 1)) / found._noise(means)
        return replace(found, _deviations=deviations / deviations.std())

    @property
    def everywhere(self) -> tuple[str, ...]:
        """The knobs that every point has."""
        matrix = self._surrogate.matrix
        return tuple(name for name, there in zip(matrix.names, matrix.present.T, strict=True) if there.all())

    def mean(self, points: Sequence[Mapping[str, Any]]) -> Floats:
        """Return the accuracy (fraction) over seeds at M points, (M,); an inactive knob is absent from its point."""
        matrix = matrix_like(self._surrogate.matrix, points)
        places = np.array([_place(self.space, point) for point in points])
        rough = np.cos(places @ self._waves + self._phases).sum(axis=1) * np.sqrt(2 / _N_WAVES)
        return np.asarray(self._surrogate.predict(matrix) + self._rough * rough)

    def curve(self, point: Mapping[str, Any], rng: np.random.Generator) -> dict[int, float]:
        """Return one run: epoch -> validation balanced accuracy."""
        mean = float(self.mean([point])[0])
        last = mean + float(self._noise(np.array([mean]))[0]) * float(rng.choice(self._deviations))
        nearest = int(np.square(self._places - _place(self.space, point)).sum(axis=1).argmin())
        return {epoch: last + float(gap) for epoch, gap in zip(self.epochs, self._shapes[nearest], strict=True)}

    def effects(self, name: str, values: Sequence[Any]) -> Floats:
        """Return the additive effect of a knob at its values, (N,), beside the other knobs at their references."""
        references = {knob.name: knob.reference for knob in self.space.tunable}
        points = [self.space.active(references | {name: value}) for value in values]
        return self._surrogate.predict(matrix_like(self._surrogate.matrix, points))

    def _noise(self, mean: Floats) -> Floats:
        level, slope = self._sd
        return np.asarray(np.exp(level + slope * (mean - self._middle)).clip(0.002, 0.04))


def _place(space: SearchSpace, point: Mapping[str, Any]) -> Floats:
    """Return a point's positions, a choice as one number per choice, an absent knob in its middle."""
    parts: list[float] = []
    for knob in space.tunable:
        spec = knob.distribution
        if isinstance(spec, CategoricalDistribution):
            parts += [float(knob.name in point and point[knob.name] == choice) / 2**0.5 for choice in spec.choices]
        else:
            parts.append(position(knob, point[knob.name]) if knob.name in point else 0.5)
    return np.array(parts)
