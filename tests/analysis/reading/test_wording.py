"""Numbers in the form the report prints them."""

from analysis.reading.wording import mean_sd, p_value, percent, points
from analysis.stats.paired_tests import spread


def test_numbers_are_worded_as_a_reader_meets_them() -> None:
    assert [percent(value) for value in (0.70625, -0.03, -0.0001)] == ["70.6", "−3.0", "0.0"]
    assert percent(float("nan")) == "–"
    assert [points(value) for value in (0.0412, -0.0141, -0.0001, 0.0)] == ["+4.1", "−1.4", "0.0", "0.0"]
    assert mean_sd(spread([0.5])) == "50.0"
    assert mean_sd(spread([])) == "–"
    assert [p_value(p) for p in (0.0001, 0.0312, float("nan"))] == ["< 0.001", "0.031", "–"]
