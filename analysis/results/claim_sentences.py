"""The sentences on a confirmed result: its size, its certainty, its price for the head, and its conditions."""

from math import isnan

import pandas as pd

from analysis.reading.study_data import StudyData
from analysis.reading.wording import bounds, listing, p_value, percent, plural, points, span, still_climb
from analysis.results.accuracies import claim_basis, claims_by_subset, counted_runs
from analysis.results.comparisons import Comparison, paired_gain, unit_values
from analysis.results.entries import BASELINES, BEST, baseline_text, compared_entry
from analysis.results.head_tail_exchange import price_sentences
from analysis.results.training_length import LengthCheck, LongerGain
from analysis.results.tuned_baselines import tuning_sentences
from analysis.stats.paired_tests import ALPHA, MIN_PAIRS, PairedInterval, spread


def claim_sentences(
    study: StudyData, table: pd.DataFrame, family: tuple[Comparison, ...], check: LengthCheck
) -> list[str]:
    """Return the sentences on best1: its gains over the baselines, their certainty, their origin, and its choice.

    Words such as "beats" and "gain" stand for claims that passed the family. Any other difference is described with its
    size and its interval, and called not tested.
    """
    mean = spread(unit_values(table, BEST))
    name = f"The tuned {study.space.method} ({BEST})"
    over = plural(mean.n, "subset") + " of the long tail" if claims_by_subset(study) else plural(mean.n, "seed")
    reached = f"{name} reaches {percent(mean.mean)} % test balanced accuracy (mean of {over})"
    outcomes = [f"It {_claim(item, check)}." for item in family]
    said = [" ".join([f"{reached}.", *outcomes]), *tuning_sentences(study, table, family, check)]
    said += [*length_sentences(family, check), *_certainty(family)]
    present = set(table["entry"])
    if (base := compared_entry("la", present)) in present:
        said += price_sentences(study, base)
    reference = study.space.method
    if reference in set(table["entry"]) and reference not in BASELINES:
        tuned = paired_gain(table, BEST, reference)
        where = f"{reference} at its reference point"
        # The runs are the same ones, seed by seed: the study trains such a configuration once.
        is_reference = tuned.mean == tuned.sd == 0
        gained = f"nothing, because {BEST} is {where}" if is_reference else f"{BEST} {_described(tuned, where)}"
        said.append(f"From tuning itself: {gained}.")
    return [*said, *_shrinkage(study, mean.mean)]


def conditions(study: StudyData) -> str:
    """Say what every interval of a gain covers, and on what it is conditional."""
    training, n_train = "the chance of training (initial weights, order, mixing)", study.manifest["data"]["n_train"]
    images = f"the chance of drawing these {sum(n_train):,} training images"
    if claims_by_subset(study):
        return (
            f"Every interval over the {study.n_subsets} subsets of the long tail covers {training}. It also covers "
            f"{images}. It is conditional on the pool of images, on the validation and test images, and on a "
            "configuration searched on one subset."
        )
    said = f"is conditional on one training subset. It covers {training}, not {images}."
    if study.n_subsets > 1:
        return (
            f"Every interval over seeds {said} The interval over {study.n_subsets} subsets covers that too, but so "
            "few subsets show little of how subsets vary."
        )
    return f"Every interval {said}"


def _claim(item: Comparison, check: LengthCheck) -> str:
    """Return the outcome of one comparison, with what a longer training leaves of a gain in its parentheses.

    Beside a claim over subsets stands no size from the study's own subset: the two are different means.
    """
    interval, other = item.interval, baseline_text(item.baseline)
    size = f"{_size(interval)} {bounds(interval)}"
    if item.verdict in ("gain", "loss") and (climbing := check.climbing(BEST, item.baseline)):
        return _described(interval, other, why=still_climb(climbing))
    match item.verdict:
        case "incomplete":
            return _incomplete(item)
        case "loss":
            return f"falls behind {other} by {size}"
        case "unclear":
            why = "" if interval.verdict == "unclear" else f", not significant {_against(item)}"
            return f"cannot be distinguished from {other}: {points(interval.mean)} points {bounds(interval)}{why}"
        case "too few":
            return _described(interval, other)
    beats, fate = f"beats {other} by {size}", check.fate(item.baseline)
    if fate in ("holds", "unchecked"):
        return beats
    left = f" to {_size(check.gain(item.baseline).longer)}" if fate == "shrinks" and not check.over_subsets else ""
    own = ", own subset" if check.over_subsets else ""
    return f"{beats.removesuffix(')')}; {fate}{left} at {check.longer_epochs} epochs{own})"


