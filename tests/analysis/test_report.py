"""The report end to end: one offline page, every figure with its numbers, any folder, any class name."""

import html
import json
import os
import re
import shlex
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from analysis import report
from analysis.page.style import class_label
from search_spaces.acckd import ACCKD_SMOKE
from study.lock import LOCK, study_lock
from study.schema import COMPARED
from tests.analysis.results.test_ablation import RUNS as ABLATION
from tests.analysis.simulation import fail_run
from tests.support.prose import long_sentences

Simulated = Callable[..., Path]
#: Two core knobs make one heatmap, where the four of acckd_core make six.
ONE_PAIR = {"space": ACCKD_SMOKE, "n_pruned": 0, "n_failed": 0}

#: Type of the script elements that hold data and are not run.
DATA = "text/plain"
NASTY = ("<script>alert(1)</script>", 'a,b "c" | `d`', "$x_1$ & $", "拖鞋", "Ботинок", "NA", "", "**b**", "x" * 60, "_")


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def _build(folder: Path) -> _Page:
    return _Page(report.build_report(folder).read_text(encoding="utf-8"))


def test_the_page_is_one_offline_file_and_every_picture_has_alternative_text(reported: Path) -> None:
    page = _Page((reported / "report" / "index.html").read_text(encoding="utf-8"))
    sources = [str(value) for _, attrs in page.tags for key, value in attrs.items() if key in ("src", "href")]
    assert all(source.startswith(("data:", "#")) for source in sources)
    pictures = [attrs for tag, attrs in page.tags if tag == "img"]
    n_pairs = 6
    assert len(pictures) == 1 + 3 + 4 + 3 + 4 + n_pairs + 2 + 1
    assert all(len(attrs["alt"] or "") > 20 for attrs in pictures)
    assert {attrs.get("type", "run") for tag, attrs in page.tags if tag == "script"} == {"run", DATA}


def test_no_sentence_of_the_page_is_too_long(reported: Path) -> None:
    lines = (reported / "report" / "report.md").read_text(encoding="utf-8").splitlines()
    prose = [line.removeprefix("- ") for line in lines if not line.startswith(("|", "#", "    "))]
    assert sum(len(line.split()) for line in prose) > 500
    assert [sentence for line in prose for sentence in long_sentences(line)] == []


def test_every_figure_has_its_numbers_beside_it(reported: Path) -> None:
    folder = reported / "report"
    figures = {path.stem for path in (folder / "figures").glob("*.png")}
    assert {path.stem for path in (folder / "figures").glob("*.svg")} == figures
    tables = {path.stem for path in (folder / "tables").glob("*.csv")}
    assert figures <= tables
    assert {"ladder", "comparisons", "class_gains", "history", "importance"} <= tables
    markdown = (folder / "report.md").read_text(encoding="utf-8")
    linked = set(re.findall(r"\]\(([^)]+)\)", markdown))
    assert linked == {f"figures/{name}.png" for name in figures} | {f"tables/{name}.csv" for name in tables}


SECTIONS = [
    "standing",
    "classes",
    "confirmation",
    "training",
    "knobs",
    "ablation",
    "recommendation",
    "search",
    "health",
    "teacher",
    "provenance",
]


def test_no_section_and_no_table_is_lost_and_the_sections_stand_in_order(simulated: Simulated) -> None:
    folder = simulated(**ONE_PAIR | {"n_trials": 24}, ablation=ABLATION, longer=dict.fromkeys(COMPARED, (0.8, 0.5)))
    page = _build(folder)
    assert [attrs["id"] for tag, attrs in page.tags if tag == "section"] == SECTIONS
    links = [str(attrs["href"]) for tag, attrs in page.tags if tag == "a"]
    assert links == [f"#{name}" for name in SECTIONS]
    markdown = (folder / "report" / "report.md").read_text(encoding="utf-8")
    assert sum(line.startswith("## ") for line in markdown.splitlines()) == len(SECTIONS)
    written = {f"tables/{path.name}" for path in (folder / "report" / "tables").glob("*.csv")}
    shown = " ".join(page.words)
    assert {name for name in written if name not in shown} == set()
    opened, closed = markdown.count("<details>"), markdown.count("</details>")
    assert opened == closed == sum(tag == "details" for tag, _ in page.tags) > 10


