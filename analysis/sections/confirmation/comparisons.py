"""The table of the primary comparisons, with both tests and the part of the test images."""

import pandas as pd

from analysis.page.document import Block
from analysis.page.writer import Writer
from analysis.reading.study_data import StudyData
from analysis.reading.wording import MISSING, p_value, percent, points, span
from analysis.results.accuracies import claim_basis, claims_by_subset, class_recalls, scores
from analysis.results.comparisons import Comparison
from analysis.results.entries import BEST, baseline_text
from analysis.results.tuned_baselines import untuned_gains
from analysis.sections.confirmation.ladder import pairing_text
from analysis.stats.paired_tests import ALPHA, PairedInterval
from analysis.stats.test_set_bootstrap import image_part


def comparison_table(study: StudyData, family: tuple[Comparison, ...], writer: Writer) -> Block:
    """Return the primary comparisons, then best1 against the reference points of tuned baselines (descriptive)."""
    recalls = class_recalls(claim_basis(study))
    raw, rows = [], []
    for item in family:
        images_sd = image_part(recalls, item.entry, item.baseline).sd
        tests = {
            "p_holm": item.p_holm,
            "p_sign_flip": item.flip.p,
            "smallest_p_sign_flip": item.flip.smallest_p,
            "p_sign_flip_holm": item.flip_holm,
            "smallest_p_sign_flip_holm": item.smallest_flip_holm,
        }
        texts = (p_value(item.p_holm), f"{p_value(item.flip_holm)} (least {p_value(item.smallest_flip_holm)})")
        raw.append(_numbers(item.entry, item.baseline, item.interval, tests, images_sd, item.verdict))
        rows.append(_texts(item.entry, item.baseline, item.interval, texts, images_sd, item.verdict))
    for name, gain in untuned_gains(scores(study), family).items():
        images_sd = image_part(recalls, BEST, name).sd
        raw.append(_numbers(BEST, name, gain, {}, images_sd, "descriptive"))
        rows.append(_texts(BEST, name, gain, (MISSING, MISSING), images_sd, "descriptive"))
    names = "; ".join(baseline_text(item.baseline) for item in family)
    return writer.table(
        "comparisons",
        pd.DataFrame(raw),
        columns=(
            "difference",
            "subsets" if claims_by_subset(study) else "pairs",
            *(
                "points",
                "sd",
                "95 % interval",
                "p (t)",
                "p (Holm)",
                "p (sign-flip, Holm)",
                "sd, test images",
                "verdict",
            ),
        ),
        rows=rows,
        caption=(
            "The comparisons that carry the claim: differences of test balanced accuracy in points, "
            f"{pairing_text(study)}. The paired t test decides, at p (Holm) of at most {ALPHA}. Beside it stands the "
            "sign-flip test with the smallest adjusted p that its number of pairs can give; where that is larger, it "
            "can confirm nothing. The last sd is an upper bound on how far another sample of test images would move "
            "the difference. It does not shrink with the number of seeds, and no interval here covers it. Against "
            f"{names}. Everything else in this report is descriptive"
            f"{', comparisons with untuned baselines included' if len(rows) > len(family) else ''}."
        ),
    )


def _numbers(
    entry: str, baseline: str, gain: PairedInterval, tests: dict[str, float], images_sd: float, verdict: str
) -> dict[str, object]:
    interval = {"n": gain.n, "mean": gain.mean, "sd": gain.sd, "low": gain.low, "high": gain.high, "p_t": gain.p}
    comparison = {"comparison": f"{entry} - {baseline}"}
    return {**comparison, **interval, **tests, "sd_test_images": images_sd, "verdict": verdict}


def _texts(
    entry: str, baseline: str, gain: PairedInterval, tests: tuple[str, str], images_sd: float, verdict: str
) -> tuple[str, ...]:
    size = (str(gain.n), points(gain.mean), percent(gain.sd), span(gain), p_value(gain.p))
    return (f"{entry} − {baseline}", *size, *tests, percent(images_sd), verdict)
