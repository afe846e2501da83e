"""The sentences on a confirmed result: its size, its certainty, its price for the head, and its conditions."""

from math import isnan

import pandas as pd

from analysis.reading.study_data import StudyData
from analysis.reading.wording import bounds, listing, p_value, percent, plural, points, span
from analysis.results.accuracies import claims_by_subset
from analysis.results.comparisons import Comparison, paired_gain, unit_values
from analysis.results.entries import BASELINES, BEST, baseline_text, compared_entry
from analysis.results.training_length import LengthCheck, LongerGain
from analysis.results.tuned_baselines import tuning_sentences
from analysis.stats.paired_tests import MIN_PAIRS, PairedInterval, Verdict, spread


def claim_sentences(
    study: StudyData, table: pd.DataFrame, family: tuple[Comparison, ...], check: LengthCheck
) -> list[str]:
    """Return the sentences on best1: its gains over the baselines, their certainty, their origin, and its choice."""
    mean = spread(unit_values(table, BEST))
    name = f"The tuned {study.space.method} ({BEST})"
    over = plural(mean.n, "subset") + " of the long tail" if claims_by_subset(study) else plural(mean.n, "seed")
    reached = f"{name} reaches {percent(mean.mean)} % test balanced accuracy (mean of {over})"
    outcomes = [
        _claim(baseline_text(item.baseline), item.baseline, item.interval, item.verdict, check) for item in family
    ]
    said = [f"{reached}; it {listing(outcomes)}.", *tuning_sentences(study, table, family, check)]
    said += [*length_sentences(family, check), _certainty(family)]
    present = set(table["entry"])
    if (base := compared_entry("la", present)) in present:
        few, many = (paired_gain(table, BEST, base, column=column) for column in ("few", "many"))
        said.append(_price(few, many, base))
    reference = study.space.method
    if reference in set(table["entry"]) and reference not in BASELINES:
        tuned = paired_gain(table, BEST, reference)
        outcome = _claim(f"{reference} at its reference point", reference, tuned, tuned.verdict, check)
        said.append(f"The gain from tuning itself: {BEST} {outcome}.")
    return [*said, *_shrinkage(study, mean.mean)]


def conditions(study: StudyData) -> str:
    """Say what every interval of a gain covers, and on what it is conditional."""
    training, n_train = "the chance of training (initial weights, order, mixing)", study.manifest["data"]["n_train"]
    images = f"the chance of drawing these {sum(n_train):,} training images"
    if claims_by_subset(study):
        return (
            f"Every interval over the {study.n_subsets} subsets of the long tail covers both {training} and {images}. "
            "It is conditional on the pool of images, on the validation and test images, and on a configuration that "
            "was searched on one of the subsets."
        )
    said = f"is conditional on one training subset: it covers {training}, not {images}"
    if study.n_subsets > 1:
        return (
            f"Every interval over seeds {said}. The interval over {study.n_subsets} subsets covers that too, but so "
            "few subsets show little of how subsets vary."
        )
    return f"Every interval {said}."


def _claim(other: str, baseline: str, interval: PairedInterval, verdict: Verdict, check: LengthCheck) -> str:
    """Return the outcome of best1 against a baseline, with what a longer training leaves of a gain in its parentheses.

    Args:
        other: the baseline in words.
        baseline: its entry.
        interval, verdict: of best1 minus the baseline.
        check: of the training length.
    """
    if verdict != "gain":
        return _outcome(interval, other, verdict=verdict)
    if climbing := check.climbing(BEST, baseline):
        no_claim = f"no claim, because {listing(climbing)} still {'climbs' if len(climbing) == 1 else 'climb'}"
        return f"{_outcome(interval, other, verdict='too few').removesuffix(')')}; {no_claim})"
    beats, then = _outcome(interval, other, verdict="gain"), f"at {check.longer_epochs} epochs"
    match check.fate(baseline):
        case "shrinks":
            return f"{beats.removesuffix(')')}; shrinks to {_size(check.gain(baseline).longer)} {then})"
        case "vanishes":
            return f"{beats.removesuffix(')')}; vanishes {then})"
        case "open":
            return f"{beats.removesuffix(')')}; open {then})"
        case _:
            return beats


def length_sentences(family: tuple[Comparison, ...], check: LengthCheck) -> list[str]:
    """Say which of the compared entries still climb, and what a longer training leaves of each gain, with figures."""
    entries = [BEST, *(item.baseline for item in family)]
    states = {name: check.states[name] for name in entries if name in check.states}
    if all(state.state == "unchecked" for state in states.values()):
        return [
            f"Whether any of this holds at a longer training than {check.epochs} epochs is not checked. "
            "study.confirm with --epochs-factor 2 checks it."
        ]
    said = []
    for state, words in _STATES.items():
        if named := [name for name in check.states if check.states[name].state == state]:
            changes = [f"{name} ({_change(check.states[name].change)})" for name in named]
            said.append(words.format(names=listing(changes), epochs=check.epochs, longer=check.longer_epochs))
    said += [_fate_sentence(gain, check) for gain in check.gains if gain.fate != "unchecked"]
    return said


#: State -> the sentence on the entries in it. "On validation" is on D_val, where lengths are compared.
_STATES = {
    "climbs": "Not trained out at {epochs} epochs, so without a claim: on validation {names} at {longer} epochs.",
    "open": "Whether they are trained out at {epochs} epochs is open: on validation {names} at {longer} epochs.",
    "trained out": "Trained out at {epochs} epochs: on validation {names} at {longer} epochs.",
}


