"""The field's long tail: its golden counts, the cut, and the groups."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.cckd.errors import DataError
from trainables.cckd.long_tail import class_counts, cut, groups_of

# Published figures: (n_max, C, IR) -> total, smallest class, sizes of many/medium/few.
GOLDEN = {
    (500, 100, 10): (19573, 50, (69, 31, 0)),
    (500, 100, 50): (12608, 10, (41, 41, 18)),
    (500, 100, 100): (10847, 5, (35, 35, 30)),
    (500, 100, 200): (9502, 2, (30, 31, 39)),
    (5000, 10, 10): (20431, 500, (10, 0, 0)),
    (5000, 10, 50): (13996, 100, (9, 1, 0)),
    (5000, 10, 100): (12406, 50, (8, 2, 0)),
}


@pytest.mark.parametrize("shape", GOLDEN)
def test_counts_and_groups_have_the_published_golden_values(shape: tuple[int, int, int]) -> None:
    counts = class_counts(*shape)
    groups = groups_of(counts)
    found = (sum(counts), counts[-1], (len(groups.many), len(groups.medium), len(groups.few)))
    assert counts[0] == shape[0]
    assert found == GOLDEN[shape]


def test_the_default_set_has_556_training_images_in_all_three_groups() -> None:
    counts = class_counts(200, 10, 50)
    assert counts == (200, 129, 83, 54, 35, 22, 14, 9, 6, 4)
    groups = groups_of(counts)
    assert (groups.many, groups.medium, groups.few) == ((0, 1), (2, 3, 4, 5), (6, 7, 8, 9))


def test_a_step_keeps_the_first_half_whole() -> None:
    assert class_counts(99, 5, 10, "step") == (99, 99, 9, 9, 9)


@given(st.integers(1, 600), st.integers(2, 120), st.floats(1, 300), st.sampled_from(["exp", "step"]))
def test_counts_never_rise_and_begin_at_n_max_or_are_refused(n_max: int, n_classes: int, ir: float, kind: str) -> None:
    try:
        counts = class_counts(n_max, n_classes, ir, kind)
    except DataError:
        assert int(n_max * (1 / ir)) < 1
        return
    assert len(counts) == n_classes
    assert counts[0] == n_max
    assert counts[-1] == int(n_max * (1 / ir)) >= 1
    assert list(counts) == sorted(counts, reverse=True)


def test_every_bad_value_is_named_at_once() -> None:
    with pytest.raises(DataError) as caught:
        class_counts(0, 1, 0.5, "linear")
    assert len(caught.value.faults) == 4
    assert "exp, step; got 'linear'" in caught.value.faults[3]


def test_the_cut_is_the_fields_selection() -> None:
    labels = np.array([1, 0, 1, 0, 0, 1, 1, 0])

    def _reference_cut() -> list[int]:
        np.random.seed(0)  # noqa: NPY002 - the published scripts seed the global generator
        chosen: list[int] = []
        for class_id, wanted in enumerate((3, 2)):
            of_class = np.where(labels == class_id)[0]
            np.random.shuffle(of_class)  # noqa: NPY002
            chosen.extend(of_class[:wanted].tolist())
        return chosen

    assert cut(labels, (3, 2), np.random.RandomState(0)).tolist() == _reference_cut()


@given(st.integers(0, 2**32 - 1), st.integers(1, 20), st.integers(1, 20))
def test_a_smaller_cut_is_contained_in_a_larger_one(seed: int, few: int, more: int) -> None:
    labels = np.repeat(np.arange(3), 20)
    small, large = sorted((few, more))
    inner = cut(labels, (small,) * 3, np.random.RandomState(seed))
    outer = cut(labels, (large,) * 3, np.random.RandomState(seed))
    assert set(inner) <= set(outer)
    assert len(set(inner)) == 3 * small
    assert np.bincount(labels[outer]).tolist() == [large] * 3


def test_a_cut_that_asks_too_much_names_every_class_that_falls_short() -> None:
    with pytest.raises(DataError) as caught:
        cut(np.array([0, 0, 1]), (3, 1, 1), np.random.RandomState(0))
    assert [fault.split(" has ")[0] for fault in caught.value.faults] == ["class 0", "class 2"]


@pytest.mark.parametrize(("count", "group"), [(101, "many"), (100, "medium"), (20, "medium"), (19, "few")])
def test_group_borders_are_the_fields(count: int, group: str) -> None:
    assert groups_of([count, 500, 500]).to_dict()[group][-1 if group != "many" else 0] == 0


def test_terciles_follow_the_counts_and_break_ties_by_class_id() -> None:
    groups = groups_of([5, 9, 5, 5])
    assert (groups.tercile_high, groups.tercile_middle, groups.tercile_low) == ((0, 1), (2,), (3,))


@given(st.lists(st.integers(0, 300), min_size=1, max_size=30))
def test_every_class_is_in_one_group_and_one_tercile(counts: list[int]) -> None:
    groups = groups_of(counts).to_dict()
    every = list(range(len(counts)))
    assert sorted(groups["many"] + groups["medium"] + groups["few"]) == every
    terciles = [groups[f"tercile_{name}"] for name in ("high", "middle", "low")]
    assert sorted(terciles[0] + terciles[1] + terciles[2]) == every
    assert [len(part) for part in terciles] == sorted((len(part) for part in terciles), reverse=True)
    assert len(terciles[0]) - len(terciles[2]) <= 1
