"""Heatmaps say what is drawn: no words of a surface where the model explains nothing."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from analysis.page.document import Block, Paragraph, Picture
from analysis.page.writer import Writer
from analysis.reading.study_data import StudyData
from analysis.reading.study_folder import load_study
from analysis.search.importance import importances
from analysis.sections.knobs.section import knob_sections
from search_spaces.registry import get_space

Simulated = Callable[..., Path]


def _said(study: StudyData, folder: Path) -> str:
    _, section = knob_sections(study, importances(study, n_samples=4), Writer(folder, draw=lambda *_: None))
    blocks: tuple[Block, ...] = section.blocks
    return " ".join(block.text for block in blocks if isinstance(block, Paragraph))


@pytest.mark.parametrize("explains", [True, False])
def test_a_surface_is_spoken_of_where_it_is_drawn(simulated: Simulated, tmp_path: Path, explains: bool) -> None:
    study = load_study(simulated(n_trials=44, n_pruned=0, n_failed=0, n_seeds=0))
    rng = np.random.default_rng(1)
    for trial in study.complete:
        trial.values = [0.7 + explains * 0.1 * trial.params["mix_ratio"] + rng.normal(0, 0.005)]
    said = _said(study, tmp_path)
    assert ("black line" in said) == explains
    assert ("no surface is drawn" in said) == (not explains)
    assert ("explains R² = −0." in said) == (not explains)


@pytest.mark.parametrize("name", ["ce", "vs"])
def test_the_only_heatmap_stands_with_the_values_and_is_explained_here(
    simulated: Simulated, tmp_path: Path, name: str
) -> None:
    space = get_space(name)
    first, second = (knob.name for knob in space.tunable)
    study = load_study(simulated(space=space, n_trials=44, n_pruned=0, n_failed=0, n_seeds=0))
    rng = np.random.default_rng(1)
    for trial in study.complete:
        trial.values = [0.7 + 0.1 * float(trial.params[first]) + rng.normal(0, 0.001)]
    stand, _ = knob_sections(study, importances(study, n_samples=4), Writer(tmp_path, draw=lambda *_: None))
    assert stand is not None
    assert [Path(block.file).stem for block in stand.blocks if isinstance(block, Picture)] == [f"pair_{first}_{second}"]
    said = _said(study, tmp_path / "again")
    assert "The clearest pair stands above, where each knob should stand." in said
    assert "No pair of knobs" not in said
