"""Which classes gain, and what their recalls are beside the teacher's."""

from analysis.class_gains import class_gains, mean_recalls
from analysis.cuts import class_gains_over_cuts
from analysis.document import Block, Paragraph, Section
from analysis.figures.classes import MOST_NAMED, draw_gains, draw_recalls
from analysis.ladder import BEST, TEACHER, claims_by_cut
from analysis.tables import Study
from analysis.wording import listing, points
from analysis.writer import Writer

_BASELINE = "la"


def classes_section(study: Study, writer: Writer) -> Section:
    """Return the figure of gains and that of recalls, where the confirmation has got that far."""
    blocks: list[Block] = []
    entries = tuple(dict.fromkeys((BEST, study.space.method)))
    by_cut = claims_by_cut(study)
    gains = (class_gains_over_cuts if by_cut else class_gains)(study, entries=entries, baseline=_BASELINE)
    if len(gains):
        clear = gains[(gains["low"] > 0) | (gains["high"] < 0)]
        lead = gains[gains["entry"] == gains["entry"].iloc[0]].sort_values("gain")
        ends = [f"{row.class_name} {points(row.gain)}" for row in (lead.iloc[-1], lead.iloc[0])]
        blocks.append(
            writer.picture(
                "class_gains",
                draw_gains(gains, baseline=_BASELINE),
                gains,
                alt=(
                    f"Gain in test recall over {_BASELINE} for each class, by number of training images. "
                    f"{lead['entry'].iloc[0]}: largest {ends[0]} points, smallest {ends[1]} points."
                ),
                caption=(
                    f"Gain in test recall over {_BASELINE} per class, mean over {_units(study)} with 95 % paired t "
                    "intervals. "
                    f"{len(clear)} of {len(gains)} intervals exclude 0; they are not corrected for the number of "
                    f"classes, so read them as a description.{_axis_note(gains['class_id'].nunique())}"
                ),
            )
        )
    if study.n_cuts > 1 and not by_cut:
        blocks += _other_cuts(study, entries, writer)
    recalls = mean_recalls(study, entries=(BEST, _BASELINE, TEACHER))
    if len(recalls):
        names = list(dict.fromkeys(recalls["entry"]))
        blocks.append(
            writer.picture(
                "class_recalls",
                draw_recalls(recalls),
                recalls,
                alt=f"Test recall of {listing(names)} for each class, by number of training images.",
                caption=(
                    f"Test recall per class, mean over {_units(study)} with bars of one sd; the teacher is trained "
                    f"once{' a cut' * by_cut}."
                ),
            )
        )
    if not blocks:
        blocks.append(Paragraph("Per-class results come with the confirmation."))
    return Section("classes", "Which classes gain", tuple(blocks))


def _other_cuts(study: Study, entries: tuple[str, ...], writer: Writer) -> list[Block]:
    """A few cuts: too few for an interval worth drawing, so the figure shows where their means lie."""
    gains = class_gains_over_cuts(study, entries=entries, baseline=_BASELINE)
    if gains.empty:
        return []
    n_cuts = int(gains["n_cuts"].max())
    shown = gains.assign(low=gains["lowest"], high=gains["highest"])
    return [
        writer.picture(
            "class_gains_cuts",
            draw_gains(shown, baseline=_BASELINE),
            gains,
            alt=f"Gain in test recall over {_BASELINE} for each class, mean and range over {n_cuts} cuts.",
            caption=(
                f"The same gains over {n_cuts} cuts of the long tail: their mean, with bars from the lowest to the "
                f"highest cut (each the mean over its seeds). The table beside it has the 95 % t intervals over cuts "
                f"and the variance components.{_axis_note(gains['class_id'].nunique())}"
            ),
        )
    ]


def _units(study: Study) -> str:
    if claims_by_cut(study):
        return "cuts of the long tail"
    return "seeds" if study.n_cuts < 2 else "seeds on the study's own cut"


def _axis_note(n_classes: int) -> str:
    return "" if n_classes <= MOST_NAMED else " Dotted lines: 20 and 100 training images."
