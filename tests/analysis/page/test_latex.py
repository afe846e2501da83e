"""The ladder as a LaTeX table."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from analysis.page.latex import escape, ladder_table
from analysis.reading.study_folder import load_study
from analysis.results.ladder import ladder
from tests.analysis.simulation import RECALLS, drop_runs, fail_run

SMALL = {"n_trials": 4, "n_pruned": 0, "n_failed": 0}


def test_the_ladder_is_a_latex_table(reported: Path) -> None:
    study = load_study(reported)
    rows = ladder(study)
    text = (reported / "report" / "tables" / "ladder.tex").read_text(encoding="utf-8")
    assert text == ladder_table(study)
    assert text.index(r"\begin{table}") < text.index(r"\caption{Test recall on fashion\_mnist\_lt:n\_max=200")
    body = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len(body) == 1 + len(rows)
    assert {line.count(" & ") for line in body} == {6}
    assert r"acckd\_no\_fi" in text
    assert rf"${100 * rows[2].cells['all'].mean:.1f} \pm {100 * rows[2].cells['all'].sd:.1f}$" in text
    assert escape("a_b & 100 % \\x\n{}") == r"a\_b \& 100 \% \textbackslash{}x \{\}"


def _caption(folder: Path, **manifest: object) -> str:
    path = folder / "study.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | manifest))
    (line,) = [line for line in ladder_table(load_study(folder)).splitlines() if line.startswith(r"\caption{")]
    return line


def test_the_caption_has_the_stamps_of_the_pages_tables(simulated: Callable[..., Path]) -> None:
    folder = simulated(selected_on="test", **SMALL)
    recipe = {"name": "quick", "not_trained_out": "recipe quick"}
    caption = _caption(folder, contaminated_by="ImageNet (a, b)", recipe=recipe)
    assert caption.startswith(r"\caption{Selected on test. Contaminated teacher. Not trained out. Test recall on")
    assert "over la is not checked at more epochs and over kd is not checked at more epochs.}" in caption


@pytest.mark.parametrize(
    ("longer", "words"),
    [
        ({}, "The gain of best1 over la holds at 40 epochs and over kd holds at 40 epochs.}"),
        ({"best1": (0.84, 0.52)}, "over la vanishes at 40 epochs and over kd shrinks to 6."),
        ({"kd": (0.95, 0.60)}, "kd still climbs at 20 epochs and carries no claim."),
    ],
)
def test_the_caption_says_what_a_longer_training_leaves(
    simulated: Callable[..., Path], longer: dict[str, tuple[float, float]], words: str
) -> None:
    folder = simulated(longer={name: RECALLS[name] for name in ("la", "kd", "best1")} | longer, **SMALL)
    assert words in _caption(folder)


def test_runs_that_diverged_or_are_missing_stand_beside_the_seeds(simulated: Callable[..., Path]) -> None:
    folder = simulated(**SMALL)
    fail_run(folder, "kd", 1002, "non-finite loss: it became nan")
    drop_runs(folder, "entry = 'ce' AND seed > 1004")
    seeds = {cells[0]: cells[1] for cells in _rows(folder)}
    assert (seeds["kd"], seeds["ce"], seeds["la"], seeds["teacher"]) == ("6 (1 diverged)", "4 (2 missing)", "6", "--")
    assert " A diverged run counts with an accuracy by chance." in _caption(folder)


def test_subsets_stand_beside_their_seeds(simulated: Callable[..., Path]) -> None:
    folder = simulated(n_cuts=6, n_seeds=2, **SMALL)
    head, *rows = _rows(folder)
    assert head[:2] == ["Entry", r"Subsets $\times$ seeds"]
    assert {cells[1] for cells in rows if cells[0] != "teacher"} == {r"6 $\times$ 2"}
    assert "A diverged run" not in _caption(folder)


def test_a_difference_of_nothing_has_no_sign_as_on_the_page(simulated: Callable[..., Path]) -> None:
    folder = simulated(recalls={"la": (0.86, 0.50), "best1": (0.86, 0.50)}, seed_sd=0.0, **SMALL)
    assert _rows(folder)[-1][-1] == "$0.0$ ($0.0$ to $0.0$)"


def _rows(folder: Path) -> list[list[str]]:
    lines = ladder_table(load_study(folder)).splitlines()
    return [
        line.removesuffix(r" \\").replace(r"\textbf{best1}", "best1").split(" & ") for line in lines if " & " in line
    ]


def test_without_a_confirmation_there_is_no_table(simulated: Callable[..., Path]) -> None:
    assert ladder_table(load_study(simulated(n_seeds=0, **SMALL))) == ""
