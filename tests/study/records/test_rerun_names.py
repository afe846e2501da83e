"""A name of a rerun can be read back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.records.rerun_names import RerunKey, rerun_key, rerun_name

NUMBERS = st.integers(0, 10**14)


@given(
    st.sampled_from(["la", "best1", "kd_tuned", "candidate-la", "my-own"]),
    NUMBERS,
    st.none() | NUMBERS,
    NUMBERS,
    st.integers(1, 9),
)
def test_a_name_says_what_it_was_made_from(entry: str, seed: int, trial: int | None, cut: int, factor: int) -> None:
    key = RerunKey(entry, seed, trial, cut, factor)
    assert rerun_key(rerun_name(*key)) == key


def test_names_are_spelled_as_former_versions_spelled_them() -> None:
    assert rerun_name("best1", 1001, 7) == "best1-trial7-seed1001"
    assert rerun_name("la", 1001, None, 2, 3) == "la-seed1001-cut2-x3"


@pytest.mark.parametrize("name", ["teacher-seedNone", "", "la", "la-seed", "la-seed1-x2-cut1"])
def test_another_text_is_no_name(name: str) -> None:
    assert rerun_key(name) is None
