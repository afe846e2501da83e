"""The scripts of the page: only ours may run, nothing is fetched, and a browser draws the page offline."""

import base64
import gzip
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
from analysis.page.page_scripts import packed_json, packed_library, policy
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
    text = packed_json(hostile)
    assert not set(text) & set("<>&\u2028")
    assert json.loads(gzip.decompress(base64.b64decode(text))) == hostile


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


NEEDS_CHROMIUM = pytest.mark.skipif(shutil.which("chromium") is None, reason="needs the browser chromium")


@pytest.mark.slow
@pytest.mark.usefixtures("drawn")
@NEEDS_CHROMIUM
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
    numbers = [float(cell.split()[0]) for cell in answers["sorted"] if cell != "–"]
    assert numbers == sorted(numbers, reverse=True)
    assert len(numbers) > 4
    assert answers["restored"] is True
    assert answers["theme"] == "dark"
    assert answers["brushed"].startswith("1 of 5 trials")
    assert answers["wide"] <= 0, "nothing but tables and figures scrolls sideways"
    # The check can fail: the same browser does report a script that stumbles.
    tried.write_text("<script>null.x</script>")
    assert _browse(tried, tmp_path / "profile", width=500, dark=False)[1]


#: A browser's window has 500 pixels or more, so narrower pages stand in a frame, which says what it measured.
_FRAME = """
<body style="margin: 0"><iframe src="framed.html" scrolling="no" style="border: 0; width: {width}px; height: 1500px">
</iframe><script>addEventListener("message", (event) => {{ document.title = event.data; }});</script></body>
"""

_MEASURE = """
const waiting = setInterval(() => {
  if (document.querySelectorAll(".onpaper").length < 2) return;
  clearInterval(waiting);
  const all = (selector) => [...document.querySelectorAll(selector)];
  const shown = (element) => element.checkVisibility({ contentVisibilityAuto: true }) && element.offsetHeight > 0;
  const width = document.documentElement.clientWidth;
  const edges = all(".scroll").filter(shown).filter((box) => box.scrollWidth > box.clientWidth).map((box) => {
    box.scrollLeft = 1000;
    const first = box.querySelector("tbody th").getBoundingClientRect().left - box.getBoundingClientRect().left;
    return [box.scrollLeft, Math.round(first), getComputedStyle(box).backgroundImage.includes("gradient")];
  });
  parent.postMessage(JSON.stringify({
    wide: document.documentElement.scrollWidth - width,
    cut: all("main table, main img, main pre").filter((part) => part.getBoundingClientRect().right > width + 1).length,
    edges,
    plots: all(".plot").map(shown),
    onpaper: all(".onpaper").map((picture) => shown(picture) && picture.complete && picture.naturalWidth > 0),
    closed: all("details").filter((fold) => !shown(fold.lastElementChild)).length,
    ground: getComputedStyle(document.body).backgroundColor,
    repeated: all("thead").map((head) => getComputedStyle(head).breakInside),
    buttons: all("thead button").map((button) => getComputedStyle(button).display),
  }), "*");
}, 50);
"""


def _framed(page: str, folder: Path, *, width: int) -> dict[str, Any]:
    """Return what a page `width` pixels wide measures of itself; its policy is out of the way."""
    text = re.sub(r"<meta http-equiv[^>]*>", "", page)
    (folder / "framed.html").write_text(text.replace("</body>", f"<script>{_MEASURE}</script></body>"), "utf-8")
    (folder / "frame.html").write_text(_FRAME.format(width=width), encoding="utf-8")
    shown, console = _browse(folder / "frame.html", folder / "profile", width=1280, dark=True)
    assert console == []
    measured: dict[str, Any] = json.loads(html.unescape(re.search(r"<title>(.*?)</title>", shown, re.DOTALL)[1]))
    return measured


@pytest.mark.slow
@NEEDS_CHROMIUM
def test_on_a_phone_only_tables_and_figures_scroll_and_the_first_column_stays(reported: Path, tmp_path: Path) -> None:
    page = (reported / "report" / "index.html").read_text(encoding="utf-8")
    found = _framed(page, tmp_path, width=400)
    assert found["wide"] <= 0
    assert len(found["edges"]) > 1
    for scrolled, first, shaded in found["edges"]:
        assert scrolled > 20
        assert 0 <= first <= 1, "the first column stays in view"
        assert shaded, "a shadow says that there is more to the side"
    assert not any(found["onpaper"])


@pytest.mark.slow
@NEEDS_CHROMIUM
def test_on_paper_nothing_is_cut_and_every_fold_is_open_on_a_white_ground(reported: Path, tmp_path: Path) -> None:
    page = (reported / "report" / "index.html").read_text(encoding="utf-8")
    # The browser has no switch for the medium, so the rules of paper hold on the screen: A4 between its margins.
    assert page.count("@media print {") == page.count("@media screen and (min-width: 64rem) {") == 1
    page = page.replace("@media print {", "@media all {").replace(
        "@media screen and (min-width", "@media print and (min"
    )
    # A front of two objectives has one column per knob.
    heads, cells = 18 * "<th>cckd_mix_weight</th>", f"<th>10</th>{17 * '<td>0.0234</td>'}"
    front = f"<table><thead><tr>{heads}</tr></thead><tbody><tr>{cells}</tr></tbody></table>"
    page = page.replace("</main>", f'<div class="scroll">{front}</div></main>')
    found = _framed(page, tmp_path, width=703)
    assert (found["wide"], found["cut"], found["edges"], found["closed"]) == (0, 0, [], 0)
    assert found["plots"] == [False, False]
    assert found["onpaper"] == [True, True]
    assert found["ground"] == "rgb(255, 255, 255)", "the system's theme is dark"
    assert set(found["repeated"]) == {"avoid"}
    assert set(found["buttons"]) == {"contents"}, "Chromium repeats no headings that hold a button"
