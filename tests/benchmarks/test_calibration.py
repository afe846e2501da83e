"""A tenth of the simulated studies: nothing they show contradicts what the report's statistics promise."""

import pytest

from benchmarks.calibration import (
    CURVES,
    N_ABLATIONS,
    N_CHOICES,
    N_CONFIRMATIONS,
    N_SEARCHES,
    Measured,
    ablations,
    confirmations,
    pairs,
    screens,
    slices,
)
from benchmarks.claims import NO_GAIN


def test_intervals_cover_and_claims_are_rarely_false() -> None:
    found = confirmations(N_CONFIRMATIONS // 10, seed=0)
    assert len(found) == 3 + 4 + len(NO_GAIN)
    assert [item.what for item in found if not item.met] == []


def test_bands_cover_curves() -> None:
    found = slices(N_SEARCHES // 10, seed=0)
    assert len(found) == 5 * len(CURVES) + 2 * len(N_CHOICES)
    assert [item.what for item in found if not item.met] == []


def test_an_ablation_rarely_shows_a_difference_where_there_is_none() -> None:
    found = ablations(N_ABLATIONS // 10, seed=0)
    assert len(found) == 6 * 3 * 2
    assert [item.what for item in found if not item.met] == []
    by_text = {item.what: item.share for item in found}
    collapsed = "ablation, one collapsed run, {}: a true difference is shown".format
    assert by_text[collapsed("Dunnett's test")] < 0.1 < 0.4 < by_text[collapsed("the report")]


@pytest.mark.slow
def test_the_screen_names_what_was_planted_and_rarely_anything_else() -> None:
    found = screens(N_SEARCHES // 10, seed=0, workers=2)
    assert len(found) == 2 + 6 + 1 + 3 * 3 + 2
    assert [item.what for item in found if not item.met] == []


def test_the_planted_interaction_ranks_first_and_nothing_else_looks_like_one() -> None:
    found = pairs(N_SEARCHES // 10, seed=0)
    assert len(found) == 8
    assert [item.what for item in found if not item.met] == []


@pytest.mark.parametrize(("hits", "met"), [(190, True), (184, True), (172, False), (199, False)])
def test_a_bound_is_broken_where_the_whole_interval_lies_beyond_it(hits: int, met: bool) -> None:
    assert Measured("coverage", 0.93, 0.97, hits, 200).met == met
