"""The first screen: what was found, how sure, and at what price for the head, in plain sentences."""

from dataclasses import dataclass
from math import isnan

import pandas as pd

from analysis.reading.study_data import Study
from analysis.reading.wording import bounds, listing, p_value, percent, plural, points
from analysis.results.front import told_front
from analysis.results.guard_sentences import guard_warnings, told_guards
from analysis.results.ladder import (
    BASELINES,
    BEST,
    TEACHER,
    Comparison,
    claims_by_cut,
    paired_gain,
    primary_family,
    rival,
    rival_in_words,
    scores,
    unit_values,
)
from analysis.results.subset_gains import told_over_cuts
from analysis.results.tuned_baselines import rival_warnings, told_rivals
from analysis.search.history import state_counts
from analysis.search.importance import SETTLED_TRIALS, Importances
from analysis.stats.paired_tests import MIN_PAIRS, PairedInterval, Verdict, spread


@dataclass(frozen=True)
class Findings:
    """`headline` in a few words, `sentences` that carry it, `warnings` a reader must not miss."""

    headline: str
    sentences: tuple[str, ...]
    warnings: tuple[str, ...]


def find(study: Study, importances: Importances) -> Findings:
    """Judge the study from its tables; every claim rests on a paired t test, Holm-adjusted."""
    table = scores(study)
    family = primary_family(table)
    said = _confirmed(study, table, family) if family else _unconfirmed(study, table)
    cuts = [*told_front(study), *told_guards(study), *(told_over_cuts(study) if family else [])]
    sentences = [*said, *cuts, *_importance(importances), *([conditional(study)] if len(table) else [])]
    return Findings(_headline(study, family), tuple(sentences), _warnings(study, table))


def conditional(study: Study) -> str:
    """What every interval of a gain covers, and what it is conditional on."""
    training, n_train = "the chance of training (initial weights, order, mixing)", study.manifest["data"]["n_train"]
    images = f"the chance of having drawn these {sum(n_train):,} training images"
    if claims_by_cut(study):
        return (
            f"Every interval over the {study.n_cuts} cuts of the long tail covers both {training} and {images}; it is "
            "conditional on the pool they were drawn from, on the validation and test images, and on a configuration "
            "that was searched on one of the cuts."
        )
    said = f"is conditional on one training subset: it covers {training}, not {images}"
    if study.n_cuts > 1:
        return (
            f"Every interval over seeds {said}. The interval over {study.n_cuts} cuts covers that too, but so few tell "
            "little of how cuts vary."
        )
    return f"Every interval {said}."


def _headline(study: Study, family: tuple[Comparison, ...]) -> str:
    if not study.complete:
        return "Nothing to report yet: no trial has run to the end" if study.running else "No trial ran to the end"
    if study.running:
        return "Still running: what stands here will change"
    if not family:
        return "A best configuration, not yet confirmed on the test set"
    verdicts = {comparison.baseline: comparison.verdict for comparison in family}
    gained = [name for name, verdict in verdicts.items() if verdict == "gain"]
    lost = [name for name, verdict in verdicts.items() if verdict == "loss"]
    if "too few" in verdicts.values():
        return f"An indication only: fewer than {MIN_PAIRS} seeds"
    if len(gained) == len(verdicts):
        return f"A gain over {listing(gained)}"
    if lost:
        return f"No gain: worse than {listing(lost)}"
    if gained:
        unclear = [name for name in verdicts if name not in gained]
        return f"A gain over {listing(gained)}, none shown over {listing(unclear)}"
    return f"No gain shown over {listing(list(verdicts))}"


def _confirmed(study: Study, table: pd.DataFrame, family: tuple[Comparison, ...]) -> list[str]:
    mean = spread(unit_values(table, BEST))
    name = f"The tuned {study.space.method} ({BEST})"
    over = plural(mean.n, "cut") + " of the long tail" if claims_by_cut(study) else plural(mean.n, "seed")
    reached = f"{name} reaches {percent(mean.mean)} % test balanced accuracy (mean of {over})"
    outcomes = [_outcome(item.interval, rival_in_words(item.baseline), verdict=item.verdict) for item in family]
    said = [f"{reached}; it {listing(outcomes)}.", *told_rivals(study, table, family), _certainty(family)]
    present = set(table["entry"])
    if (base := rival("la", present)) in present:
        few, many = (paired_gain(table, BEST, base, column=column) for column in ("few", "many"))
        said.append(_price(few, many, base))
    reference = study.space.method
    if reference in set(table["entry"]) and reference not in BASELINES:
        tuned = paired_gain(table, BEST, reference)
        told = _outcome(tuned, f"{reference} at its reference point", verdict=tuned.verdict)
        said.append(f"What tuning itself bought: {BEST} {told}.")
    return [*said, *_shrinkage(study, mean.mean)]


