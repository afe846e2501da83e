"""The section on the confirmation: the ladder, the primary comparisons, and what they rest on."""

from analysis.page.document import Block, Note, Paragraph, Section, fold
from analysis.page.writer import Writer
from analysis.reading.study_data import StudyData
from analysis.results.accuracies import scores
from analysis.results.claim_sentences import conditions
from analysis.results.comparisons import claim_terms, primary_family
from analysis.results.ladder import ladder
from analysis.sections.confirmation.comparisons import comparison_table
from analysis.sections.confirmation.ladder import ladder_tables
from analysis.sections.confirmation.subsets import subset_blocks
from analysis.sections.confirmation.tuned_baselines import tuned_baseline_blocks
from analysis.sections.confirmation.winners_curse import winners_curse_blocks
from analysis.stats.paired_tests import MIN_PAIRS


def confirmation_section(study: StudyData, writer: Writer) -> Section:
    """Return the ladder and the primary comparisons, or why there are none."""
    title = "Confirmation on the test set"
    rows = study.once(ladder)
    if not rows:
        planned = study.manifest["plan"].get("confirm_seeds")
        why = "was switched off (--confirm-seeds 0)" if planned == 0 else "has not run yet"
        return Section("confirmation", title, (Paragraph(f"The confirmation {why}; the test set is still unopened."),))
    ladder_in_short, ladder_rest = ladder_tables(study, rows, writer)
    blocks: list[Block] = [ladder_in_short]
    family = primary_family(scores(study), claim_terms(study))
    if any(item.verdict == "too few" for item in family):
        blocks.append(Note(f"Fewer than {MIN_PAIRS} paired seeds: intervals are shown, nothing is claimed from them."))
    blocks += [*subset_blocks(study, writer), Paragraph(conditions(study))]
    if family:
        blocks += fold("The tests of the claim", [comparison_table(study, family, writer)])
    blocks += fold("Thirds of the classes, the worst class, the harmonic mean and the calibration", [ladder_rest])
    blocks += fold("The searches of the tuned baselines", tuned_baseline_blocks(study, writer))
    blocks += fold("What was luck in the search, and which trials may be the best", winners_curse_blocks(study, writer))
    return Section("confirmation", title, tuple(blocks))
