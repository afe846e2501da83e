"""The first screen of the report: a headline, the sentences that support it, and warnings."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.reading.failed_runs import FailedRun
from analysis.reading.study_data import StudyData
from analysis.reading.wording import length_not_measured, listing, not_trained_out, percent, plural, still_climb
from analysis.results.accuracies import scores
from analysis.results.claim_sentences import chosen_by, claim_sentences, conditions
from analysis.results.comparisons import Comparison, claim_terms, primary_family, unit_values
from analysis.results.entries import BEST, TEACHER, baseline_text
from analysis.results.subset_gains import subset_sentences
from analysis.results.training_length import LengthCheck, check_length
from analysis.results.tuned_baselines import tuning_warnings
from analysis.search.front import front_sentences
from analysis.search.history import state_counts
from analysis.search.importance import Importances, importance_sentences
from analysis.stats.paired_tests import MIN_PAIRS, spread
from study.schema import CAUTIONS, CautionReason


@dataclass(frozen=True)
class Findings:
    """`headline` in a few words, the `sentences` that support it, and the `warnings` a reader must see."""

    headline: str
    sentences: tuple[str, ...]
    warnings: tuple[str, ...]


def find(study: StudyData, importances: Importances) -> Findings:
    """Return the findings of a study. Every claim rests on a paired t test, Holm-adjusted."""
    table = scores(study)
    family = primary_family(table, claim_terms(study))
    check = check_length(study)
    said = claim_sentences(study, table, family, check) if family else _unconfirmed(study, table)
    rest = [*front_sentences(study), *_guard_sentences(study), *(subset_sentences(study) if family else [])]
    sentences = [*said, *rest, *importance_sentences(importances), *([conditions(study)] if len(table) else [])]
    return Findings(_headline(study, family, check), tuple(sentences), _warnings(study, table, check))


def _headline(study: StudyData, family: tuple[Comparison, ...], check: LengthCheck) -> str:
    if not study.complete:
        return "Nothing to report yet: no trial has run to the end" if study.running else "No trial ran to the end"
    if study.running:
        return "Still running: these results will change"
    if not family:
        return "A best configuration, not yet confirmed on the test set"
    verdicts = {comparison.baseline: comparison.verdict for comparison in family}
    gained, lost, incomplete = (
        [name for name, verdict in verdicts.items() if verdict == wanted] for wanted in ("gain", "loss", "incomplete")
    )
    if "too few" in verdicts.values():
        return f"An indication only: fewer than {MIN_PAIRS} seeds"
    if len(incomplete) == len(verdicts):
        return "No claim: runs of the confirmation are missing"
    unclear = [name for name in verdicts if name not in (*gained, *lost, *incomplete)]
    missing = [f"none claimed over {_named(incomplete)}, whose runs are incomplete"] if incomplete else []
    if not gained and not lost:
        return ", ".join([f"No gain shown over {_named(unclear)}", *missing])
    climbing = [name for name in (*gained, *lost) if check.climbing(BEST, name)]
    if len(climbing) == len(gained) + len(lost):
        names = check.climbing(BEST, *climbing)
        return f"No claim: {still_climb(names)} at {plural(check.epochs, 'epoch')}"
    gained, lost = ([name for name in names if name not in climbing] for names in (gained, lost))
    worse = [f"{'Worse' if gained else 'No gain: worse'} than {_named(lost)}"] if lost else []
    rest = [f"none shown over {_named(unclear)}"] if unclear else []
    rest += [f"none claimed over {_named([name])}, which still climbs" for name in climbing]
    said = ", ".join([*worse, *_gains(gained, check), *rest, *missing])
    return f"{said[:1].upper()}{said[1:]}"


def _gains(baselines: list[str], check: LengthCheck) -> list[str]:
    """Say over which baselines there is a gain, and what a longer training leaves of it; nothing without any."""
    by_fate: dict[str, list[str]] = {}
    for name in baselines:
        by_fate.setdefault(check.fate(name), []).append(name)
    longer = f"at {check.longer_epochs} epochs{check.own_text}"
    words = {fate: f"that {fate} {longer}" for fate in ("holds", "shrinks", "vanishes")}
    words["not seen"] = f"that is not seen {longer}, where the seeds cannot tell"
    unchecked = f"at {plural(check.epochs, 'epoch')}, not checked at more"
    words |= {"open": f"that is open {longer}", "unchecked": unchecked}
    return [f"a gain over {_named(names)} {words[fate]}" for fate, names in by_fate.items()]


def _named(baselines: list[str]) -> str:
    return listing([baseline_text(name) for name in baselines])


def _unconfirmed(study: StudyData, table: pd.DataFrame) -> list[str]:
    counts = state_counts(study)
    states = f"{counts['COMPLETE']} complete, {counts['PRUNED']} pruned, {counts['FAIL']} failed"
    if study.best is None or study.best.value is None:
        return [f"Of {plural(len(study.trials), 'trial')} none is complete ({states}), so nothing can be concluded."]
    number, score = study.best.number, percent(study.best.value)
    said = (
        [
            f"Trial {number} is the best of {plural(counts['COMPLETE'], 'complete trial')} with {score} % balanced "
            f"accuracy on validation ({states}).",
            "The highest of many noisy values lies above its own mean.",
        ]
        if study.best is study.highest_scoring
        else [f"Trial {number} is chosen {chosen_by(study)}; its single run scored {score} % there ({states})."]
    )
    said.append(
        "No gain is claimed without a confirmation, which trains the trial with fresh seeds beside the ladder, and "
        "opens the test set."
    )
    reference = next((item for item in study.complete if item.user_attrs.get("kind") == "reference"), None)
    if reference is not None and reference.value is not None and reference is not study.best:
        said.insert(1, f"The method's reference point (trial {reference.number}) scored {percent(reference.value)} %.")
    if len(table):
        runs = plural(int((table["entry"] != TEACHER).sum()), "run")
        under_way = f"The confirmation is under way: {runs} so far."
        said.append(under_way if study.running else f"The confirmation has {runs}, but compares nothing yet.")
    return said


def _warnings(study: StudyData, table: pd.DataFrame, check: LengthCheck) -> tuple[str, ...]:
    data, warnings = study.manifest["data"], []
    if data.get("selected_on") == "test":
        warnings.append("Selected on test: configurations were chosen on the set they are reported on.")
    # The first warning above says it in the report's words.
    said = [text for reason, text in _cautions(study) if reason != CautionReason.SELECTED_ON_TEST]
    warnings += [f"{text[:1].upper()}{text[1:]}." for text in said]
    warnings += [*_failure_warnings(study), *_training_warnings(study, check)]
    if data.get("fallback_from"):
        warnings.append(f"{data['name']} stands in for {data['fallback_from']}: {data['fallback_reason']}.")
    on_val = _below_on_val(study)
    teacher, base = (spread(unit_values(table, name)) for name in (TEACHER, "la"))
    if not on_val and teacher.n and base.n and teacher.mean < base.mean:
        warnings.append(
            f"The teacher ({percent(teacher.mean)} %) lies below la on test ({percent(base.mean)} %): "
            "expect little from distilling it."
        )
    warnings += [*on_val, *_guard_warnings(study), *tuning_warnings(study, table)]
    if study.running:
        warnings.append("The study was still running when this report was made.")
    elif study.manifest["status"] in ("interrupted", "failed"):
        warnings.append(f"The study is marked {study.manifest['status']}: it holds less than was planned.")
    return tuple(warnings)


def _failure_warnings(study: StudyData) -> list[str]:
    """Say which runs of the confirmation diverged, and so count at chance, and which ones the machine lost."""
    warnings = []
    if diverged := [run for run in study.failed if run.diverged]:
        chance = percent(1 / len(study.manifest["data"]["classes"]))
        warnings.append(
            f"Diverged (the loss became NaN or infinite): {_per_entry(diverged)}. Such a run counts in every mean, "
            f"gain and test with an accuracy of {chance} %, which is chance."
        )
    if lost := [run for run in study.failed if not run.diverged]:
        causes = listing(sorted({run.cause.partition(":")[0] for run in lost}))
        warnings.append(
            f"Lost ({causes}): {_per_entry(lost)}. Nothing stands for such a run, so comparisons that need it are "
            "incomplete. study.resume with a higher --max-retries trains it again."
        )
    return warnings


def _per_entry(runs: list[FailedRun]) -> str:
    counts = Counter((run.key.entry, run.key.epochs_factor) for run in runs)
    return listing(
        [
            f"{plural(n, 'run')} of {entry}{f' at {factor} times the epochs' if factor > 1 else ''}"
            for (entry, factor), n in counts.items()
        ]
    )


def _cautions(study: StudyData) -> list[tuple[object, str]]:
    """Return (reason, sentence) of what study.json says of data and teacher; a stranger's may hold anything."""
    found = study.manifest.get(CAUTIONS)
    # A sentence alone is how study.json had them before each had a reason.
    rows = [item if isinstance(item, dict) else {"text": item} for item in found] if isinstance(found, list) else []
    return [(row.get("reason"), text) for row in rows if isinstance(text := row.get("text"), str)]


