"""Where each knob should stand: the range that is not told from its best place, and what the rest costs."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.page.document import Block
from analysis.page.writer import Writer
from analysis.reading.knob_text import range_text
from analysis.reading.study_data import StudyData
from analysis.reading.wording import MISSING, p_value, percent
from analysis.search.columns import is_choice
from analysis.search.importance import Importances
from analysis.search.slices import Effect, Slice


def standing_blocks(study: StudyData, slices: Sequence[Slice], importances: Importances, writer: Writer) -> list[Block]:
    """Return one table with one row per knob whose effect is known, the clearest first; nothing without such a knob."""
    judged, known = importances.of("all"), {found.knob.name: found for found in slices if found.effect is not None}
    order = [name for name in (judged["knob"] if len(judged) else []) if name in known]
    if not order:
        return []
    p_values = dict(zip(judged["knob"], judged["p_family"], strict=True))
    named, reference = importances.named("all"), study.space.reference_point()
    raw, rows = [], []
    for name in order:
        knob, effect = known[name].knob, known[name].effect
        assert effect is not None
        places = _stand(effect, matters=name in named, ordered=not is_choice(knob))
        cost = effect.curve.costs_at_most(places)
        at = effect.nearest(knob, reference[name]) if name in reference else None
        of_reference = effect.curve.cost(at) if at is not None else (np.nan,) * 3
        told = _told(effect, places, ordered=not is_choice(knob))
        ends = effect.values[places[0]], effect.values[places[-1]]
        raw.append((name, name in named, p_values[name], *map(str, ends), cost, *of_reference))
        rows.append(
            (
                name,
                range_text(knob),
                told if name in named else f"open: {told}",
                percent(cost),
                f"{percent(of_reference[0])} ({percent(of_reference[1])} to {percent(of_reference[2])})"
                if at is not None
                else MISSING,
                f"{'matters' if name in named else 'not shown to matter'}, p {p_value(p_values[name])}",
            )
        )
    names = ["knob", "matters", "p_family", "from", "to", "costs_at_most", "reference_costs", "low", "high"]
    return [
        writer.table(
            "standing",
            pd.DataFrame(raw, columns=names),
            columns=("knob", "searched", "stand in", "costs there at most", "the reference costs", "evidence"),
            rows=rows,
            caption=(
                "Where each knob should stand, the clearest knob first. A knob that matters has a range around its "
                "best value: the values that are not told from it (95 %). The other knobs are open: what stands there "
                "is the range that was tried. Costs are points of validation balanced accuracy behind the best value "
                "of the knob, with the other knobs as in the trials' mean. A cost at most holds in 95 % of studies; in "
                "parentheses stand one-sided 95 % bounds. A large bound says that the trials know little."
            ),
        )
    ]


def _stand(effect: Effect, *, matters: bool, ordered: bool) -> npt.NDArray[np.int64]:
    """Return the places where the knob may stand: all of them, or those not told from the best and joined to it."""
    allowed = effect.curve.not_below_best
    if not matters or not ordered:
        return np.flatnonzero(allowed | (not matters))
    best = effect.curve.best
    below = np.flatnonzero(~allowed)
    before, behind = below[below < best], below[below > best]
    return np.arange(before[-1] + 1 if len(before) else 0, behind[0] if len(behind) else len(allowed))


def _told(effect: Effect, places: npt.NDArray[np.int64], *, ordered: bool) -> str:
    if not ordered:
        return " or ".join(str(effect.values[place]) for place in places)
    return f"{effect.values[places[0]]:.2g} to {effect.values[places[-1]]:.2g}"