@pytest.mark.usefixtures("drawn")
def test_class_names_are_shown_as_text(simulated: Simulated) -> None:
    folder = simulated(n_trials=4, **ONE_PAIR, classes=NASTY)
    page = _build(folder)
    assert not any("alert" in (attrs.get("src") or "") for _, attrs in page.tags)
    shown = set(page.words)
    assert all(name in shown for name in NASTY if name)
    markdown = (folder / "report" / "report.md").read_text(encoding="utf-8")
    assert "<script>" not in re.sub(r"\\.", "", markdown)
    cells = [line.count("|") - line.count("\\|") for line in markdown.splitlines() if line.startswith("| a,b")]
    assert cells == [9]


@pytest.mark.usefixtures("drawn")
@pytest.mark.parametrize(
    "changes",
    [
        {"n_trials": 0, "n_pruned": 0, "n_failed": 0, "n_seeds": 0, "status": "failed"},
        {"n_trials": 1, "n_pruned": 0, "n_failed": 0, "n_seeds": 0},
        {"n_trials": 6, "n_pruned": 0, "n_failed": 3, "n_seeds": 0, "status": "interrupted"},
        {"n_trials": 8, "n_pruned": 4, "n_failed": 0, "n_running": 2, "n_seeds": 0, "status": "running"},
        {"n_trials": 6, "n_pruned": 0, "n_failed": 0, "n_seeds": 1},
        {"n_trials": 4, "n_pruned": 0, "n_failed": 0, "classes": ("a", "b"), "counts": (300, 200)},
    ],
    ids=["empty", "one trial", "failures", "running", "one seed", "one group"],
)
def test_every_kind_of_folder_gives_a_report(simulated: Simulated, changes: dict[str, object]) -> None:
    page = _build(simulated(**{"space": ACCKD_SMOKE, **changes}))
    text = " ".join(page.words)
    assert not re.search(r"\b(nan|None|NaN)\b", text)


def test_a_contaminated_teacher_is_stamped_on_every_table_and_figure(simulated: Simulated) -> None:
    folder = simulated(n_trials=10, **ONE_PAIR, selected_on="test")
    manifest = json.loads((folder / "study.json").read_text())
    cautions = [
        {"reason": "contaminated_teacher", "text": "the teacher learned ImageNet"},
        {"reason": "selected_on_test", "text": "every number is an illusion"},
        {"reason": "a reason of tomorrow", "text": "the images are drawn by hand: none was selected on test"},
        {"reason": "shared_images", "text": None},
        "without a reason",
        7,
    ]
    taught = {"contaminated_by": "ImageNet (resnet50, a1_in1k)", "cautions": cautions}
    (folder / "study.json").write_text(json.dumps(manifest | taught))
    text = html.unescape(report.build_report(folder).read_text(encoding="utf-8"))
    captions = re.findall(r"<figcaption>(.*?)<span", text)
    assert captions
    assert all(caption.startswith("Selected on test. Contaminated teacher.") for caption in captions)
    assert "The teacher learned ImageNet." in text
    assert "The images are drawn by hand: none was selected on test." in text
    assert "Without a reason." in text
    assert "illusion" not in text, "the stamp and the first warning say it already"


#: Words of a claim. A gain may be denied or defined, and "better" may say in which direction a measure points. The
#: classes that gain are counted after a correction of their own.
CLAIMING = re.compile(
    r"\b(beat(s|en)?|gains?|gained|better|worse|outperform\w*|helps?|improve\w*|wins?|survives?|superior|worth)\b", re.I
)
HARMLESS = re.compile(
    r"no gain\b|whether a gain stands|(less|smaller) is better|gains in \d+, loses in \d+, and is not told apart"
    r"|a gain holds where it lies above 0|reaches the former gain"
    r"|below the former gain|what becomes of a claimed gain|gains\\_at\\_longer|_gains",
    re.I,
)
APART = {"la": (0.86, 0.50), "kd": (0.93, 0.30), "acckd": (0.84, 0.58), "best1": (0.83, 0.64), "teacher": (0.9, 0.6)}


