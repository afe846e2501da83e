"""Searched knobs in words: scale, range, axis label, points; and the leading knobs, which a report shows in pairs."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from search_spaces.knob import Knob
from search_spaces.space import SearchSpace

#: Every report shows the pairs of these knobs, where the space searches them.
CORE = ("temperature", "cckd_weight", "mix_ratio", "feature_weight")

#: Number of leading knobs; every pair of them gets a heatmap.
N_LEADING = 4


def leading_knobs(knobs: Sequence[Knob], ranking: Sequence[str]) -> tuple[Knob, ...]:
    """Return up to N_LEADING knobs in the space's order: core knobs first, then by `ranking`, then in their order."""
    names = [knob.name for knob in knobs]
    wanted = dict.fromkeys([*(name for name in CORE if name in names), *ranking, *names])
    leading = [name for name in wanted if name in names][:N_LEADING]
    return tuple(knob for knob in knobs if knob.name in leading)


def is_log(knob: Knob) -> bool:
    """Return whether the knob has a log scale, on which factors count and not differences."""
    spec = knob.distribution
    return isinstance(spec, FloatDistribution | IntDistribution) and spec.log


def range_text(knob: Knob) -> str:
    """Return the searched range in words, e.g. '1 to 8'."""
    spec = knob.distribution
    if isinstance(spec, CategoricalDistribution):
        return ", ".join(str(choice) for choice in spec.choices)
    assert isinstance(spec, FloatDistribution | IntDistribution)
    return f"{spec.low:g} to {spec.high:g}"


def scale_text(knob: Knob) -> str:
    """Return 'log', 'linear' or 'choice'."""
    if isinstance(knob.distribution, CategoricalDistribution):
        return "choice"
    return "log" if is_log(knob) else "linear"


def unit_text(knob: Knob) -> str:
    """Return the unit in words; the space writes '1' for a pure number."""
    return "pure number" if knob.unit == "1" else knob.unit


def axis_label(knob: Knob) -> str:
    """Return the axis label, e.g. 'temperature (pure number, log scale)'."""
    notes = [unit_text(knob), *(["log scale"] if is_log(knob) else [])]
    return f"{knob.name} ({', '.join(dict.fromkeys(notes))})"


def where_active(space: SearchSpace, name: str) -> str:
    """Return under which choices a knob exists, e.g. 'use_kd is True'; empty where it always does."""
    return " and ".join(rule.text for rule in space.conditions if rule.knob == name)


def point_line(values: Mapping[str, Any]) -> str:
    """Return a point as the line of a YAML file for `--points`: '- {tau: 1.0, use_kd: true}'."""
    return yaml.safe_dump([dict(values)], default_flow_style=None, sort_keys=False, width=math.inf).rstrip()
