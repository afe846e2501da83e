"""The ladder as a LaTeX table."""

from pathlib import Path

from analysis.page.latex import escape, ladder_table
from analysis.reading.study_folder import load_study
from analysis.results.ladder import ladder


def test_the_ladder_is_a_latex_table(reported: Path) -> None:
    rows = ladder(load_study(reported))
    text = (reported / "report" / "tables" / "ladder.tex").read_text(encoding="utf-8")
    assert text == ladder_table(rows)
    body = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len(body) == 1 + len(rows)
    assert {line.count(" & ") for line in body} == {6}
    assert r"acckd\_no\_fi" in text
    assert rf"${100 * rows[2].cells['all'].mean:.1f} \pm {100 * rows[2].cells['all'].sd:.1f}$" in text
    assert escape("a_b & 100 % \\x\n{}") == r"a\_b \& 100 \% \textbackslash{}x \{\}"
