"""What the page adds: charts to point at, sortable tables, themes, a LaTeX table; nothing else may run in it."""

import base64
import hashlib
import html
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest

from analysis import report
from analysis.figures.plotly_figures import MOST_LINES, history_lines, parallel_coordinates
from analysis.page.latex import escape, ladder_table
from analysis.page.page_scripts import packed_library, plain_json, policy
from analysis.reading.study_data import load_study
from analysis.results.ladder import ladder
from search_spaces.acckd import ACCKD_FULL, ACCKD_SMOKE

Simulated = Callable[..., Path]
SMALL: dict[str, Any] = {"space": ACCKD_SMOKE, "n_trials": 8, "n_pruned": 2, "n_failed": 1}


def test_parallel_coordinates_have_a_line_a_complete_trial_on_every_knobs_own_scale(simulated: Simulated) -> None:
    study = load_study(simulated(space=ACCKD_FULL, n_trials=20, n_pruned=3, n_failed=0))
    figure = parallel_coordinates(study.complete, study.knobs)
    go.Figure(figure)  # plotly's own schema: an unknown key or value raises
    lines = figure["data"]
    assert len(lines) == len(study.complete) == 17
    assert all(len(line["y"]) == len(study.knobs) + 1 for line in lines)
    assert all(place is None or 0 <= place <= 1 for line in lines for place in line["y"])
    best = lines[-1]
    assert best["y"][-1] == 1.0
    assert f"trial {study.highest_scoring.number}:" in best["text"]
    names = [knob.name for knob in study.knobs]
    without = [line for line in lines if line["y"][names.index("kd_weight")] is None]
    assert len(without) == sum("kd_weight" not in trial.params for trial in study.complete) > 0


def test_many_trials_are_cut_to_the_best(simulated: Simulated) -> None:
    study = load_study(simulated(**SMALL))
    many = study.complete * (MOST_LINES // len(study.complete) + 2)
    assert len(parallel_coordinates(many, study.knobs)["data"]) == MOST_LINES


def test_every_trial_with_a_value_can_be_pointed_at(simulated: Simulated) -> None:
    study = load_study(simulated(**SMALL, n_running=1))
    figure = history_lines(study.trials)
    go.Figure(figure)
    points = {n: text for trace in figure["data"] for n, text in zip(trace["x"], trace.get("text", []), strict=False)}
    assert set(points) == {t.number for t in study.trials if t.state.name in ("COMPLETE", "PRUNED")}
    assert all(f"mix_ratio {t.params['mix_ratio']:.4g}" in points[t.number] for t in study.complete)


def test_only_our_scripts_may_run_and_nothing_is_fetched(reported: Path) -> None:
    page = (reported / "report" / "index.html").read_text(encoding="utf-8")
    assert len(page) < 8_000_000
    told = html.unescape(re.search(r'Content-Security-Policy" content="([^"]+)"', page)[1])
    assert told == policy(with_library=True)
    assert told.startswith("default-src 'none'; script-src 'sha256-")
    (own,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(own.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in told
    assert "unsafe-inline" not in told.split("style-src")[0]
    assert page.count(packed_library()) == 1


def test_a_page_without_charts_carries_no_library(simulated: Simulated) -> None:
    folder = simulated(space=ACCKD_SMOKE, n_trials=0, n_pruned=0, n_failed=0, n_seeds=0)
    page = report.build_report(folder).read_text(encoding="utf-8")
    assert packed_library() not in page
    assert len(page) < 200_000


def test_data_of_a_chart_cannot_end_its_element() -> None:
    hostile = {"a": "</script><script>alert(1)</script>", "b": "<!--", "c": "\u2028&"}
    text = str(plain_json(hostile))
    assert not set(text) & set("<>&\u2028")
    assert json.loads(text) == hostile


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


_CHECK = """
const answers = [];
const sorted = (table, column) => [...table.tBodies[0].rows].map((row) => row.cells[column].textContent);
const table = [...document.querySelectorAll("table")].find((found) => found.tBodies[0].rows.length > 4);
const before = sorted(table, 5);
table.tHead.rows[0].cells[5].querySelector("button").click();
answers.push(["sorted", sorted(table, 5)]);
table.tHead.rows[0].cells[5].querySelector("button").click();
table.tHead.rows[0].cells[5].querySelector("button").click();
answers.push(["restored", JSON.stringify(sorted(table, 5)) === JSON.stringify(before)]);
document.getElementById("theme").click();
answers.push(["theme", document.documentElement.dataset.theme]);
const waiting = setInterval(() => {
  const plot = document.querySelector('.plot.drawn[data-brush]');
  if (!plot) return;
  clearInterval(waiting);
  const last = plot.data[0].x.length - 1;
  plot.emit("plotly_selected", { range: { x: [last - 0.2, last + 0.2], y: [0.999, 1.1] } });
  answers.push(["brushed", plot.closest("figure").querySelector(".brushed").textContent]);
  answers.push(["wide", document.documentElement.scrollWidth - innerWidth]);
  document.title = JSON.stringify(answers);
}, 50);
"""


def _browse(page: Path, profile: Path, *, width: int, dark: bool) -> tuple[str, list[str]]:
    """Load a page offline; return the document as it stands then, and what reached the console."""
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    command += [f"--user-data-dir={profile}", "--enable-logging=stderr", "--virtual-time-budget=8000"]
    command += [f"--window-size={width},1500", f"--blink-settings=preferredColorScheme={0 if dark else 1}"]
    run = subprocess.run(
        [*command, "--dump-dom", page.as_uri()], capture_output=True, text=True, timeout=90, check=True
    )
    return run.stdout, [line for line in run.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.slow
@pytest.mark.usefixtures("drawn")
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs the browser chromium")
def test_a_browser_draws_the_page_offline_without_a_word_on_its_console(simulated: Simulated, tmp_path: Path) -> None:
    page = report.build_report(simulated(**SMALL))
    for width, dark in ((1280, False), (500, True)):
        shown, console = _browse(page, tmp_path / "profile", width=width, dark=dark)
        assert console == []
        assert len(re.findall(r'class="plot[^"]* drawn"', shown)) == 2
    # With the policy out of the way, a script uses the page as a reader would.
    text = re.sub(r"<meta http-equiv[^>]*>", "", page.read_text(encoding="utf-8"))
    tried = tmp_path / "tried.html"
    tried.write_text(text.replace("</body>", f"<script>{_CHECK}</script></body>"), encoding="utf-8")
    shown, console = _browse(tried, tmp_path / "profile", width=500, dark=False)
    assert console == []
    answers = dict(json.loads(html.unescape(re.search(r"<title>(.*?)</title>", shown, re.DOTALL)[1])))
    numbers = [float(cell.split(" ")[0]) for cell in answers["sorted"] if cell != "–"]
    assert numbers == sorted(numbers, reverse=True)
    assert len(numbers) > 4
    assert answers["restored"] is True
    assert answers["theme"] == "dark"
    assert answers["brushed"].startswith("1 of 5 trials")
    assert answers["wide"] <= 0, "nothing but tables and figures scrolls sideways"
    # The check can fail: the same browser does report a script that stumbles.
    tried.write_text("<script>null.x</script>")
    assert _browse(tried, tmp_path / "profile", width=500, dark=False)[1]