def _outcome(interval: PairedInterval, rival: str, *, verdict: Verdict) -> str:
    """Return e.g. 'beats la by 4.1 points (95 % interval +3.0 to +5.2)'."""
    if isnan(interval.mean):
        return f"cannot be compared with {rival}: they share no seed"
    size = f"{abs(100 * interval.mean):.1f} points"
    match verdict:
        case "gain":
            return f"beats {rival} by {size} {bounds(interval)}"
        case "loss":
            return f"falls behind {rival} by {size} {bounds(interval)}"
        case "unclear":
            apart = interval.verdict == "unclear"
            several = "" if apart else ", not enough once both comparisons are paid for"
            return f"cannot be told apart from {rival}: {points(interval.mean)} points {bounds(interval)}{several}"
        case "too few":
            return f"stands {size} {'above' if interval.mean >= 0 else 'below'} {rival} {bounds(interval)}"


def _certainty(family: tuple[Comparison, ...]) -> str:
    n = min(comparison.interval.n for comparison in family)
    if n < MIN_PAIRS:
        return f"With {plural(n, 'paired seed')} nothing is claimed; {MIN_PAIRS} are needed."
    tests = [
        f"over {item.baseline}: paired t, Holm-adjusted p {_p(item.p_holm)}, sign-flip p {_p(item.flip.p)}"
        for item in family
    ]
    first = family[0]
    smallest = p_value(first.flip.smallest_p)
    mute = (
        "" if first.flip_can_reject
        else f", {p_value(first.smallest_flip_holm)} after Holm, which can confirm nothing: the t test decides"
    )  # fmt: skip
    return f"How sure: {'; '.join(tests)} ({n} pairs cannot give a sign-flip p below {smallest}{mute})."


def _p(p: float) -> str:
    text = p_value(p)
    return text if text.startswith("<") else f"= {text}"


def _price(few: PairedInterval, many: PairedInterval, baseline: str) -> str:
    sides = [(name, gain) for name, gain in (("Few", few), ("Many", many)) if gain.n]
    if not sides:
        return "The head's price is not known: the Many and Few groups are empty."
    told = [f"{name} {points(gain.mean)} points {bounds(gain)}" for name, gain in sides]
    sentence = f"Where it comes from, against {baseline}: {listing(told)}."
    if len(sides) < 2 or "too few" in (few.verdict, many.verdict):
        return sentence
    if many.verdict == "loss" and few.mean > 0:
        cost = -many.mean / few.mean
        return f"{sentence} Each point gained on Few costs {cost:.2f} points on Many."
    verdicts = {"gain": "The head gains too.", "unclear": "No price for the head is shown.", "loss": "The head loses."}
    return f"{sentence} {verdicts[many.verdict]}"


def _shrinkage(study: Study, test_mean: float) -> list[str]:
    """What became of the search's own winner, and how best1 was chosen instead."""
    luckiest, fresh = study.luckiest, {finalist.trial: finalist.fresh for finalist in study.chosen_from}
    if luckiest is None or study.best is None:
        return []
    if study.best.number in fresh:
        chosen = fresh[study.best.number]
        told = (
            f"{BEST} is trial {study.best.number}, chosen among {plural(len(fresh), 'finalist')} by the mean of "
            f"{plural(chosen.n, 'fresh run')} on validation: {percent(chosen.mean)} % there, "
            f"{percent(test_mean)} % on test."
        )
        if luckiest.number not in fresh:
            return [told]
        return [
            f"{told} The highest single score of the search, {percent(luckiest.value)} % by trial {luckiest.number}, "
            f"was {percent(fresh[luckiest.number].mean)} % on average when trained again."
        ]
    again_rows = spread(study.confirm.loc[study.confirm["entry"] == BEST, "val_balanced_accuracy"])
    if study.best.value is None or not again_rows.n:
        return []
    outcome = "was partly lucky" if study.best.value > again_rows.mean else "held up"
    return [
        f"The best of {len(study.complete)} trials {outcome}: trial {study.best.number} scored "
        f"{percent(study.best.value)} % on validation in the search, {percent(again_rows.mean)} % there on average "
        f"when trained again with fresh seeds, and {percent(test_mean)} % on test."
    ]


