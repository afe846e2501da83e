"""Baselines that were tuned as the studied method was: their searches, their gain from tuning, and the claim."""

from dataclasses import dataclass

import pandas as pd

from analysis.reading.study_data import StudyData
from analysis.reading.wording import listing, plural, points, span, still_climb
from analysis.results.comparisons import Comparison, paired_gain
from analysis.results.entries import BASELINES, BEST
from analysis.results.training_length import FALLEN, LengthCheck
from analysis.search.history import state_counts
from analysis.stats.paired_tests import PairedInterval
from study.schema import TUNED_SUFFIX

#: States of a trial that has ended.
_ENDED = ("COMPLETE", "PRUNED", "FAIL")


@dataclass(frozen=True)
class TunedBaseline:
    """The search of a tuned baseline and its result.

    Attributes:
        name: the method; its entry is `name`_tuned.
        counts: trials by state.
        chosen: number of the trial that is confirmed, in the baseline's own search; None where nothing is chosen yet.
        params: its searched knobs.
        searched: its value on D_val in the search, a fraction; NaN without one.
        fresh: mean on D_val when trained again, over `n_fresh` seeds; NaN without them.
        gain: on test, the tuned entry minus the same method at its reference point.
    """

    name: str
    counts: dict[str, int]
    chosen: int | None
    params: dict[str, object]
    searched: float
    fresh: float
    n_fresh: int
    gain: PairedInterval


def tuned_baselines(study: StudyData, table: pd.DataFrame) -> tuple[TunedBaseline, ...]:
    """Return every baseline that has a search of its own; `table` comes from `accuracies.scores`."""
    found = []
    for name, trials in study.baselines.groupby("baseline", sort=False):
        chosen = _chosen(study, str(name))
        row = trials[trials["number"] == chosen].to_dict("records")[:1]
        values = {str(key): value for key, value in (row[0] if row else {}).items()}
        knobs = {key.removeprefix("config/"): value for key, value in values.items() if key.startswith("config/")}
        found.append(
            TunedBaseline(
                name=str(name),
                counts={str(state): int(n) for state, n in trials["state"].value_counts().items()},
                chosen=chosen,
                params={knob: value for knob, value in knobs.items() if not pd.isna(value)},
                searched=float(values.get("val_balanced_accuracy_last", float("nan"))),
                fresh=float(values.get("fresh_val_balanced_accuracy", float("nan"))),
                n_fresh=int(values.get("fresh_runs", 0)),
                gain=paired_gain(table, f"{name}{TUNED_SUFFIX}", str(name)),
            )
        )
    return tuple(found)


def untuned_gains(table: pd.DataFrame, family: tuple[Comparison, ...]) -> dict[str, PairedInterval]:
    """Return best1's gain over the reference point of each baseline that the family holds tuned: descriptive."""
    present = set(table["entry"])
    names = [item.baseline.removesuffix(TUNED_SUFFIX) for item in family if item.baseline not in BASELINES]
    return {name: paired_gain(table, BEST, name) for name in names if name in present}


def tuning_sentences(
    study: StudyData, table: pd.DataFrame, family: tuple[Comparison, ...], check: LengthCheck
) -> list[str]:
    """Say on what the claim rests, and whether the gain survives against baselines tuned at the same budget."""
    tuned = [item for item in family if item.baseline not in BASELINES]
    if not tuned:
        names = listing([item.baseline for item in family])
        have = "have" if len(family) > 1 else "has"
        return [
            f"How {study.space.method} compares with tuned baselines is open: {names} {have} reference values, while "
            f"{study.space.method} was searched. study.confirm with --tuned-baselines gives them the same budget."
        ]
    untuned = untuned_gains(table, family)
    beside = listing([f"{points(gain.mean)} points to {name} ({span(gain)})" for name, gain in untuned.items()])
    point = "their reference points" if len(untuned) > 1 else "its reference point"
    rest = f" At {point} the difference is {beside}. This is not tested." if beside else ""
    others = [item.baseline for item in family if item.baseline in BASELINES]
    at_reference = f" {listing(others)} has reference values." if others else ""
    names = listing([item.baseline for item in tuned])
    fresh = f" The choice is by fresh runs, as for {study.space.method}." if chooses_by_fresh_runs(study) else ""
    return [
        f"{_survives(tuned, check)} The claim rests on {names}, {_budget(study, tuned)}.{fresh}{at_reference}{rest}"
    ]


