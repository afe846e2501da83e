"""Verdicts that are corrected for two comparisons."""

from collections.abc import Callable
from pathlib import Path

import pytest

from analysis.reading.study_folder import load_study
from analysis.results.accuracies import noise_degrees, scores
from analysis.results.comparisons import ClaimTerms, Comparison, claim_terms, primary_family
from analysis.stats.paired_tests import PairedInterval, SignFlip, paired_interval

Simulated = Callable[..., Path]


def _comparison(interval: PairedInterval, p_holm: float) -> Comparison:
    flip, terms = SignFlip(6, 1 / 32, 1 / 32), ClaimTerms(("la",), interval.n, interval.n)
    return Comparison("best1", "la", interval, p_holm, flip, 2 / 32, 2 / 32, interval.n, terms)


def test_the_verdict_pays_for_both_comparisons() -> None:
    clear = paired_interval([0.02, 0.01, 0.03, 0.015, 0.02, 0.001])
    assert clear.verdict == "gain"
    assert _comparison(clear, 0.04).verdict == "gain"
    assert _comparison(clear, 0.06).verdict == "unclear"
    lost = paired_interval([-0.02, -0.01, -0.03, -0.015, -0.02, -0.01])
    assert _comparison(lost, 0.01).verdict == "loss"
    assert _comparison(paired_interval([0.02, 0.021, 0.02]), 0.001).verdict == "too few"


@pytest.mark.parametrize(("n_seeds", "can"), [(6, False), (7, True)])
def test_six_pairs_leave_the_sign_flip_test_mute_after_holm_and_seven_do_not(
    simulated: Simulated, n_seeds: int, can: bool
) -> None:
    study = load_study(simulated(n_trials=4, n_pruned=0, n_failed=0, n_seeds=n_seeds))
    family = primary_family(scores(study), claim_terms(study))
    assert [item.smallest_flip_holm for item in family] == [2 * 2.0 ** (1 - n_seeds)] * 2
    assert all(item.flip_can_reject == can and item.flip_holm >= item.flip.p for item in family)
    assert noise_degrees(study) == 7 * (n_seeds - 1)