@pytest.mark.parametrize(
    "changes",
    [
        {"recalls": dict.fromkeys(APART, APART["la"]), "longer": dict.fromkeys(COMPARED, APART["la"])},
        {"recalls": APART, "n_seeds": 5, "longer": {name: APART[name] for name in COMPARED}},
        {"recalls": APART | {"la_tuned": (0.86, 0.52), "kd_tuned": (0.9, 0.4)}, "n_seeds": 5, "n_cuts": 3},
        {"recalls": APART, "lost": True},
    ],
    ids=["no difference", "few seeds", "few subsets", "a lost run"],
)
def test_a_report_without_a_claim_never_uses_the_words_of_one(simulated: Simulated, changes: dict[str, Any]) -> None:
    lost = changes.pop("lost", False)
    folder = simulated(**ONE_PAIR | changes)
    if lost:
        fail_run(folder, "best1", 1003, "hung: no report in 1800 s")
    report.build_report(folder)
    text = (folder / "report" / "report.md").read_text(encoding="utf-8")
    said = [part for part in re.split(r"(?<=[.:;!?]) |[|\n]", text) if CLAIMING.search(part)]
    assert [part for part in said if not HARMLESS.search(part)] == []


def test_selected_on_test_is_stamped_on_every_table_and_figure(simulated: Simulated) -> None:
    folder = simulated(n_trials=10, **ONE_PAIR, selected_on="test")
    text = html.unescape(report.build_report(folder).read_text(encoding="utf-8"))
    captions = re.findall(r"<figcaption>(.*?)<span", text)
    assert captions
    assert all(caption.startswith("Selected on test.") for caption in captions)


def test_the_recommended_command_can_be_pasted(
    simulated: Simulated, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = simulated(n_trials=6, **ONE_PAIR)
    monkeypatch.chdir(tmp_path)
    command = next(words for words in _build(folder).words if words.startswith("python -m study.replay"))
    assert shlex.split(command)[3:4] == ["runs/simulated"]
    assert shlex.split(command)[4].isdigit()


@pytest.mark.usefixtures("drawn")
def test_a_second_report_replaces_the_first_and_leaves_nothing_beside_it(simulated: Simulated) -> None:
    folder = simulated(n_trials=3, **ONE_PAIR, n_seeds=0)
    first = report.build_report(folder)
    (first.parent / "stale.txt").write_text("old")
    before = {path.name for path in folder.iterdir()}
    page = first.read_bytes()
    assert report.build_report(folder).read_bytes() == page
    assert {path.name for path in folder.iterdir()} == before
    assert not (first.parent / "stale.txt").exists()


def test_the_command_answers_with_the_page_or_one_message(
    simulated: Simulated, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = simulated(n_trials=2, **ONE_PAIR, n_seeds=0)
    assert report.main([str(folder)]) == 0
    assert capsys.readouterr().out.startswith("report: ")
    assert report.main([str(tmp_path / "absent")]) == 2
    written = capsys.readouterr()
    assert written.out == ""
    assert len(written.err.splitlines()) == 1


def test_a_watched_study_is_reported_again_with_new_results_and_once_after_its_end(
    simulated: Simulated, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, clock, events = simulated(), [0.0], []
    lock = study_lock(folder / LOCK)
    lock.__enter__()

    def build(path: Path) -> Path:
        events.append(("report", clock[0]))
        clock[0] += 20.0
        return path / "report" / "index.html"

    def sleep(seconds: float) -> None:
        clock[0] += seconds
        if clock[0] >= 40 and ("result", 0) not in events:
            events.append(("result", 0))
            os.utime(folder / "study.db", (2e9, 2e9))
        if clock[0] >= 200 and ("end", 0) not in events:
            events.append(("end", 0))
            lock.__exit__(None, None, None)

    monkeypatch.setattr(report, "build_report", build)
    monkeypatch.setattr(report, "time", SimpleNamespace(monotonic=lambda: clock[0], sleep=sleep))
    assert report.main([str(folder), "--watch"]) == 0
    # The first report took 20 s, so the second begins 60 s after it; then nothing is new until the end.
    assert [event for event, _ in events] == ["report", "result", "report", "end", "report"]
    assert [at for event, at in events if event == "report"] == [0.0, 80.0, 200.0]
    assert capsys.readouterr().out.count("report: ") == 3


def test_a_study_that_has_ended_is_reported_once_though_it_is_watched(
    simulated: Simulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_built: list[Path] = []
    monkeypatch.setattr(report, "build_report", lambda path: n_built.append(path) or path)
    assert report.main([str(simulated()), "--watch"]) == 0
    assert len(n_built) == 1


def test_a_name_the_font_cannot_write_becomes_a_number() -> None:
    assert class_label("拖鞋", 3) == "class 3"
    assert class_label("", 4) == "class 4"
    assert class_label("two\nlines", 0) == "two lines"
    assert class_label("x" * 60, 0) == "x" * 19 + "…"
