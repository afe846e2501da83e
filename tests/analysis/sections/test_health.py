"""Study health in sentences: rungs that ranked the trials poorly, and edges on which the leading trials lie."""

from collections.abc import Callable
from pathlib import Path

import pytest
from optuna.distributions import FloatDistribution

from analysis.page.document import Note, Paragraph
from analysis.page.writer import Writer
from analysis.reading.study_folder import load_study
from analysis.sections.health import health_section
from search_spaces.acckd import ACCKD_SMOKE


@pytest.mark.parametrize(
    ("weak", "n", "said"),
    [
        ([5], 24, "Below 0.5 at epoch 5: pruning there ranks trials poorly."),
        ([5, 10], 24, "Below 0.5 at epochs 5 and 10: pruning there ranks trials poorly."),
        (
            [10],
            6,
            "Below 0.5 at epoch 10: pruning there ranks trials poorly. So few trials cannot settle it (fewer than 10).",
        ),
    ],
)
def test_a_rung_that_ranks_unlike_the_end_is_named_with_how_few_trials_say_so(
    simulated: Callable[..., Path], tmp_path: Path, weak: list[int], n: int, said: str
) -> None:
    study = load_study(simulated(space=ACCKD_SMOKE, n_trials=24, n_pruned=0, n_failed=0, n_seeds=0))
    for trial in study.complete:
        for epoch in weak:
            trial.intermediate_values[epoch] *= -1
            if trial.number >= n:
                del trial.intermediate_values[epoch]
    (note,) = (
        block
        for block in health_section(study, Writer(tmp_path)).blocks
        if isinstance(block, Note) and block.text.startswith("Did early rungs rank like the end?")
    )
    assert note.text.endswith(f" {said}")


@pytest.mark.parametrize("agree", [True, False])
def test_an_edge_is_told_where_the_leading_trials_agree(
    simulated: Callable[..., Path], tmp_path: Path, agree: bool
) -> None:
    study = load_study(simulated(n_trials=40, n_pruned=0, n_failed=0, n_seeds=0))
    (first, *_), ranked = study.knobs, sorted(study.complete, key=lambda trial: -(trial.value or 0.0))
    spec = first.distribution
    assert isinstance(spec, FloatDistribution)
    for place, trial in enumerate(ranked):
        trial.params[first.name] = spec.high if place < (5 if agree else 1) else (spec.low * spec.high) ** 0.5
    (said,) = (
        block
        for block in health_section(study, Writer(tmp_path)).blocks
        if isinstance(block, Note | Paragraph) and block.text.startswith("Do the leading trials lie on an edge?")
    )
    assert isinstance(said, Note) == agree
    if agree:
        assert f"{first.name} at its upper end {spec.high:g} (100 % of the leading trials" in said.text
        assert said.text.endswith("The optimum may lie outside the searched range: widen it.")
    else:
        assert said.text.endswith("? No knob's leading trials lie on an edge more often than by chance.")