def chooses_by_fresh_runs(study: StudyData) -> bool:
    """Return whether the plan has finalists, which are trained again to choose among them."""
    plan = study.manifest["plan"]
    return bool(plan.get("finalists") and plan.get("finalist_seeds"))


def _budget(study: StudyData, tuned: list[Comparison]) -> str:
    """Say how many trials the searches of the baselines ended, and how many that of the method did if others."""
    ended = study.baselines[study.baselines["state"].isin(_ENDED)]
    counts = [int((ended["baseline"] == item.baseline.removesuffix(TUNED_SUFFIX)).sum()) for item in tuned]
    own = sum(state_counts(study)[state] for state in _ENDED)
    beside = f", where {study.space.method} had {own}" if set(counts) != {own} else ""
    if len(set(counts)) == 1:
        return f"{'each ' * (len(tuned) > 1)}with a search of {plural(counts[0], 'trial')}{beside}"
    return f"with searches of {listing([str(n) for n in counts])} trials{beside}"


def tuning_warnings(study: StudyData, table: pd.DataFrame) -> list[str]:
    """Warn where a baseline was to be tuned and its tuned entry is not confirmed."""
    planned = study.manifest["plan"].get("tuned_baselines") or ()
    present = set(table["entry"])
    absent = [str(name) for name in planned if BEST in present and f"{name}{TUNED_SUFFIX}" not in present]
    if not absent:
        return []
    return [
        f"{listing(absent)} should be tuned too, but no tuned entry is confirmed: no gain over "
        f"{listing([name + TUNED_SUFFIX for name in absent])} is claimed."
    ]


def _survives(tuned: list[Comparison], check: LengthCheck) -> str:
    verdicts = {item.baseline: item.verdict for item in tuned}
    gained = [name for name, verdict in verdicts.items() if verdict == "gain"]
    if "too few" in verdicts.values():
        return "Whether a gain stands against tuned baselines cannot be said from so few seeds."
    if unknown := [name for name, verdict in verdicts.items() if verdict == "incomplete"]:
        return f"Whether a gain stands against tuned baselines cannot be said: runs of {listing(unknown)} are missing."
    if climbing := check.climbing(BEST, *gained) if gained else []:
        held = [name for name in gained if check.climbing(BEST, name)]
        rivals = "tuned baselines" if len(held) == len(tuned) else listing(held)
        return f"No claim against {rivals}: {still_climb(climbing)}."
    if fallen := [name for name in gained if check.fate(name) in FALLEN]:
        return _fallen(fallen, check)
    if len(gained) == len(tuned):
        return "The gain survives against tuned baselines."
    if gained:
        lost = [name for name in verdicts if name not in gained]
        return f"The gain survives against {listing(gained)}; against {listing(lost)} no gain is shown."
    return "No gain is shown against tuned baselines."


def _fallen(baselines: list[str], check: LengthCheck) -> str:
    """Say of gains that no longer training leaves whether their fall is shown, or whether the seeds cannot tell."""
    by_fate = {fate: [name for name in baselines if check.fate(name) == fate] for fate in FALLEN}
    ends = {"vanishes": "does not stand", "not seen": "is not seen, but these seeds cannot tell"}
    at = f"At a longer training{check.own_text}"
    return " ".join(f"{at} the gain over {listing(names)} {ends[fate]}." for fate, names in by_fate.items() if names)


def _chosen(study: StudyData, name: str) -> int | None:
    """Return the confirmed trial; before the confirmation the trial that the selection chose."""
    entry = study.manifest.get("confirm_entries", {}).get(name + TUNED_SUFFIX)
    known = entry or study.manifest.get("tuned_baselines", {}).get(name, {})
    number = known.get("trial", known.get("chosen_trial"))
    return None if number is None else int(number)
