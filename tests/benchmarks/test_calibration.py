"""A tenth of the simulated studies: nothing they show contradicts what the report's statistics promise."""

import pytest

from benchmarks.calibration import N_CONFIRMATIONS, N_SEARCHES, Measured, confirmations, pairs, screens


def _possible(measured: Measured) -> bool:
    """Whether the bounds and the interval of the measured share overlap."""
    low, high = measured.interval
    return low <= measured.most and high >= measured.least


def test_intervals_cover_and_claims_are_rarely_false() -> None:
    found = confirmations(N_CONFIRMATIONS // 10, seed=0)
    assert len(found) == 6
    assert [item.what for item in found if not _possible(item)] == []


@pytest.mark.slow
def test_the_screen_names_what_was_planted_and_rarely_anything_else() -> None:
    found = screens(N_SEARCHES // 10, seed=0, workers=2)
    assert len(found) == 6 + 1 + 3 * 3 + 2
    assert [item.what for item in found if not _possible(item)] == []


def test_the_planted_interaction_ranks_first() -> None:
    found = pairs(N_SEARCHES // 10, seed=0)
    assert [item.what for item in found if not item.met] == []


@pytest.mark.parametrize(
    ("hits", "met", "possible"),
    [(190, True, True), (184, False, True), (172, False, False), (199, False, False)],
)
def test_a_share_is_held_against_its_bounds_and_against_what_its_number_can_tell(
    hits: int, met: bool, possible: bool
) -> None:
    measured = Measured("coverage", 0.93, 0.97, hits, 200)
    assert (measured.met, _possible(measured)) == (met, possible)
