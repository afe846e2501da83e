"""Interactions in words: the p value agrees with its side of the level, and no share is below 0."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from analysis.page.document import Picture
from analysis.page.writer import Writer
from analysis.reading.study_folder import load_study
from analysis.search.interactions import Interactions
from analysis.search.trial_matrix import trial_matrix
from analysis.sections.knobs.interactions import interaction_blocks


@pytest.mark.parametrize(
    ("strength", "p", "said"),
    [
        (0.21, 25 / 501, "(21 % of the variance, p 0.0499); 1 of 1 pair at p below 0.05"),
        (0.21, 26 / 501, "(21 % of the variance, p 0.052); 0 of 1 pair at p below 0.05"),
        (0.21, 0.05, "(21 % of the variance, p 0.050); 0 of 1 pair at p below 0.05"),
        (0.21, 1 / 5001, "(21 % of the variance, p < 0.001); 1 of 1 pair at p below 0.05"),
        (-0.03, 0.7, "(no share of the variance, p 0.700); 0 of 1 pair at p below 0.05"),
    ],
)
def test_the_strongest_pair_is_told_as_it_was_judged(
    simulated: Callable[..., Path], tmp_path: Path, strength: float, p: float, said: str
) -> None:
    study = load_study(simulated(n_trials=24, n_pruned=0, n_failed=0, n_seeds=0))
    matrix = trial_matrix(study.complete, study.knobs)
    first, second, *_ = matrix.names
    frame = pd.DataFrame({"x_knob": [first], "y_knob": [second], "strength": [strength], "p": [p]})
    (picture, *_) = interaction_blocks(study, matrix, Interactions(frame, 20), Writer(tmp_path, draw=lambda *_: None))
    assert isinstance(picture, Picture)
    assert f"strongest {first} and {second} {said}" in picture.alt
