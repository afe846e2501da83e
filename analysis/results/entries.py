"""The entries of a confirmation: their names and order, the baselines of the claim, and the values of best1."""

import re
from collections.abc import Container, Iterable, Mapping
from typing import Any

from analysis.reading.study_data import StudyData
from study.schema import BEST as BEST
from study.schema import COMPARED, TUNED_SUFFIX
from trainables.cckd.losses.inert_knobs import inert_knobs
from trainables.cckd.methods import METHODS, Knobs

TEACHER = "teacher"
LA_TUNED = "la" + TUNED_SUFFIX

#: What each baseline is, in words; gains are measured over the first.
BASELINES = dict(zip(COMPARED, ("logit adjustment", "logit adjustment with classic distillation"), strict=True))

#: Entries over which gains are shown: the baselines, at their reference points and tuned.
OVER = (*BASELINES, *(name + TUNED_SUFFIX for name in BASELINES))

_SEARCHED = re.compile(r"best\d+")
_ORDER = (TEACHER, *(name for rung in METHODS for name in (rung, rung + TUNED_SUFFIX)))


def entries_in_order(entries: Iterable[str]) -> list[str]:
    """Return the distinct entries in order: the teacher, the ladder's rungs from the lowest, the searched entries.

    A rung that is not known is a user's own method, whose module need not be at hand; it is the ladder's last.
    """
    present = set(entries)
    known = [name for name in _ORDER if name in present]
    others = sorted(present - set(known), key=lambda name: (_SEARCHED.fullmatch(name) is not None, len(name), name))
    return known + others


def compared_entry(baseline: str, present: Container[str]) -> str:
    """Return the entry that stands for a baseline: its tuned entry if that is present, else the baseline itself."""
    return baseline + TUNED_SUFFIX if baseline + TUNED_SUFFIX in present else baseline


def compared_entries(present: Container[str]) -> tuple[str, ...]:
    """Return the present entries that the claim compares with: at most one for each of BASELINES."""
    return tuple(name for name in (compared_entry(baseline, present) for baseline in BASELINES) if name in present)


def planned_entries(plan: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the entries that the claim is to compare with by the plan of study.json, whether they have runs or not.

    A baseline that is to be tuned is compared as tuned. A plan of an earlier version may leave a baseline out.
    """
    tuned, ladder = plan.get("tuned_baselines") or (), plan.get("ladder")
    named = BASELINES if not isinstance(ladder, list) else [name for name in BASELINES if name in (*ladder, *tuned)]
    return tuple(name + TUNED_SUFFIX if name in tuned else name for name in named)


def both_forms(present: Container[str]) -> list[str]:
    """Return the present baselines, each at its reference point and then tuned."""
    names = (name for baseline in BASELINES for name in (baseline, compared_entry(baseline, present)))
    return list(dict.fromkeys(name for name in names if name in present))


def baseline_text(entry: str) -> str:
    """Return e.g. 'logit adjustment (la)' or 'tuned logit adjustment (la_tuned)'."""
    baseline = entry.removesuffix(TUNED_SUFFIX)
    return f"{'tuned ' * (entry != baseline)}{BASELINES[baseline]} ({entry})"


def values_of_best(study: StudyData) -> dict[str, Any]:
    """Return every known value that best1 trains with, by name: knobs of its method and training settings.

    The method's reference values come first, then the recipe's settings, what the space fixes, what `--set` fixes, and
    the searched values of the best trial. Each takes precedence over those before it. A searched knob that the trial
    does not have stands at its reference.
    """
    plan, best = study.manifest["plan"], study.best
    return {
        **METHODS.get(study.space.method, {}),
        **plan.get("recipe_settings", {}),
        **study.space.fixed,
        **plan.get("overrides", {}),
        **(best.params if best else {}),
    }


def used_value_of_best(study: StudyData, name: str) -> Any:
    """Return the value of a knob or setting that best1 trains with; None where nothing in its training reads it.

    A searched knob that the trial does not have, and a knob that no term reads at the values of the others, have none.
    """
    values = values_of_best(study)
    if name in study.space.distributions:
        return study.best.params.get(name) if study.best else None
    of_method = {knob: value for knob, value in values.items() if knob in Knobs.model_fields}
    known_method = study.space.method in METHODS  # a user's own method need not be at hand
    if known_method and name in of_method and inert_knobs(Knobs.model_validate(of_method), [name], tuple(of_method)):
        return None
    return values.get(name)