def _training_warnings(study: StudyData, check: LengthCheck) -> list[str]:
    """Say what is wrong with the training length by the recipe, and where the longer runs show nothing of it."""
    reason, unknown = not_trained_out(study.manifest), length_not_measured(study.manifest)
    if reason is None and unknown is None:
        return []
    flat = [name for name, found in check.states.items() if found.state == "trained out"]
    measured = (
        f" This is by the recipe; the runs at {check.longer_epochs} epochs show no further rise of {listing(flat)}."
        if flat
        else ""
    )
    said = f"{unknown[:1].upper()}{unknown[1:]}" if reason is None and unknown else f"Not trained out: {reason}"
    return [f"{said}.{measured}"]


def _below_on_val(study: StudyData) -> list[str]:
    """Warn where the teacher lies below la on validation, the set on which choices are made."""
    own = (study.manifest["teacher"] or {}).get("val_balanced_accuracy")
    la = spread(study.confirm.loc[study.confirm["entry"] == "la", "val_balanced_accuracy"])
    if own is None or not la.n or own >= la.mean:
        return []
    return [
        f"The teacher ({percent(own)} %) lies below la on validation ({percent(la.mean)} %, "
        f"mean of {plural(la.n, 'seed')}): results of distilling from it are a finding about this "
        "teacher, not about the method."
    ]


