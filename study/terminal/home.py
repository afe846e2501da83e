"""A home folder that cannot be used, as a container's user has it: a uid without a passwd entry, HOME unset or `/`.

Ray expands `~` when it is imported; matplotlib, timm, torch and this package keep caches below it. None of these files
is needed again, so they go to a folder that is removed at the end.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

#: Variable of the folder of what this package has measured, for users without a home folder.
CACHE_VARIABLE = "CCKD_CACHE"

#: Variable of a cache -> the folder that is taken without it, below the home folder.
_CACHES = {
    "MPLCONFIGDIR": ".config/matplotlib",
    "HF_HOME": ".cache/huggingface",
    "TORCH_HOME": ".cache/torch",
    CACHE_VARIABLE: ".cache/cckd-study",
}


@contextmanager
def needing_no_home() -> Iterator[None]:
    """Let libraries work in the block without a home folder that can be written; with one, change nothing.

    A cache that is there already is kept, because it can be read. `~` becomes `/` where it has no meaning.
    """
    if home_is_writable():
        yield
        return
    before, home = dict(os.environ), os.path.expanduser("~")
    os.environ["HOME"] = home = "/" if home == "~" else home
    with tempfile.TemporaryDirectory(prefix="cckd-home-", ignore_cleanup_errors=True) as scratch:
        for variable, folder in _CACHES.items():
            if not os.path.isdir(os.path.join(home, folder)):
                os.environ.setdefault(variable, os.path.join(scratch, folder))
        try:
            yield
        finally:
            for variable in ("HOME", *_CACHES):
                os.environ.pop(variable, None)
                if variable in before:
                    os.environ[variable] = before[variable]


def home_is_writable() -> bool:
    """Return whether the home folder is there and can be written."""
    home = os.path.expanduser("~")
    return os.path.isdir(home) and os.access(home, os.W_OK | os.X_OK)
