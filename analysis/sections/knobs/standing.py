"""Where each knob should stand: the range not told from its best place, what the rest costs, and a value to take."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.page.document import Block, Code, Paragraph
from analysis.page.writer import Writer
from analysis.reading.knob_text import point_line, range_text, where_active
from analysis.reading.study_data import StudyData
from analysis.reading.wording import EXACT, listing, p_value, percent, percent_within, value_text
from analysis.search.columns import is_choice
from analysis.search.importance import Importances
from analysis.search.slices import Effect, Slice


def standing_blocks(study: StudyData, slices: Sequence[Slice], importances: Importances, writer: Writer) -> list[Block]:
    """Return what to set first, one row per knob whose effect is known, the clearest first, and its values as a point.

    Nothing where no knob's effect is known, and no point where all values are the references.
    """
    known = {found.knob.name: (found.knob, found.effect) for found in slices if found.effect is not None}
    reference = study.space.reference_point()
    raw, rows, taken = [], [], {knob.name: knob.reference for knob in study.knobs}
    for judged in importances.of("all").to_dict("records"):
        name, matters = str(judged["knob"]), bool(judged["matters"])
        if name not in known:
            continue
        knob, effect = known[name]
        places = _stand(effect, matters=matters, ordered=not is_choice(knob))
        told = effect.told(knob, places)
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
                value_text(taken[name], digits=EXACT),
                told if matters else f"open: {told}",
                f"{'yes' if matters else 'no'}, p {p_value(judged['p_family'])}",
                percent_within(*of_reference),
                percent(cost),
                range_text(knob),
            )
        )
    if not rows:
        return []
    point = study.space.active(taken)
    moved = {name for name, value in point.items() if value != reference.get(name)}
    apart = {name: where_active(study.space, name) for name in taken if name not in point}
    unknown = [name for name in importances.named("all") if name not in known]
    names = ["knob", "matters", "p_family", "from", "to", "value", "costs_at_most", "reference_costs", "low", "high"]
    return [
        Paragraph(_advice(raw, {row[0]: row[1:3] for row in rows}, moved, apart, unknown) + _for_groups(importances)),
        writer.table(
            "standing",
            pd.DataFrame(raw, columns=names),
            columns=(
                *("knob", "value", "stand in", "shown to matter", "the reference costs", "costs there at most"),
                "searched",
            ),
            rows=rows,
            caption=(
                "The clearest knob first. The value is the reference. Of a knob that matters it is the best one, where "
                "the reference is told from it or does not have the knob. A knob that matters stands in the values not "
                "told from its best one (95 %), an open knob in the range that was tried. Costs are points of "
                "validation balanced accuracy behind the knob's best value, with the other knobs as in the trials' "
                "mean. A cost at most is a 95 % bound, which may be too small on a very narrow peak. Parentheses hold "
                "one-sided 95 % bounds, each for its knob alone."
            ),
        ),
        *_together(study, point),
    ]


def _together(study: StudyData, point: Mapping[str, Any]) -> list[Block]:
    """Return the values as a point that a study of this space can train; nothing where it has done so: trial 0."""
    if point == study.space.reference_point():
        return []
    return [
        Code(
            f"These values as a file for --points, in the space {study.space.name}: each was judged on its own, and "
            "they were not trained together",
            point_line(point),
        )
    ]


def _advice(
    raw: Sequence[tuple[Any, ...]],
    stand: Mapping[str, Sequence[str]],
    moved: Collection[str],
    apart: Mapping[str, str],
    unknown: Sequence[str],
) -> str:
    """Say which knob to set first, to what, how sure that is, and what it costs to leave a knob at its reference.

    Args:
        raw: rows of the table's numbers.
        stand: knob -> its value and its range, as the table says them.
        moved: the knobs whose value is not the reference.
        apart: the knobs that do not exist beside the others' values -> where they do.
        unknown: knobs that matter, but have too few trials for an effect.
    """
    matter = [row for row in raw if row[1]]
    if not matter and not unknown:
        costs = {row[0]: float(row[-1]) for row in raw if row[-1] == row[-1]}
        dearest = max(costs, key=lambda name: costs[name], default=None)
        surest = p_value(min(row[2] for row in raw))
        none = f"No knob is shown to matter for all classes (p {surest} or more), so there is none to set first."
        if dearest is None:
            return none
        bound = f"costs at most {percent(costs[dearest])} points ({dearest})"
        return f"{none} Keep the reference values: one knob left there {bound}; the table has the bound of each."
    said: list[str] = []
    for name, _, p, *_, cost, low, high in sorted(matter, key=lambda row: row[0] in apart):
        value, told = stand[name]
        elsewhere = f", or elsewhere in {told}" if " " in told else ""
        if name in apart:
            said.append(f"Where {apart[name]}, set {name} to {value}{elsewhere} (p {p_value(p)}).")
            continue
        where = f"set {name} to {value}" if name in moved else f"keep {name} at its reference {value}"
        said.append(f"{'Then' if said else 'First'} {where}{elsewhere} (p {p_value(p)}).")
        if name in moved and cost == cost:
            said.append(f"Left at its reference it costs {percent_within(cost, low, high)} points.")
    if unknown:
        verb = "matters" if len(unknown) == 1 else "matter"
        said.append(f"{listing(list(unknown))} {verb}, but too few trials show at which values.")
    if len(matter) < len(raw):
        said.append("The other knobs are open; the table bounds what each may cost.")
    return " ".join(said)


def _for_groups(importances: Importances) -> str:
    """Say which further knobs matter for groups of classes; nothing where none does."""
    everywhere = importances.named("all")
    names = list(dict.fromkeys(effect.knob for effect in importances.groups if effect.knob not in everywhere))
    if not names:
        return ""
    verb, what = ("matters", "it") if len(names) == 1 else ("matter", "them")
    return f" For groups of classes {listing(names)} {verb}: set {what} by the group that counts for you."


def _stand(effect: Effect, *, matters: bool, ordered: bool) -> npt.NDArray[np.int64]:
    """Return the places where the knob may stand: all of them, or those not told from the best and joined to it."""
    allowed, best = effect.curve.not_below_best, effect.curve.best
    if not matters:
        return np.arange(len(allowed))
    if not ordered:
        return np.flatnonzero(allowed)
    below = np.flatnonzero(~allowed)
    return np.arange(below[below < best].max(initial=-1) + 1, below[below > best].min(initial=len(allowed)))
