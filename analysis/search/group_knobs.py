"""Knobs that are shown to matter for a group of classes, and where each group is best: what trades groups for others.

Each group's screen holds its level over the knobs. Here the groups share it (Bonferroni), so that what the screen
promises holds for all groups together. Where a sampler learned, it promises less.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.reading.study_data import StudyData
from analysis.reading.wording import GROUP_HEADINGS, p_value, percent
from analysis.search.screen import LEVEL
from analysis.search.slices import effect_of
from analysis.search.trial_matrix import stages, targets, told_value, trial_matrix

#: Knobs that are named in a sentence each.
_MOST_NAMED = 2


@dataclass(frozen=True)
class GroupEffect:
    """A knob that is shown to matter for one group of classes.

    Attributes:
        knob, group: their names; the group is a key of GROUP_HEADINGS.
        p: over all knobs and groups.
        best, worst: values of the knob at which the group's validation recall is highest and lowest.
        falls: from the highest to the lowest, a fraction; the other knobs are as in the trials' mean.
    """

    knob: str
    group: str
    p: float
    best: Any
    worst: Any
    falls: float


def group_effects(study: StudyData, judged: Sequence[Mapping[Any, Any]]) -> tuple[GroupEffect, ...]:
    """Return the knobs that are shown to matter for a group, by knob; those that do for the most groups come first.

    Args:
        study: with complete trials.
        judged: rows of the groups' screens: target, knob, p_family.
    """
    of_groups = [row for row in judged if row["target"] in GROUP_HEADINGS]
    n_groups = len({row["target"] for row in of_groups})
    knobs, found = {knob.name: knob for knob in study.knobs}, []
    matrix, stage, values_of = trial_matrix(study.complete, study.knobs), stages(study.complete), targets(study)
    for row in of_groups:
        p = min(1.0, n_groups * float(row["p_family"]))
        if p > LEVEL:
            continue
        values, knob = values_of[row["target"]], knobs[str(row["knob"])]
        known = np.isfinite(values)
        effect = effect_of(matrix.rows(known), knob, values[known], stage[known])
        if effect is None:
            continue
        mean, best, worst = effect.curve.mean, effect.curve.best, int(effect.curve.mean.argmin())
        at_best, at_worst = (told_value(knob, effect.values, place) for place in (best, worst))
        found.append(GroupEffect(knob.name, str(row["target"]), p, at_best, at_worst, float(mean[best] - mean[worst])))
    n_of = {name: sum(effect.knob == name for effect in found) for name in knobs}
    names = sorted(knobs, key=lambda name: -n_of[name])
    return tuple(sorted(found, key=lambda effect: names.index(effect.knob)))


def group_sentences(effects: Sequence[GroupEffect], *, learned: bool, named: Collection[str] = ()) -> list[str]:
    """Say of the first knobs for which groups they matter, where each is best, and what the worst value costs it.

    Args:
        effects: of `group_effects`.
        learned: whether a sampler that learns chose trials, which makes every p too small.
        named: knobs that are shown to matter for all classes. One of them whose groups are best and worst at the same
            values has nothing to add, and is left out.
    """
    by_knob = {
        name: [effect for effect in effects if effect.knob == name]
        for name in dict.fromkeys(one.knob for one in effects)
    }
    agreed = {name for name in named if len({(effect.best, effect.worst) for effect in by_knob.get(name, ())}) == 1}
    said = []
    for name in [name for name in by_knob if name not in agreed][:_MOST_NAMED]:
        own = by_knob[name]
        p = p_value(max(effect.p for effect in own)) + ", too small where a sampler learned" * learned
        parts = [
            f"{GROUP_HEADINGS[effect.group]} is highest at {effect.best}, and {percent(effect.falls)} points lower at "
            f"{effect.worst}."
            for effect in own
        ]
        said.append(" ".join([f"For groups of classes {name} is shown to matter (p {p}).", *parts]))
    return said
