"""The one place where code of the user's is imported: `--space module:ATTRIBUTE`, on the command line's word only.

Nothing that was read from a folder may come here: a study is resumed from the space in its study.json.
"""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from search_spaces.knob import SpaceError
from search_spaces.space import SearchSpace


def imported_space(text: str) -> SearchSpace:
    """Return the space that `module:ATTRIBUTE` names; the current folder is looked in first.

    Raises:
        SpaceError: no such module or attribute, a module that fails, or an object that is no space.
    """
    module, _, attribute = text.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), attribute)):
        raise SpaceError(f"--space module:ATTRIBUTE must name a Python module and an attribute of it; got {text!r}")
    try:
        with _current_folder_first():
            found = getattr(importlib.import_module(module), attribute, None)
    except SpaceError as error:
        raise SpaceError([f"{module}: {fault}" for fault in error.faults]) from error
    except Exception as error:  # the module is the user's own and may fail in any way
        raise SpaceError(f"{module} cannot be imported: {type(error).__name__}: {error}") from error
    if not isinstance(found, SearchSpace):
        raise SpaceError(f"{text} must be a SearchSpace; got {type(found).__name__}")
    return found


@contextmanager
def _current_folder_first() -> Iterator[None]:
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)