def _change(change: PairedInterval) -> str:
    return f"{points(change.mean)} points, 95 % interval {span(change)}"


def _fate_sentence(gain: LongerGain, check: LengthCheck) -> str:
    before = f"{points(gain.at_length.mean)} points at {check.epochs} epochs ({plural(gain.at_length.n, 'seed')})"
    after = f"{points(gain.longer.mean)} at {check.longer_epochs} ({plural(gain.longer.n, 'seed')}, 95 % interval"
    figures = f"{before}, {after} {span(gain.longer)})"
    if gain.at_length.mean <= 0:
        return f"Over {gain.baseline} there is no gain that a longer training could take: {figures}."
    return f"The gain over {gain.baseline} {fate_text(gain, check)}: {figures}."


def fate_text(gain: LongerGain, check: LengthCheck) -> str:
    """Return what becomes of a gain, e.g. 'shrinks to 2.1 points at 40 epochs'."""
    words = {
        "holds": "holds",
        "shrinks": f"shrinks to {_size(gain.longer)}",
        "vanishes": "vanishes",
        "open": "is open",
        "unchecked": "is not checked",
    }
    return f"{words[gain.fate]} at {f'{check.longer_epochs}' if check.factor > 1 else 'more'} epochs"


def _size(interval: PairedInterval) -> str:
    return f"{abs(100 * interval.mean):.1f} points"


def _outcome(interval: PairedInterval, other: str, *, verdict: Verdict) -> str:
    """Return e.g. 'beats la by 4.1 points (95 % interval +3.0 to +5.2)'."""
    if isnan(interval.mean):
        return f"cannot be compared with {other}: they share no seed"
    size = _size(interval)
    match verdict:
        case "gain":
            return f"beats {other} by {size} {bounds(interval)}"
        case "loss":
            return f"falls behind {other} by {size} {bounds(interval)}"
        case "unclear":
            apart = interval.verdict == "unclear"
            several = "" if apart else ", not significant after correction for both comparisons"
            return f"cannot be distinguished from {other}: {points(interval.mean)} points {bounds(interval)}{several}"
        case "too few":
            return f"is {size} {'above' if interval.mean >= 0 else 'below'} {other} {bounds(interval)}"


def _certainty(family: tuple[Comparison, ...]) -> str:
    n = min(comparison.interval.n for comparison in family)
    if n < MIN_PAIRS:
        return f"With {plural(n, 'paired seed')} nothing is claimed; a claim needs {MIN_PAIRS}."
    tests = [
        f"over {item.baseline}: paired t, Holm-adjusted p {_p(item.p_holm)}, sign-flip p {_p(item.flip.p)}"
        for item in family
    ]
    first = family[0]
    smallest = p_value(first.flip.smallest_p)
    mute = (
        "" if first.flip_can_reject
        else f", {p_value(first.smallest_flip_holm)} after Holm: it can confirm nothing, and the t test decides"
    )  # fmt: skip
    return f"Certainty: {'; '.join(tests)} ({n} pairs cannot give a sign-flip p below {smallest}{mute})."


def _p(p: float) -> str:
    text = p_value(p)
    return text if text.startswith("<") else f"= {text}"


def _price(few: PairedInterval, many: PairedInterval, baseline: str) -> str:
    sides = [(name, gain) for name, gain in (("Few", few), ("Many", many)) if gain.n]
    if not sides:
        return "The price for the head is not known: the groups Many and Few are empty."
    gains = [f"{name} {points(gain.mean)} points {bounds(gain)}" for name, gain in sides]
    sentence = f"The gain by groups, against {baseline}: {listing(gains)}."
    if len(sides) < 2 or "too few" in (few.verdict, many.verdict):
        return sentence
    if many.verdict == "loss" and few.mean > 0:
        cost = -many.mean / few.mean
        return f"{sentence} Each point gained on Few costs {cost:.2f} points on Many."
    verdicts = {"gain": "The head gains too.", "unclear": "No price for the head is shown.", "loss": "The head loses."}
    return f"{sentence} {verdicts[many.verdict]}"


def _shrinkage(study: StudyData, test_mean: float) -> list[str]:
    """Say how best1 was chosen, and how far the highest score of the search fell when trained again."""
    highest, fresh = study.highest_scoring, {finalist.trial: finalist.fresh for finalist in study.ranked_finalists}
    if highest is None or study.best is None:
        return []
    if study.best.number in fresh:
        chosen = fresh[study.best.number]
        choice = (
            f"{BEST} is trial {study.best.number}, chosen among {plural(len(fresh), 'finalist')} by the mean of "
            f"{plural(chosen.n, 'fresh run')} on validation: {percent(chosen.mean)} % there, "
            f"{percent(test_mean)} % on test."
        )
        if highest.number not in fresh:
            return [choice]
        return [
            f"{choice} The highest single score of the search, {percent(highest.value)} % by trial {highest.number}, "
            f"was {percent(fresh[highest.number].mean)} % on average when trained again."
        ]
    again_rows = spread(study.confirm.loc[study.confirm["entry"] == BEST, "val_balanced_accuracy"])
    if study.best.value is None or not again_rows.n:
        return []
    outcome = "owed part of its score to chance" if study.best.value > again_rows.mean else "held up"
    return [
        f"The best of {len(study.complete)} trials {outcome}: trial {study.best.number} scored "
        f"{percent(study.best.value)} % on validation in the search, {percent(again_rows.mean)} % there on average "
        f"when trained again with fresh seeds, and {percent(test_mean)} % on test."
    ]
