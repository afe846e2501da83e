"""How good is the user's own method, when it is tuned? Its space, if `--method` names one.

    python -m study.run --method my_module:METHOD --space NAME

Its own knobs are searched over the ranges of its module. A built-in knob that it uses is searched over the first of the
built-in ranges that holds the reference value; without such a range it stays at that value.
"""

from collections.abc import Iterator

from optuna.distributions import FloatDistribution

from search_spaces import acckd, knobs
from search_spaces.baselines import baseline
from search_spaces.faults import contains
from search_spaces.knob import Knob, SpaceError
from search_spaces.space import SearchSpace
from trainables.cckd.methods import METHODS, OWN
from trainables.own_method import OwnKnob, OwnMethod


def own_space(own: OwnMethod) -> SearchSpace:
    """Return the space of an own method, under its name.

    Raises:
        SpaceError: a built-in space has this name.
    """
    if own.name in {space.name for space in acckd.SPACES}:
        raise SpaceError(f"own method: name must not be that of a built-in space; got {own.name!r}")
    weight = OwnKnob(
        own.weight_knob, own.weight, own.weight / 10, own.weight * 10, "A tenth to ten times its reference.", log=True
    )
    searched = (
        Knob(knob.name, FloatDistribution(knob.low, knob.high, log=knob.log), "1", knob.text, float(knob.reference))
        for knob in (weight, *own.knobs)
    )
    return baseline(own.name, f"How good is the own method {own.name}, tuned?", *_used(own), *searched)


def _used(own: OwnMethod) -> Iterator[Knob]:
    """Yield the built-in knobs that are searched. `use_kd` never is, because another knob depends on it."""
    ranges = [row for row in vars(knobs).values() if isinstance(row, Knob) and row.name != "use_kd"]
    for name in own.uses:
        value = METHODS[own.name][name]
        fitting = [row for row in ranges if row.name == name and contains(row.distribution, value)]
        yield from fitting[:1]


SPACES = tuple(map(own_space, OWN))
