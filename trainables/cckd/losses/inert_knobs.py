"""Knobs that no term reads at the values of the others, with the reason in words.

Ignored, such a knob would look insensitive in a sensitivity study.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from trainables.cckd.losses.terms import D_MIX_KNOBS, TERMS, Samples, Term, terms_on
from trainables.cckd.methods import Knobs


@dataclass(frozen=True)
class Inert:
    """Why a knob has no effect.

    Attributes:
        because: the reason, e.g. 'mix_ratio is 0 (there is no D_mix)'.
        causes: the knobs whose values are the reason.
    """

    because: str
    causes: tuple[str, ...]


def inert_knobs(knobs: Knobs, names: Iterable[str], used: Collection[str]) -> dict[str, Inert]:
    """Return those of `names` that no term with a positive weight reads.

    A knob that switches something off is not inert: a weight or a share of 0, or a switch that is false.

    Args:
        knobs: the values.
        names: the knobs that are judged.
        used: every knob that the method uses; the reasons name no other.
    """
    read = {knob for term in terms_on(knobs) for knob in term.knobs}
    if not knobs.mix_ratio:  # imitation is then on D alone
        read -= set(D_MIX_KNOBS)
    inert = [name for name in names if name not in read and not _switches_off(name, knobs)]
    return {name: _reason(name, knobs, used) for name in inert}


def listing(items: Sequence[str], word: str) -> str:
    """Join the items with commas, and the last one with `word`."""
    *first, last = items
    return f"{', '.join(first)} {word} {last}" if first else last


def _switches_off(name: str, knobs: Knobs) -> bool:
    # At 0 the other knobs of D_mix say how to mix, not that nothing is mixed.
    return name == "use_kd" or (not getattr(knobs, name) and (name == "mix_ratio" or name not in D_MIX_KNOBS))


def _reason(name: str, knobs: Knobs, used: Collection[str]) -> Inert:
    found = dict(cause for term in TERMS if name in term.knobs for cause in _causes(name, term, knobs, used))
    return Inert(listing(list(found.values()), "and"), tuple(found))


def _causes(name: str, term: Term, knobs: Knobs, used: Collection[str]) -> Iterable[tuple[str, str]]:
    """Yield what keeps `term` from reading the knob: the knob at fault, and its value in words."""
    of_the_method = all(weight in used or (weight == "kd_weight" and "use_kd" in used) for weight in term.weighed_by)
    if not of_the_method:
        return
    if not knobs.mix_ratio and (name in D_MIX_KNOBS or Samples.PLAIN not in term.samples):
        yield "mix_ratio", "mix_ratio is 0 (there is no D_mix)"
    for weight in term.weighed_by:
        if weight not in used:
            yield "use_kd", "use_kd is false"
        elif not getattr(knobs, weight):
            yield weight, f"{weight} is 0"
