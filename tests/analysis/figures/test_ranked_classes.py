"""A hundred classes: names stand clear of each other and of every interval, at most so many to a side."""

from itertools import combinations, pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.figures.ranked_classes import MOST_LABELS, draw_ranked_gains, draw_ranked_recalls, labelled, within


def _gains(n_gain: int, n_loss: int, *, n_classes: int = 100, name: str = "wild animal") -> pd.DataFrame:
    """Gains of one entry: the last classes gain, the first ones lose, the rest is unclear."""
    gain = np.where(np.arange(n_classes) < n_loss, -0.06, 0.01) + 0.001 * np.arange(n_classes)
    verdict = ["loss"] * n_loss + ["unclear"] * (n_classes - n_loss - n_gain) + ["gain"] * n_gain
    groups = np.repeat(["many", "medium", "few"], [n_classes // 3, n_classes // 3, n_classes - 2 * (n_classes // 3)])
    return pd.DataFrame(
        {
            "entry": "best1",
            "class_id": range(n_classes),
            "class_name": [f"{name} {k}" for k in range(n_classes)],
            "n_train": np.geomspace(500, 5, n_classes).astype(int),
            "group": groups,
            "gain": gain,
            "low": gain - 0.03,
            "high": gain + 0.03,
            "verdict": verdict,
        }
    )


@pytest.mark.parametrize("n_classes", [31, 100, 200])
@pytest.mark.parametrize(("n_gain", "n_loss"), [(0, 0), (3, 1), (30, 0), (12, 12)])
def test_names_touch_neither_each_other_nor_a_point(n_gain: int, n_loss: int, n_classes: int) -> None:
    gains = _gains(n_gain, n_loss, n_classes=n_classes)
    figure = draw_ranked_gains(gains, baseline="la")
    figure.draw_without_rendering()
    axes = figure.axes[0]
    names = [text for text in axes.texts if text.get_text()]
    assert len(names) == min(n_gain, MOST_LABELS) + min(n_loss, MOST_LABELS)
    boxes = [text.get_window_extent() for text in names]
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    assert all(axes.bbox.y0 <= box.y0 and box.y1 <= axes.bbox.y1 for box in boxes)
    ends = axes.transData.transform([(1, 100 * gains["low"].min()), (1, 100 * gains["high"].max())])[:, 1]
    assert all(box.y1 < ends[0] or box.y0 > ends[1] for box in boxes)


def test_the_named_are_the_farthest_from_zero_in_their_order() -> None:
    rows = _gains(MOST_LABELS + 5, 2)
    assert labelled(rows, "gain")["class_id"].tolist() == list(range(100 - MOST_LABELS, 100))
    assert labelled(rows, "loss")["class_id"].tolist() == [0, 1]


def test_points_are_hollow_where_the_verdict_tells_nothing_apart_and_filled_without_verdicts() -> None:
    def faces(gains: pd.DataFrame) -> set[str]:
        axes = draw_ranked_gains(gains, baseline="la").axes[0]
        return {str(line.get_markerfacecolor()) for line in axes.lines if line.get_marker() == "o"}

    assert faces(_gains(0, 0)) == {"white"}
    assert len(faces(_gains(2, 0))) == 2
    assert "white" not in faces(_gains(2, 0).assign(verdict="too few"))


def test_classes_without_a_value_leave_the_others_as_they_are() -> None:
    gains = _gains(3, 0)
    gains.loc[:, ["low", "high"]] = np.nan
    gains.loc[5, "gain"] = np.nan
    draw_ranked_gains(gains, baseline="la").draw_without_rendering()
    gains.loc[:, "gain"] = np.nan
    draw_ranked_gains(gains, baseline="la").draw_without_rendering()


def test_each_entry_has_a_panel_of_recalls_with_the_mean_of_each_group() -> None:
    recalls = pd.concat(
        [_gains(0, 0).assign(entry=name, recall=value, sd=0.01) for name, value in (("la", 0.5), ("best1", 0.7))]
    )
    figure = draw_ranked_recalls(recalls)
    figure.draw_without_rendering()
    assert [axes.get_ylabel().split("\n")[0] for axes in figure.axes] == ["la", "best1", "training"]
    heights = [
        {path.vertices[0, 1] for lines in axes.collections for path in lines.get_paths()} for axes in figure.axes[:2]
    ]
    assert any(height == pytest.approx(50) for height in heights[0])
    assert any(height == pytest.approx(70) for height in heights[1])


@given(st.lists(st.floats(1, 100), min_size=1, max_size=20), st.floats(0.1, 4.5))
def test_moved_places_keep_order_and_gap_within_the_bounds(places: list[float], gap: float) -> None:
    moved = within(sorted(places), gap, 1.0, 100.0)
    assert moved[0] >= 1 - 1e-9
    assert moved[-1] <= 100 + 1e-9
    assert all(b - a >= gap - 1e-9 for a, b in pairwise(moved))
