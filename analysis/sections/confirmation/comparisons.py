"""The primary comparisons: a figure of every pair, and a table with both tests and the part of the test images."""

from functools import partial

import pandas as pd

from analysis.figures.paired_gains import draw_pair_gains
from analysis.page.document import Block, Picture
from analysis.page.writer import Writer
from analysis.reading.study_data import StudyData
from analysis.reading.wording import MISSING, gain_text, listing, p_value, percent, points, span
from analysis.results.accuracies import claim_basis, claims_by_subset, class_recalls, scores
from analysis.results.comparisons import Comparison, claim_terms, pair_gains, primary_family
from analysis.results.entries import BEST, baseline_text
from analysis.results.training_length import check_length
from analysis.results.tuned_baselines import untuned_gains
from analysis.sections.confirmation.ladder import pairing_text
from analysis.stats.paired_tests import ALPHA
from analysis.stats.test_set_bootstrap import image_part


def claim_picture(study: StudyData, writer: Writer) -> Picture | None:
    """Return best1's gain over each baseline, one dot per pair; None before the confirmation compares anything."""
    table = scores(study)
    family = primary_family(table, claim_terms(study))
    if not family:
        return None
    names = [item.baseline for item in family] + list(untuned_gains(table, family))
    numbers = pair_gains(table, names)
    shown = numbers.drop_duplicates("baseline").to_dict("records")
    found = "; ".join(f"over {row['baseline']} {gain_text(row['mean'], row['low'], row['high'])}" for row in shown)
    unit = "subset of the long tail" if claims_by_subset(study) else "training seed"
    untuned = " Only tuned baselines carry the claim, where a baseline is tuned." * (len(names) > len(family))
    return writer.picture(
        "claim",
        partial(draw_pair_gains, numbers, {name: f"{BEST} minus {baseline_text(name)}" for name in names}),
        numbers,
        alt=f"Difference of {BEST} in test balanced accuracy, in points, mean and 95 % interval: {found}.",
        caption=(
            f"Each dot is one {unit}: {BEST} minus the baseline on the test set. The diamond is the mean with its 95 % "
            f"interval. An arrow stands for a dot beyond the axis.{untuned}"
        ),
    )


def comparison_table(study: StudyData, family: tuple[Comparison, ...], writer: Writer) -> Block:
    """Return the primary comparisons, then best1 against the reference points of tuned baselines (descriptive)."""
    recalls = class_recalls(claim_basis(study))
    claims = {item.baseline: item for item in family}
    gains = {name: item.interval for name, item in claims.items()} | untuned_gains(scores(study), family)
    check = check_length(study)
    level, raw, cells = family[0].terms.level, [], []
    for name, gain in gains.items():
        item = claims.get(name)
        images_sd = image_part(recalls, BEST, name).sd
        verdict: str = item.verdict if item else "not tested"
        if item and verdict == "incomplete":
            verdict = f"incomplete: {item.n_runs} of {item.terms.n_runs} runs"
        if verdict in ("gain", "loss") and (climbing := check.climbing(BEST, name)):
            verdict = f"no claim: {listing(climbing)} not trained out"
        numbers = {"n": gain.n, "mean": gain.mean, "sd": gain.sd, "low": gain.low, "high": gain.high, "p_t": gain.p}
        tests = _test_numbers(item) if item else {}
        raw.append(
            {"comparison": f"{BEST} - {name}", **numbers, **tests, "sd_test_images": images_sd, "verdict": verdict}
        )
        cells.append(
            {
                "difference": f"{BEST} − {name}",
                "subsets" if claims_by_subset(study) else "pairs": str(gain.n),
                "points": points(gain.mean),
                "sd": percent(gain.sd),
                "95 % interval": span(gain),
                "p (t)": p_value(gain.p),
                "p (Holm)": p_value(item.p_holm, level=level) if item and gain.n else MISSING,
                "p (sign-flip, Holm)": _flip_text(item) if item and gain.n else MISSING,
                "sd, test images": percent(images_sd),
                "verdict": verdict,
            }
        )
    names = "; ".join(baseline_text(item.baseline) for item in family)
    return writer.table(
        "comparisons",
        pd.DataFrame(raw),
        columns=tuple(cells[0]),
        rows=[tuple(row.values()) for row in cells],
        caption=(
            "The comparisons that carry the claim: differences of test balanced accuracy in points, "
            f"{pairing_text(study)}. The paired t test decides, at p (Holm) of at most {_level_text(family)}. Beside "
            "it stands the sign-flip test with the smallest adjusted p that its number of pairs can give. Where that "
            "is larger, it can confirm nothing. The last sd is an upper bound on how far another sample of test images "
            "would move the difference. It does not shrink with the number of seeds, and no interval here covers it. "
            f"Against {names}. A planned comparison with missing runs is incomplete: it claims nothing, and Holm's "
            "correction counts it. Everything else in this report is descriptive"
            f"{', comparisons with untuned baselines included' if len(gains) > len(family) else ''}."
        ),
    )


def _level_text(family: tuple[Comparison, ...]) -> str:
    terms = family[0].terms
    return f"{ALPHA}" if terms.look == 1 else f"{terms.level:g} at look {terms.look}"


def _test_numbers(item: Comparison) -> dict[str, float]:
    return {
        "p_holm": item.p_holm,
        "p_sign_flip": item.flip.p,
        "smallest_p_sign_flip": item.flip.smallest_p,
        "p_sign_flip_holm": item.flip_holm,
        "smallest_p_sign_flip_holm": item.smallest_flip_holm,
    }


def _flip_text(item: Comparison) -> str:
    p, least = (p_value(value, level=item.terms.level) for value in (item.flip_holm, item.smallest_flip_holm))
    return f"{p} (least {least})"