def _against(item: Comparison) -> str:
    """Say what keeps a difference whose own interval lies beside 0 from a claim: the correction, or a later look."""
    return "after Holm's correction" if item.p_holm > ALPHA else f"at level {item.terms.level:g}"


def _incomplete(item: Comparison) -> str:
    other, planned = baseline_text(item.baseline), item.terms.n_runs
    if not item.interval.n:
        return f"cannot be compared with {other}: of {planned} planned pairs of runs none is there"
    n_missing = planned - item.n_runs
    missing = f"{n_missing} of {planned} pairs of runs {'is' if n_missing == 1 else 'are'} missing"
    return _described(item.interval, other, why=missing)


def _described(interval: PairedInterval, other: str, *, why: str = "") -> str:
    """Return e.g. 'is 1.2 points above kd in this study (95 % interval -0.3 to +2.7; not tested)'.

    Where there is a reason `why` a difference carries no claim, a sentence of its own gives it.
    """
    if isnan(interval.mean):
        return f"cannot be compared with {other}: they share no seed"
    side = "above" if interval.mean >= 0 else "below"
    said = f"is {_size(interval)} {side} {other} in this study {bounds(interval)}"
    return f"{said}. This carries no claim, because {why}" if why else f"{said.removesuffix(')')}; not tested)"


def length_sentences(family: tuple[Comparison, ...], check: LengthCheck) -> list[str]:
    """Say which of the compared entries still climb, and what a longer training leaves of each gain, with figures."""
    entries = [BEST, *(item.baseline for item in family)]
    states = {name: check.states[name] for name in entries if name in check.states}
    if all(state.state == "unchecked" for state in states.values()):
        return [
            f"Whether any of this holds at a longer training than {plural(check.epochs, 'epoch')} is not checked. "
            "study.confirm with --epochs-factor 2, on two seeds or more, checks it."
        ]
    said = []
    for state in ("climbs", "open", "trained out"):
        if named := [name for name in check.states if check.states[name].state == state]:
            changes = listing([f"{name} {_change(check.states[name].change)}" for name in named])
            change = f"The change on validation at {check.longer_epochs} epochs: {changes}."
            said.append(f"{_state_sentence(state, named, check)} {change}")
    said += [_fate_sentence(gain, check) for gain in check.gains if gain.fate != "unchecked"]
    return said


def _state_sentence(state: str, names: list[str], check: LengthCheck) -> str:
    """Say of the entries in a state whether they are trained out."""
    are, at = "is" if len(names) == 1 else "are", f"at {plural(check.epochs, 'epoch')}"
    match state:
        case "climbs":
            return check.climbing_text
        case "open":
            return f"Whether {listing(names)} {are} trained out {at} is open."
        case _:
            return f"{listing(names)} {are} trained out {at}."


def _change(change: PairedInterval) -> str:
    return f"{points(change.mean)} points (95 % interval {span(change)})"


def _fate_sentence(gain: LongerGain, check: LengthCheck) -> str:
    n_before, n_after = (plural(found.n, "seed") for found in (gain.at_length, gain.longer))
    before = f"{points(gain.at_length.mean)} points at {plural(check.epochs, 'epoch')} ({n_before})"
    after = f"{points(gain.longer.mean)} at {check.longer_epochs} ({n_after}, 95 % interval"
    figures = f"{before}, {after} {span(gain.longer)})"
    if check.claims(gain.baseline):
        if gain.at_length.mean <= 0:  # the other subsets carry the claim
            return (
                f"The claimed gain over {gain.baseline} is the mean over all subsets. The study's own, which alone is "
                f"trained longer, does not show it: {figures}."
            )
        return f"The gain over {gain.baseline} {fate_text(gain, check)}: {figures}."
    if gain.at_length.mean <= 0:
        return f"Over {gain.baseline} there is no gain{check.own_text} that a longer training could take: {figures}."
    return f"No gain over {gain.baseline} is claimed; {gain.entry} minus {gain.baseline}{check.own_text}: {figures}."


def fate_text(gain: LongerGain, check: LengthCheck) -> str:
    """Return what becomes of a gain, e.g. 'shrinks to 2.1 points at 40 epochs'."""
    words = {
        "holds": "holds",
        "shrinks": f"shrinks to {_size(gain.longer)}",
        "vanishes": "vanishes",
        "not seen": "is not seen",
        "open": "is open",
        "unchecked": "is not checked",
    }
    then = f"at {check.longer_epochs} epochs{check.own_text}" if check.factor > 1 else "at more epochs"
    doubt = f", but {plural(gain.longer.n, 'seed')} cannot tell" if gain.fate == "not seen" else ""
    return f"{words[gain.fate]} {then}{doubt}"