def _guard_sentences(study: StudyData) -> list[str]:
    """Say how many trials keep the guards, where at least one does."""
    outcome = _guard_outcome(study)
    kept, complete = outcome.get("kept"), outcome.get("complete")
    if isinstance(outcome.get("unmet"), str) or not isinstance(kept, int) or not isinstance(complete, int):
        return []
    return [
        f"Only configurations that {listing(_guards(study))} on validation could become best1: {kept} of "
        f"{plural(complete, 'complete trial')} do."
    ]


def _guard_warnings(study: StudyData) -> list[str]:
    """Say why best1 was chosen without the guards, where it was."""
    unmet = _guard_outcome(study).get("unmet")
    if not isinstance(unmet, str):
        return []
    return [f"The guard did not decide: {unmet}, so best1 is chosen as if there were no guard."]


def _guard_outcome(study: StudyData) -> dict[str, Any]:
    """Return the counts of study.json, or why the guards decided nothing; empty without guards.

    A stranger's study.json may hold anything.
    """
    found = study.manifest.get("guards")
    return found if isinstance(found, dict) and _guards(study) else {}


def _guards(study: StudyData) -> list[str]:
    guards = study.manifest["plan"].get("guards")
    wanted = guards.items() if isinstance(guards, dict) else ()
    return [
        f"{'gain at least' if points < 0 else 'lose at most'} {_points(abs(points))} of {group.capitalize()}"
        + (" to the reference point" if place == 0 else "")
        for place, (group, points) in enumerate(wanted)
        if type(points) is float
    ]


def _points(size: float) -> str:
    return "1 point" if size == 1 else f"{size:g} points"
