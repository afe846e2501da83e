"""A group of classes that a knob moves has a heatmap of its own; on the first screen where all classes have none."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from analysis.page.document import Picture
from analysis.page.writer import Writer
from analysis.reading.study_data import StudyData
from analysis.search.importance import Importances, importances
from analysis.sections.knobs import section
from analysis.sections.knobs.group_pairs import group_pictures
from analysis.sections.knobs.section import knob_sections
from tests.analysis.search.test_group_knobs import SMALL, trading_groups

Simulated = Callable[..., Path]


@pytest.fixture
def study(simulated: Simulated) -> StudyData:
    return trading_groups(simulated(**SMALL))


@pytest.fixture
def judged(study: StudyData) -> Importances:
    return importances(study, n_samples=3)


def test_each_group_that_a_knob_moves_has_a_heatmap_over_that_knob(
    study: StudyData, judged: Importances, tmp_path: Path
) -> None:
    pictures = group_pictures(study, judged, Writer(tmp_path, draw=lambda *_: None))
    strongest = max(judged.groups, key=lambda effect: effect.falls).group
    assert len(pictures) == len({effect.group for effect in judged.groups})
    assert pictures[0].caption.startswith(f"{strongest.capitalize()} alone, ")
    (few,) = (tmp_path / "tables").glob("pair_few_mix_ratio_*.csv")
    table = pd.read_csv(few)
    cells = table[table["part"] == "cell"].groupby("x")["mean"].mean()
    assert cells.is_monotonic_increasing
    assert cells.iloc[-1] - cells.iloc[0] == pytest.approx(0.3 * (cells.index[-1] - cells.index[0]), rel=0.15)
    assert table["cross_validated_r2"].iloc[0] > 0.9


def test_without_a_knob_that_moves_a_group_there_is_none(study: StudyData, judged: Importances, tmp_path: Path) -> None:
    assert group_pictures(study, replace(judged, groups=()), Writer(tmp_path, draw=lambda *_: None)) == []


@pytest.mark.parametrize(("r2", "beside"), [(-0.1, " alone, "), (0.4, " against ")])
def test_a_group_stands_beside_the_table_where_all_classes_have_no_surface(
    study: StudyData,
    judged: Importances,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    r2: float,
    beside: str,
) -> None:
    fit = section.fit_surrogate
    monkeypatch.setattr(section, "fit_surrogate", lambda *of: replace(fit(*of), r2=r2))  # type: ignore[type-var]
    standing, _ = knob_sections(study, judged, Writer(tmp_path, draw=lambda *_: None))
    assert standing is not None
    *_, picture = standing.blocks
    assert isinstance(picture, Picture)
    assert beside in picture.caption
    assert (" alone, " in picture.caption) == (r2 < 0)
