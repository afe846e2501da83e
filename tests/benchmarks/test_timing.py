from multiprocessing import get_context
from time import process_time

import pytest

from benchmarks.timing import Ratio, family_seconds, fastest, take_turns


def test_a_ratio_is_taken_turn_by_turn() -> None:
    ratio = Ratio.of([2.0, 9.0, 4.0], [1.0, 3.0, 8.0])
    assert (ratio.median, ratio.low, ratio.high) == (2.0, 0.5, 3.0)
    assert str(ratio) == "2.00 (0.50 to 3.00)"


@pytest.mark.parametrize(("above", "below"), [([], []), ([1.0], [1.0, 2.0])])
def test_a_ratio_needs_turns_on_both_sides(above: list[float], below: list[float]) -> None:
    with pytest.raises(ValueError, match=r"turn|argument"):
        Ratio.of(above, below)


def test_contenders_take_turns_and_the_warm_up_is_not_measured() -> None:
    order: list[str] = []
    ticks = iter(range(100))
    contenders = {name: lambda name=name: order.append(name) for name in "ab"}
    seconds = take_turns(contenders, 3, warm_up=1, clock=lambda: float(next(ticks)))
    assert order == list("abababab")
    assert seconds == {"a": [1.0] * 3, "b": [1.0] * 3}


def test_the_fastest_has_the_smallest_median_not_the_smallest_turn() -> None:
    assert fastest({"lucky": [0.1, 9.0, 9.0], "steady": [2.0, 2.0, 2.0]}) == "steady"


def _work(seconds: float) -> float:
    end = process_time() + seconds
    while process_time() < end:
        pass
    return process_time()


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_the_work_of_a_process_and_of_its_children_counts_and_their_sleep_does_not() -> None:
    with get_context("fork").Pool(1) as pool:
        before = family_seconds()
        _work(0.1)
        alone = family_seconds() - before
        pool.apply(_work, (0.3,))
        together = family_seconds() - before
    assert 0.1 <= alone < 0.2
    assert 0.27 <= together - alone < 0.5