def _unconfirmed(study: Study, table: pd.DataFrame) -> list[str]:
    counts = state_counts(study)
    states = f"{counts['COMPLETE']} complete, {counts['PRUNED']} pruned, {counts['FAIL']} failed"
    if study.best is None or study.best.value is None:
        return [f"Of {plural(len(study.trials), 'trial')} none is complete ({states}), so nothing can be concluded."]
    said = [
        f"Trial {study.best.number} is the best of {plural(counts['COMPLETE'], 'complete trial')} "
        f"with {percent(study.best.value)} % balanced accuracy on validation ({states}).",
        "The best of many noisy trials looks better than it is; no gain is claimed before the confirmation, "
        "which trains it again with fresh seeds beside the ladder and opens the test set.",
    ]
    reference = next((item for item in study.complete if item.user_attrs.get("kind") == "reference"), None)
    if reference is not None and reference.value is not None and reference is not study.best:
        said.insert(1, f"The method's reference point (trial {reference.number}) scored {percent(reference.value)} %.")
    if len(table):
        said.append(f"The confirmation is under way: {plural(len(table), 'run')} so far.")
    return said


def _importance(importances: Importances) -> list[str]:
    everyone = importances.of("all")
    if everyone.empty:
        return []
    above = everyone[everyone["above_chance"]]
    if above.empty:
        return [
            f"No knob is shown to matter: of {len(everyone)} none is above chance, which random columns in the same "
            f"forests set.{unsettled(importances)}"
        ]
    first = above.iloc[0]
    between = f"{percent(first['permutation_low'], decimals=0)} to {percent(first['permutation_high'], decimals=0)} %"
    cost = f"{percent(first['permutation'], decimals=0)} % of the variance, 95 % interval {between}"
    rivals = {"PED-ANOVA": "ped_anova", "fANOVA": "fanova"}
    firsts = {label: everyone.sort_values(name, ascending=False)["knob"].iloc[0] for label, name in rivals.items()}
    dissent = [f"{label} puts {knob} first" for label, knob in firsts.items() if knob != first["knob"]]
    agreed = listing(dissent) if dissent else f"{listing(list(firsts))} agree"
    # Above chance in the forests, but what shuffling costs may still be nothing.
    leads = "matters most" if first["permutation_low"] > 0 else "ranks first, by a margin that may be nothing"
    which = "only it is" if len(above) == 1 else f"{listing(list(above['knob']))} are"
    return [
        f"{first['knob']} {leads}: shuffling it adds an error of {cost}; {which} above chance among "
        f"{plural(len(everyone), 'knob')}. {agreed}.{unsettled(importances)}"
    ]


def unsettled(importances: Importances) -> str:
    """The caveat on a ranking from few trials, with a leading space; empty where there are enough."""
    if importances.settled:
        return ""
    return (
        f" The ranking is not settled: it rests on {plural(importances.n_complete, 'complete trial')}, "
        f"and below {SETTLED_TRIALS} a knob without effect can come first."
    )


def _warnings(study: Study, table: pd.DataFrame) -> tuple[str, ...]:
    data, warnings = study.manifest["data"], []
    if data.get("selected_on") == "test":
        warnings.append("Selected on test: configurations were chosen on the set they are reported on.")
    if data.get("fallback_from"):
        warnings.append(f"{data['name']} stands in for {data['fallback_from']}: {data['fallback_reason']}.")
    on_val = _worse_on_val(study)
    teacher, base = (spread(unit_values(table, name)) for name in (TEACHER, "la"))
    if not on_val and teacher.n and base.n and teacher.mean < base.mean:
        warnings.append(
            f"The teacher ({percent(teacher.mean)} %) is worse on test than la ({percent(base.mean)} %): "
            "expect little from distilling it."
        )
    warnings += [*on_val, *guard_warnings(study), *rival_warnings(study, table)]
    if study.running:
        warnings.append("The study was still running when this report was made.")
    elif study.manifest["status"] in ("interrupted", "failed"):
        warnings.append(f"The study is marked {study.manifest['status']}: it holds less than was planned.")
    return tuple(warnings)


def _worse_on_val(study: Study) -> list[str]:
    """Where choices are made the teacher should beat the student that has none."""
    own = (study.manifest["teacher"] or {}).get("val_balanced_accuracy")
    la = spread(study.confirm.loc[study.confirm["entry"] == "la", "val_balanced_accuracy"])
    if own is None or not la.n or own >= la.mean:
        return []
    return [
        f"The teacher ({percent(own)} %) is worse on validation than la ({percent(la.mean)} %, "
        f"mean of {plural(la.n, 'seed')}): what distilling from it gives is a finding about this teacher, "
        "not about the method."
    ]