def _size(interval: PairedInterval) -> str:
    return f"{abs(100 * interval.mean):.1f} points"


def _certainty(family: tuple[Comparison, ...]) -> list[str]:
    """Say on which tests the claims rest, what is missing of them, and at which look they stand."""
    terms, said = family[0].terms, []
    n = max((item.interval.n for item in family), default=0)
    if max(n, terms.n_pairs) < MIN_PAIRS:
        return [f"With {plural(n, 'paired seed')} nothing is claimed; a claim needs {MIN_PAIRS}."]
    tested = [item for item in family if item.verdict != "incomplete"]
    if tested:
        level, first = terms.level, tested[0]
        by_t = listing([f"p {_p(item.p_holm, level)} over {item.baseline}" for item in tested])
        by_flip = listing([f"p {_p(item.flip.p, level)} over {item.baseline}" for item in tested])
        smallest, after_holm = (p_value(p, level=level) for p in (first.flip.smallest_p, first.smallest_flip_holm))
        mute = (
            ""
            if first.flip_can_reject
            else f" After Holm's correction that is {after_holm}: the sign flips can confirm nothing, and the t test "
            "decides."
        )
        said.append(
            f"Certainty, by paired t tests with Holm's correction: {by_t}. By sign-flip tests without it: {by_flip}. "
            f"With {first.interval.n} pairs no sign-flip p is below {smallest}.{mute}"
        )
    if missing := [item for item in family if item.verdict == "incomplete"]:
        shares = listing([f"{item.baseline} ({item.n_runs} of {terms.n_runs} pairs of runs)" for item in missing])
        said.append(
            f"Incomplete: {shares}. Nothing is claimed over {'it' if len(missing) == 1 else 'them'}. Holm's correction "
            f"still counts each of the {plural(len(family), 'planned comparison')}."
        )
    if terms.look > 1:
        said.append(
            f"This is look {terms.look} at the test set: seeds, subsets or {BEST} changed after the report was known. "
            f"So a claim needs an adjusted p of at most {terms.level:g} in place of {ALPHA:g}."
        )
    return said


def _p(p: float, level: float) -> str:
    text = p_value(p, level=level)
    return text if text.startswith("<") else f"= {text}"


def chosen_by(study: StudyData) -> str:
    """Return how the recommended trial was chosen, e.g. 'by the mean of 3 fresh runs on validation'."""
    best, plan = study.best, study.manifest["plan"]
    fresh = {finalist.trial: finalist.fresh for finalist in study.ranked_finalists}
    if best is not None and best.number in fresh:
        return f"by the mean of {plural(fresh[best.number].n, 'fresh run')} on validation"
    if plan.get("second_objective"):
        return "as the knee of two objectives on validation"
    if best is study.highest_scoring:
        return "by its single run on validation"
    return "within the guards on validation" if plan.get("guards") else "by fresh runs on validation"


def _shrinkage(study: StudyData, test_mean: float) -> list[str]:
    """Say how best1 was chosen, and how far its score or the highest score of the search fell when trained again."""
    highest, fresh = study.highest_scoring, {finalist.trial: finalist.fresh for finalist in study.ranked_finalists}
    if highest is None or study.best is None:
        return []
    if study.best.number in fresh:
        chosen = fresh[study.best.number]
        choice = (
            f"{BEST} is trial {study.best.number}, chosen among {plural(len(fresh), 'finalist')} {chosen_by(study)}: "
            f"{percent(chosen.mean)} % there, {percent(test_mean)} % on test."
        )
        if highest.number not in fresh:
            return [choice]
        return [
            f"{choice} The highest single score of the search, {percent(highest.value)} % by trial {highest.number}, "
            f"was {percent(fresh[highest.number].mean)} % on average when trained again."
        ]
    # The same runs as behind the mean on test, the diverged ones at chance on both sets.
    again = spread(unit_values(counted_runs(claim_basis(study)), BEST, "val_balanced_accuracy"))
    if study.best.value is None or not again.n:
        return []
    over = plural(again.n, "subset" if claims_by_subset(study) else "fresh seed")
    return [
        f"Trial {study.best.number} scored {percent(study.best.value)} % on validation in the search, "
        f"{percent(again.mean)} % there on average over {over}, and {percent(test_mean)} % on test."
    ]
