"""The scripts of a page: plotly.js inside it, packed, and a policy that lets nothing else run.

A study folder may come from a stranger. All text is escaped; should that ever fail, the page's content security
policy names the digests of these scripts and the browser refuses any other, and any address outside the file.
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
    """The page's own script: theme, sortable tables, and the figures where there are any."""
    return Markup((files("analysis") / "templates" / "report.js").read_text(encoding="utf-8"))


@cache
def packed_library() -> str:
    """plotly.js as Base64 of gzip: 2 MB instead of 5, unpacked by the browser itself."""
    return base64.b64encode(gzip.compress(_library().encode("utf-8"), mtime=0)).decode("ascii")


@cache
def policy(*, with_library: bool) -> str:
    """Return the content security policy of a page with these scripts."""
    scripts = [str(page_script()), *([_library()] if with_library else [])]
    digests = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    return f"default-src 'none'; script-src {digests}; style-src 'unsafe-inline'; img-src data: blob:"


def plain_json(value: Any) -> Markup:
    """JSON that can stand in a script element: nothing in it ends the element."""
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
