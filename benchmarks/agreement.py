"""Do two studies of one question agree within the errors that they state? Searches on the emulator, and real trainings.

    python -m benchmarks.agreement

A pair of studies is two searches by the default sampler with other seeds on the emulator of real trainings
(`benchmarks.emulator`), or two sets of 50 of the recorded trainings that have no point in common. Their effects, each
about its mean, are compared at 41 places along each knob, or at its choices. They agree at a place where the difference
is at most the root of the sum of their squared half-widths. How often the value that one study would take lies in the
range that the other does not tell from its best is told beside it.
"""

import argparse
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from analysis.search.columns import is_choice
from analysis.search.slices import Effect, slices_of
from analysis.search.trial_matrix import Floats, position
from benchmarks.search_quality import DESIGNS, emulator, search_by
from benchmarks.surface_truth import recorded, share_text
from benchmarks.surfaces import screened
from search_spaces.knob import Knob
from search_spaces.registry import get_space

N_PAIRS = 5

#: The least share of places at which two effects are to agree.
ASKED = 0.95

_N_POINTS, _N_PLACES = 50, 41


@dataclass(frozen=True)
class Agreement:
    """How two studies agree.

    Attributes:
        places: of all knobs, of which `agreeing` have effects within the errors of both studies.
        values: of all knobs in both directions, of which `inside` lie in the range of the other study.
        both: knobs that both studies name.
        one: knobs that one of them names.
    """

    places: int
    agreeing: int
    values: int
    inside: int
    both: tuple[str, ...]
    one: tuple[str, ...]


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; return 1 where the effects of a kind of study agree less than asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.agreement", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", default="fashion_mnist_lt", help="name of a data set (default: %(default)s)")
    parser.add_argument("--space", default="acckd_full", help="default: %(default)s")
    parser.add_argument("--pairs", type=int, default=N_PAIRS, help="of each kind (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="default: one per core")
    args = parser.parse_args(argv)
    knobs, kept = get_space(args.space).tunable, True
    print("| pair | effects within both errors | values in the other's range | named by both | named by one |")
    print("|---|---|---|---|---|")
    with ProcessPoolExecutor(args.workers) as pool:
        for kind, studies in (("searches", searches), ("recorded trainings", halves)):
            pairs = pool.map(partial(studies, args.data, args.space), range(args.pairs))
            found = [agreement(*pair, knobs) for pair in pairs]
            for index, one in enumerate(found):
                print(_row(f"{kind}, {index + 1}", [one]), flush=True)
            print(_row(f"{kind}, all", found), flush=True)
            kept &= sum(one.agreeing for one in found) >= ASKED * sum(one.places for one in found)
    return 0 if kept else 1


def searches(data: str, space: str, pair: int) -> tuple[list[FrozenTrial], list[FrozenTrial]]:
    """Return the complete trials of two searches by the default design."""
    surface = emulator(data, space)

    def complete(seed: int) -> list[FrozenTrial]:
        rng = np.random.default_rng([seed, 23])
        trials = search_by(surface.space, DESIGNS["default"], seed, lambda point: surface.curve(point, rng))
        return [trial for trial in trials if trial.state == TrialState.COMPLETE]

    return complete(2 * pair), complete(2 * pair + 1)


def halves(data: str, space: str, pair: int) -> tuple[list[FrozenTrial], list[FrozenTrial]]:
    """Return two sets of recorded trainings without a point in common."""
    trials = recorded(data, space)
    drawn = np.random.default_rng([pair, 29]).permutation(len(trials))[: 2 * _N_POINTS]
    return [trials[k] for k in drawn[:_N_POINTS]], [trials[k] for k in drawn[_N_POINTS:]]


def agreement(first: Sequence[FrozenTrial], second: Sequence[FrozenTrial], knobs: Sequence[Knob]) -> Agreement:
    """Compare two studies by their complete trials."""
    effects = [{one.knob: one.effect for one in slices_of(trials, knobs)} for trials in (first, second)]
    named = [set(screened(trials, knobs)[2].named) for trials in (first, second)]
    places, values = [], []
    for knob in knobs:
        one, other = (found.get(knob) for found in effects)
        if one is None or other is None:
            continue
        places += _agree(knob, one, other)
        values += [*_inside(knob, one, other), *_inside(knob, other, one)]
    both, either = named[0] & named[1], named[0] | named[1]
    return Agreement(
        len(places), sum(places), len(values), sum(values), tuple(sorted(both)), tuple(sorted(either - both))
    )


def _agree(knob: Knob, one: Effect, other: Effect) -> list[bool]:
    """Return at each common place whether the effects differ by no more than both errors."""
    at: Sequence[Any]
    if is_choice(knob):
        at = [value for value in one.values if value in other.values]
    else:
        low, high = (op(position(knob, e.values[end]) for e in (one, other)) for op, end in ((max, 0), (min, -1)))
        at = np.linspace(low, high, _N_PLACES).tolist()
    (mean, half), (other_mean, other_half) = (_sampled(knob, effect, at) for effect in (one, other))
    return (np.abs(_centred(mean) - _centred(other_mean)) <= np.hypot(half, other_half)).tolist()


def _sampled(knob: Knob, effect: Effect, at: Sequence[Any]) -> tuple[Floats, Floats]:
    """Return means and half-widths at positions of a number, or at choices, (P,) each."""
    curve = effect.curve
    if is_choice(knob):
        rows = [effect.values.index(value) for value in at]
        return curve.mean[rows], curve.half[rows]
    places = [position(knob, value) for value in effect.values]
    return np.interp(at, places, curve.mean), np.interp(at, places, curve.half)


def _centred(mean: Floats) -> Floats:
    return np.asarray(mean - mean.mean())


def _inside(knob: Knob, one: Effect, other: Effect) -> list[bool]:
    """Return whether the value that one study takes lies in the other's range; nothing for a choice not tried there."""
    value = one.best_value(knob)
    if not is_choice(knob):
        value = min(max(value, other.values[0]), other.values[-1])
    place = other.nearest(knob, value)
    return [] if place is None else [bool(other.curve.not_below_best[place])]


def _row(name: str, found: Sequence[Agreement]) -> str:
    places, agreeing, values, inside = (
        sum(getattr(one, what) for one in found) for what in ("places", "agreeing", "values", "inside")
    )
    if len(found) > 1:
        named = [f"{np.mean([len(getattr(one, what)) for one in found]):.1f}" for what in ("both", "one")]
    else:
        named = [", ".join(getattr(found[0], what)) or "-" for what in ("both", "one")]
    told = f"{100 * agreeing / places:.1f} %", share_text(inside, values)
    return f"| {name} | {' | '.join((*told, *named))} |"


if __name__ == "__main__":
    raise SystemExit(main())
