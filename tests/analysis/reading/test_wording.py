"""Numbers in the form the report prints them."""

from math import nextafter

import pytest

from analysis.reading.wording import (
    EXACT,
    MISSING,
    length_not_measured,
    mean_sd,
    not_trained_out,
    p_value,
    percent,
    percent_within,
    points,
    stamp,
    time_unit,
    value_text,
)
from analysis.stats.paired_tests import spread


def test_numbers_are_worded_as_a_reader_meets_them() -> None:
    assert [percent(value) for value in (0.70625, -0.03, -0.0001)] == ["70.6", "−3.0", "0.0"]
    assert percent(float("nan")) == "–"
    assert [points(value) for value in (0.0412, -0.0141, -0.0001, 0.0)] == ["+4.1", "−1.4", "0.0", "0.0"]
    assert percent_within(0.706, 0.691, 0.72) == "70.6 (69.1 to 72.0)"
    assert percent_within(*[float("nan")] * 3) == "–"
    assert mean_sd(spread([0.5])) == "50.0"
    assert mean_sd(spread([])) == "–"
    assert [p_value(p) for p in (0.0001, 0.0312, float("nan"))] == ["< 0.001", "0.031", "–"]


@pytest.mark.parametrize(
    ("p", "level", "text"),
    [
        (0.0503, 0.05, "0.0503"),
        (0.0497, 0.05, "0.050"),
        (0.05, 0.05, "0.050"),
        (0.0052, 0.005, "0.0052"),
        (0.0004, 0.0025, "< 0.001"),
        (0.0003, 0.00015625, "0.0003"),
        (0.0001, 0.00015625, "< 0.00015625"),
        (0.05 + 1e-9, 0.05, "0.0500000"),
    ],
)
def test_a_p_value_near_the_level_shows_on_which_side_it_lies(p: float, level: float, text: str) -> None:
    assert p_value(p, level=level) == text


@pytest.mark.parametrize(
    ("longest", "unit"), [(0.0, (1.0, "seconds")), (119.0, (1.0, "seconds")), (120.0, (60.0, "minutes"))]
)
def test_durations_below_two_minutes_are_shown_in_seconds(longest: float, unit: tuple[float, str]) -> None:
    assert time_unit(longest) == unit


def test_stamps_stand_in_one_order() -> None:
    manifest = {"data": {"selected_on": "test"}, "contaminated_by": "ImageNet", "recipe": {"not_trained_out": "quick"}}
    assert stamp(manifest) == "Selected on test. Contaminated teacher. Not trained out."
    assert stamp({"data": {"selected_on": "val"}, "contaminated_by": None, "recipe": {"not_trained_out": None}}) == ""
    assert not_trained_out({"recipe": ["quick"]}) is None


@pytest.mark.parametrize("tie", [0.7955, 0.8755, 0.0345])
def test_a_tie_is_rounded_alike_however_it_was_computed(tie: float) -> None:
    near = [tie, nextafter(tie, 0), nextafter(tie, 1)]
    assert len({percent(value) for value in near}) == 1
    assert len({points(-value) for value in near}) == 1


def test_a_length_that_is_not_known_for_the_data_is_stamped_in_fixed_words() -> None:
    def of(text: object) -> str:
        recipe = {"not_trained_out": None, "length_not_measured": text}
        return stamp({"data": {"selected_on": "val"}, "recipe": recipe})

    assert of("length not measured for this cut (n_max=500); it") == "Length not measured for this cut."
    assert of("length not measured for these images; it") == "Length not measured for these images."
    assert of("\\input{it}") == "Length not measured for this cut.", "a stranger's may hold anything"
    assert of(None) == of(7) == ""
    assert length_not_measured({}) is None


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0.9999, EXACT, "0.9999"), (0.996, EXACT, "0.996"), (120.0, EXACT, "120"), (True, EXACT, "True"),
        (121.4, 2, "120"), (0.28134, 2, "0.28"), (1e-5, 4, "1e-05"), (None, 2, MISSING),
    ],
)  # fmt: skip
def test_a_value_keeps_its_own_digits_or_so_many(value: object, digits: int, text: str) -> None:
    assert value_text(value, digits=digits) == text
