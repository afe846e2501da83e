"""The scripts of the page: only ours may run, nothing is fetched, and a browser draws the page offline."""

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

import pytest

from analysis import report
from analysis.page.page_scripts import packed_library, plain_json, policy
from search_spaces.acckd import ACCKD_SMOKE

Simulated = Callable[..., Path]

SMALL: dict[str, Any] = {"space": ACCKD_SMOKE, "n_trials": 8, "n_pruned": 2, "n_failed": 1}


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


_CHECK = """
const answers = [];
const sorted = (table, column) => [...table.tBodies[0].rows].map((row) => row.cells[column].textContent);
const table = document.querySelector("#confirmation table");
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
  plot.emit("plotly_selected", { range: { x: [-0.2, 0.2], y: [0.999, 1.1] } });
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
        [*command, "--dump-dom", page.as_uri()], capture_output=True, text=True, timeout=300, check=True
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
