"""The scripts of a page: plotly.js, compressed, and a content security policy that lets no other script run.

A study folder may come from a stranger. All text is escaped. Should that ever fail, the page's content security
policy names the digests of these scripts: the browser refuses every other script and every address outside the file.
"""

import base64
import gzip
import hashlib
import json
from functools import cache
from importlib.resources import files
from typing import Any

from markupsafe import Markup


@cache
def page_script() -> Markup:
    """Return the page's own script: theme, sortable tables, interactive figures."""
    return Markup((files("analysis") / "templates" / "report.js").read_text(encoding="utf-8"))


@cache
def packed_library() -> str:
    """Return plotly.js, packed: 2 MB instead of 5."""
    return packed(_library())


def packed(text: str) -> str:
    """Return a text as Base64 of gzip, which the browser itself unpacks: nothing in it can end a script element."""
    return base64.b64encode(gzip.compress(text.encode("utf-8"), mtime=0)).decode("ascii")


@cache
def policy(*, with_library: bool) -> str:
    """Return the content security policy of a page with these scripts."""
    scripts = [str(page_script()), *([_library()] if with_library else [])]
    digests = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    return f"default-src 'none'; script-src {digests}; style-src 'unsafe-inline'; img-src data: blob:"


def packed_json(value: Any) -> str:
    """Return a value as JSON, packed: the texts of hundreds of trials are alike."""
    return packed(json.dumps(value, separators=(",", ":"), allow_nan=False))


@cache
def _library() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
