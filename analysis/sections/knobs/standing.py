"""Where each knob should stand: the range not told from its best place, what the rest costs, and a value to take."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.page.document import Block, Code
from analysis.page.writer import Writer
from analysis.reading.knob_text import range_text, set_flags
from analysis.reading.study_data import StudyData
from analysis.reading.wording import p_value, percent, percent_within, value_text
from analysis.search.columns import is_choice
from analysis.search.importance import Importances
from analysis.search.slices import Effect, Slice


def standing_blocks(study: StudyData, slices: Sequence[Slice], importances: Importances, writer: Writer) -> list[Block]:
    """Return a table with one row per knob whose effect is known, the clearest first, and its values as flags.

    Nothing without such a knob.
    """
    known = {found.knob.name: (found.knob, found.effect) for found in slices if found.effect is not None}
    reference = study.space.reference_point()
    raw, rows, taken = [], [], {knob.name: knob.reference for knob in study.knobs}
    for judged in importances.of("all").to_dict("records"):
        name, matters = str(judged["knob"]), bool(judged["matters"])
        if name not in known:
            continue
        knob, effect = known[name]
        ordered = not is_choice(knob)
        places = _stand(effect, matters=matters, ordered=ordered)
        told = _told(effect, places, ordered=ordered)
        cost = effect.curve.costs_at_most(places)
        at = effect.nearest(knob, reference[name]) if name in reference else None
        of_reference = effect.curve.cost(at) if at is not None else (np.nan, np.nan, np.nan)
        if matters and at not in places:
            taken[name] = effect.best_value(knob)
        ends = str(effect.values[places[0]]), str(effect.values[places[-1]])
        raw.append((name, matters, judged["p_family"], *ends, taken[name], cost, *of_reference))
        rows.append(
            (
                name,
                range_text(knob),
                told if matters else f"open: {told}",
                value_text(taken[name], digits=2),
                percent(cost),
                percent_within(*of_reference),
                f"{'matters' if matters else 'not shown to matter'}, p {p_value(judged['p_family'])}",
            )
        )
    if not rows:
        return []
    names = ["knob", "matters", "p_family", "from", "to", "value", "costs_at_most", "reference_costs", "low", "high"]
    return [
        writer.table(
            "standing",
            pd.DataFrame(raw, columns=names),
            columns=("knob", "searched", "stand in", "value", "costs there at most", "the reference costs", "evidence"),
            rows=rows,
            caption=(
                "Where each knob should stand, the clearest knob first. A knob that matters has a range around its "
                "best value: the values that are not told from it (95 %). The other knobs are open: what stands there "
                "is the range that was tried. The value is the reference, unless it is told to be worse. Costs are "
                "points of validation balanced accuracy behind the best value of the knob, with the other knobs as in "
                "the trials' mean. A cost at most is a 95 % bound, which may "
                "be too small on a narrow peak; in parentheses stand one-sided 95 % bounds. A large bound says that "
                "the trials know little."
            ),
        ),
        Code(
            "These values as fixed knobs: each was judged on its own, and they were not trained together",
            set_flags(study.space.active(taken)),
        ),
    ]


def _stand(effect: Effect, *, matters: bool, ordered: bool) -> npt.NDArray[np.int64]:
    """Return the places where the knob may stand: all of them, or those not told from the best and joined to it."""
    allowed, best = effect.curve.not_below_best, effect.curve.best
    if not matters:
        return np.arange(len(allowed))
    if not ordered:
        return np.flatnonzero(allowed)
    below = np.flatnonzero(~allowed)
    return np.arange(below[below < best].max(initial=-1) + 1, below[below > best].min(initial=len(allowed)))


def _told(effect: Effect, places: npt.NDArray[np.int64], *, ordered: bool) -> str:
    if not ordered:
        *some, last = (str(effect.values[place]) for place in places)
        return f"{', '.join(some)} or {last}" if some else last
    return f"{effect.values[places[0]]:.2g} to {effect.values[places[-1]]:.2g}"
