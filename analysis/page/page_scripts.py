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
    """Return plotly.js as Base64 of gzip: 2 MB instead of 5. The browser itself unpacks it."""
    return base64.b64encode(gzip.compress(_library().encode("utf-8"), mtime=0)).decode("ascii")


@cache
def policy(*, with_library: bool) -> str:
    """Return the content security policy of a page with these scripts."""
    scripts = [str(page_script()), *([_library()] if with_library else [])]
    digests = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    return f"default-src 'none'; script-src {digests}; style-src 'unsafe-inline'; img-src data: blob:"


def plain_json(value: Any) -> Markup:
    """Return JSON for a script element: nothing in it can end the element."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Markup(text)


@cache
def _library() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
