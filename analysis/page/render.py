"""A Report as one offline HTML file, and as Markdown beside its figures."""

import base64
import re
from functools import partial
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from analysis.page.document import (
    Code,
    Folded,
    Gallery,
    Interactive,
    Note,
    Paragraph,
    Picture,
    Report,
    ReportTable,
    unfolded,
)
from analysis.page.page_scripts import packed_json, packed_library, page_script, policy
from study.terminal.faults import printable

_KINDS = {
    Paragraph: "paragraph",
    Note: "note",
    Code: "code",
    ReportTable: "table",
    Picture: "picture",
    Gallery: "gallery",
    Interactive: "interactive",
    Folded: "folded",
}

#: A name from the data between the marks of `wording.isolated`.
_NAME = re.compile("\u2068([^\u2068\u2069]*)\u2069")

#: A space within '70.6 ± 1.2', '+3.0 to +5.2' or 'p < 0.001', where no line of a cell may end.
_WITHIN_NUMBERS = re.compile(r"(?<=\d) (?=(?:±|to) [\d+−])|(?<=[±<]) (?=\d)|(?<=\bp) (?=[\d<])|(?<=\bto) (?=[\d+−])")

#: The name of a flag, as HTML: browsers would end a line behind its hyphens.
_FLAG = re.compile(r"(?<!\S)(--[a-z][a-z-]*)")

#: Characters with a meaning in Markdown or in the HTML inside it.
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~&])")


def to_html(report: Report, folder: Path) -> str:
    """Return the page with every picture of `folder` and every script inside it; all text is escaped."""
    environment = _environment(autoescape=True)
    environment.filters["data_uri"] = partial(_data_uri, folder)
    environment.filters["packed_json"] = packed_json
    drawn = any(isinstance(block, Interactive) for section in report.sections for block in unfolded(section.blocks))
    return environment.get_template("report.html.j2").render(
        report=report,
        policy=policy(with_library=drawn),
        script=page_script(),
        library=packed_library() if drawn else "",
    )


def to_markdown(report: Report) -> str:
    """Return Markdown with relative links to figures/ and tables/; all text is escaped."""
    environment = _environment(autoescape=False)
    environment.filters["md"] = escape_markdown
    environment.filters["fenced"] = _fence
    return environment.get_template("report.md.j2").render(report=report)


def _environment(*, autoescape: bool) -> Environment:
    environment = Environment(
        loader=PackageLoader("analysis"),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["names"] = _names
    environment.filters["flags"] = _flags
    environment.filters["unbroken"] = _unbroken
    environment.tests["kind"] = lambda block, kind: _KINDS[type(block)] == kind
    return environment


def _data_uri(folder: Path, file: str) -> str:
    return f"data:image/png;base64,{base64.b64encode((folder / file).read_bytes()).decode('ascii')}"


def _names(text: str) -> Markup:
    """Return a text as HTML, its names isolated: letters that run from right to left do not turn what follows them."""
    return Markup(_NAME.sub(r"<bdi>\1</bdi>", str(escape(text))))


def _flags(text: str) -> Markup:
    """Return a command as HTML whose lines end beside the names of flags, never within one."""
    return Markup(_FLAG.sub(r'<span class="flag">\1</span>', str(escape(text))))


def _unbroken(cell: str) -> str:
    """Return the text of a cell, a narrow column of which wraps before a number or a parenthesis, never within one."""
    return _WITHIN_NUMBERS.sub("\N{NO-BREAK SPACE}", cell)


def escape_markdown(text: str) -> str:
    """Return a text on one line that Markdown shows unchanged, its names without marks."""
    return _MARKDOWN.sub(r"\\\1", printable(" ".join(_NAME.sub(r"\1", text).split())))


def _fence(text: str) -> str:
    """Return text between Markdown fences that nothing in the text can close."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence}\n{printable(text)}\n{fence}"
