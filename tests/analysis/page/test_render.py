"""A document as HTML and as Markdown: folds, names that are isolated, and the picture of the claim."""

import html
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from analysis.page.document import Block, Code, Folded, Interactive, Paragraph, Picture, Report, ReportTable, Section
from analysis.page.page_scripts import packed_library
from analysis.page.render import to_html, to_markdown
from analysis.reading.wording import isolated

TABLE = ReportTable("the caption", ("class", "n"), (("deep", "1"),), "tables/deep.csv")
RIGHT_TO_LEFT = "שמלה"


class _Depth(HTMLParser):
    """The number of folds that are open around each word of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.depth, self.of = 0, dict[str, int]()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.depth += tag == "details"

    def handle_endtag(self, tag: str) -> None:
        self.depth -= tag == "details"

    def handle_data(self, data: str) -> None:
        self.of[data.strip()] = self.depth


def report_of(*blocks: Block) -> Report:
    return Report("name", "subtitle", "headline", ("lead",), (), (), (Section("key", "section", tuple(blocks)),))


FOLDS = report_of(
    Paragraph("open"), Folded("outer <b>", (Paragraph("one"), Folded("inner", (TABLE,)))), Paragraph("end")
)


def test_folds_open_by_their_titles_and_hold_their_blocks_in_html(tmp_path: Path) -> None:
    page = _Depth(to_html(FOLDS, tmp_path))
    assert [page.of[word] for word in ("open", "one", "deep", "end", "outer <b>", "inner")] == [0, 1, 2, 0, 1, 2]
    assert page.depth == 0


def test_folds_open_by_their_titles_and_hold_their_blocks_in_markdown() -> None:
    text = to_markdown(FOLDS)
    page = _Depth(text)
    assert page.depth == 0
    assert page.of["outer <b>"] == 1
    assert page.of["inner"] == 2
    lines = text.splitlines()
    # Markdown within HTML is read as such only between blank lines.
    for line, sign in (("one", 1), ("| class | n |", 1)):
        place = lines.index(line)
        assert lines[place - sign] == ""
    assert all(lines[place - 1] == "" for place, line in enumerate(lines) if line == "</details>")


@pytest.mark.parametrize("inside", [False, True], ids=["open", "folded"])
def test_a_figure_that_a_script_draws_brings_the_library_wherever_it_stands(tmp_path: Path, *, inside: bool) -> None:
    figure = Interactive({"data": [], "layout": {}}, "alt", "caption", "tables/a.csv", 100, 100)
    page = to_html(report_of(Folded("fold", (figure,)) if inside else figure), tmp_path)
    assert page.count(packed_library()) == 1


def test_names_from_the_data_are_isolated_in_html_and_plain_in_markdown(tmp_path: Path) -> None:
    report = replace(report_of(Paragraph(f"loses: {isolated(RIGHT_TO_LEFT)} 3 points"), TABLE), title=RIGHT_TO_LEFT)
    page = to_html(report, tmp_path)
    assert f"loses: <bdi>{RIGHT_TO_LEFT}</bdi> 3 points" in page
    assert f'<p class="study"><bdi>{RIGHT_TO_LEFT}</bdi></p>' in page
    assert "<bdi>deep</bdi>" in page
    assert f"loses: {RIGHT_TO_LEFT} 3 points" in to_markdown(report)


@pytest.mark.parametrize("name", ["</bdi><script>", "\u2069 \u2068", "a\u2069<b>", ""])
def test_no_name_ends_its_isolation(tmp_path: Path, name: str) -> None:
    page = to_html(report_of(Paragraph(f"x {isolated(name)} y")), tmp_path)
    (line,) = [line for line in page.splitlines() if line.startswith("<p>x ")]
    assert (line.count("<bdi>"), line.count("</bdi>")) == (1, 1)
    assert "<script" not in line
    assert "<b>" not in line
    assert "\u2068" not in to_markdown(report_of(Paragraph(f"x {isolated(name)} y")))


def test_the_picture_of_the_claim_stands_on_the_first_screen(tmp_path: Path) -> None:
    (tmp_path / "gains.png").write_bytes(b"")
    report = replace(
        report_of(Paragraph("later")), picture=Picture("gains.png", "the alt", "the dots", "tables/gains.csv")
    )
    for page in (to_html(report, tmp_path), to_markdown(report)):
        assert 0 < page.index("lead") < page.index("the dots") < page.index("later")
        assert "the alt" in page


def test_a_cell_wraps_before_a_number_or_a_parenthesis_and_never_within(tmp_path: Path) -> None:
    cells = ("a b", "70.6 ± 1.2", "+4.1 (−3.0 to +5.2)", "no, p 0.031", "p < 0.001", "open: 0.1 to 3", "goes to 3")
    table = ReportTable("the caption", ("a",) * len(cells), (cells,), "tables/cells.csv")
    page = to_html(report_of(table), tmp_path).replace("\N{NO-BREAK SPACE}", "~")
    shown = [html.unescape(cell) for cell in re.findall("<bdi>([^<]*)</bdi></t", page)]
    assert shown == [
        *("a b", "70.6~±~1.2", "+4.1 (−3.0~to~+5.2)", "no, p~0.031", "p~<~0.001", "open: 0.1~to~3", "goes to~3")
    ]


def test_a_line_of_a_command_ends_beside_a_flag_and_never_within(tmp_path: Path) -> None:
    text = "python --set a=--b --n-max 3 <b> x--y"
    (code,) = re.findall("<code>(.*?)</code>", to_html(report_of(Code("title", text)), tmp_path))
    assert re.findall('<span class="flag">(.*?)</span>', code) == ["--set", "--n-max"]
    assert html.unescape(re.sub("<[^>]*>", "", code)) == text
