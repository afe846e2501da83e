"""Per-class figures of 10, 100 and more classes: what is drawn, and what its texts count."""

import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from analysis.figures.classes import draw_gains
from analysis.page.document import Block, Picture, ReportTable
from analysis.page.writer import Writer
from analysis.reading.study_folder import load_study
from analysis.results.class_gains import class_gains
from analysis.sections.class_figures import MOST_RANKED, _in_reach, gain_blocks, recall_blocks, subset_range_blocks
from search_spaces.acckd import ACCKD_SMOKE
from tests.support.prose import long_sentences

Simulated = Callable[..., Path]
ENTRIES = ("best1", "acckd")
FEW_TRIALS = {"space": ACCKD_SMOKE, "n_trials": 3, "n_pruned": 0, "n_failed": 0}


def _many(n_classes: int) -> dict[str, object]:
    counts = [max(2, int(500 * 0.01 ** (k / (n_classes - 1)))) for k in range(n_classes)]
    return {
        "classes": [f"kind {k}" for k in range(n_classes)],
        "counts": counts,
        "n_test": 50,
        "seed_sd": 0.04,
        **FEW_TRIALS,
    }


def _blocks(folder: Path, baseline: str = "la") -> list[Block]:
    return gain_blocks(load_study(folder), ENTRIES, baseline, Writer(folder / "out"))


@pytest.mark.usefixtures("drawn")
@pytest.mark.parametrize("n_classes", [10, 100, MOST_RANKED + 1])
def test_the_texts_say_how_many_classes_gain_lose_and_are_not_told_apart(simulated: Simulated, n_classes: int) -> None:
    folder = simulated(**_many(n_classes))
    gains = class_gains(load_study(folder), entries=ENTRIES)
    first = _blocks(folder)[0]
    assert isinstance(first, Picture)
    for text in (first.alt, first.caption):
        assert f"Of {n_classes} classes, " in text
        assert long_sentences(text) == []
        for entry in ENTRIES:
            verdicts = gains.loc[gains["entry"] == entry, "verdict"].value_counts()
            said = re.search(rf"{entry} gains in (\d+), loses in (\d+), and is not told apart in (\d+)", text)
            assert said
            assert [int(n) for n in said.groups()] == [verdicts.get(name, 0) for name in ("gain", "loss", "unclear")]


def test_more_classes_than_have_a_place_are_binned_and_the_extremes_stand_in_a_table(simulated: Simulated) -> None:
    folder = simulated(**_many(MOST_RANKED + 1))
    picture, table = _blocks(folder, "kd")
    assert isinstance(picture, Picture)
    assert isinstance(table, ReportTable)
    assert picture.csv == "tables/class_gains_by_count_kd.csv"
    assert table.csv == "tables/class_gains_kd.csv"
    assert len((folder / "out" / table.csv).read_text().splitlines()) == 1 + 2 * (MOST_RANKED + 1)
    gains = class_gains(load_study(folder), entries=("best1",), baseline="kd").sort_values("gain", ascending=False)
    assert next(row[0] for row in table.rows) == gains["class_name"].iloc[0]
    assert table.rows[-1][2].startswith(f"{100 * gains['gain'].iloc[-1]:+.1f}".replace("-", "−"))
    (recalls,) = recall_blocks(load_study(folder), Writer(folder / "out"))
    assert isinstance(recalls, Picture)
    assert long_sentences(recalls.caption) == []
    assert "similar training counts" in recalls.caption


def test_without_enough_pairs_no_class_is_said_to_be_told_apart(simulated: Simulated) -> None:
    (picture,) = _blocks(simulated(**_many(40), n_seeds=3))
    assert isinstance(picture, Picture)
    assert "No class is told apart: that takes 6 pairs of runs." in picture.alt
    assert "hollow" not in picture.caption


@pytest.mark.usefixtures("drawn")
def test_the_ranges_over_a_few_subsets_tell_no_class_apart(simulated: Simulated) -> None:
    folder = simulated(**_many(40), n_cuts=2, cut_sd=0.01, n_seeds=2)
    (picture,) = subset_range_blocks(load_study(folder), ENTRIES, Writer(folder / "out"))
    assert isinstance(picture, Picture)
    assert "told apart" not in picture.caption
    assert long_sentences(picture.caption) == []


@pytest.mark.usefixtures("drawn")
def test_bars_end_where_recalls_do_and_the_numbers_do_not(simulated: Simulated) -> None:
    folder = simulated(n_seeds=2, seed_sd=0.5, **FEW_TRIALS)
    (picture,) = _blocks(folder)
    assert isinstance(picture, Picture)
    assert "drawn to 100 points" in picture.caption
    assert long_sentences(picture.caption) == []
    assert pd.read_csv(folder / "out" / picture.csv)["high"].max() > 1
    axes = draw_gains(_in_reach(class_gains(load_study(folder), entries=ENTRIES)), baseline="la").axes[0]
    assert -120 < axes.get_ylim()[0] < axes.get_ylim()[1] < 130
