"""Which of our packages are in the way of a user's own modules of the same name, found before anything starts."""

from collections.abc import Iterable
from importlib.machinery import PathFinder
from pathlib import Path

from trainables.cckd.errors import UsageError

#: Folder that holds our packages: a checkout, or site-packages.
_ROOT = Path(__file__).resolve().parents[2]

#: What the driver imports, and what Ray's workers import: they look into the driver's current folder first.
_OF_DRIVER = ("study", "trainables", "search_spaces", "analysis")
_OF_WORKERS = ("study", "trainables", "search_spaces")


def refuse_shadows(*, workers: bool) -> None:
    """Refuse to start where Python would import another file in place of one of our packages.

    `python -m` and the workers of a private Ray look for modules in the current folder first. A console script does
    not, and the workers of a cluster that is joined get our packages sent.

    Args:
        workers: whether the command starts a private Ray.

    Raises:
        UsageError: names every such file.
    """
    here = Path.cwd()
    found = {package: _origin(package, None) for package in _OF_DRIVER}
    if workers:
        found |= {package: _origin(package, [str(here)]) or found[package] for package in _OF_WORKERS}
    faults = [
        f"{origin} would be imported instead of this program's package {package}; start from another folder, or "
        "rename it"
        for package, origin in found.items()
        if origin is not None and not origin.is_relative_to(_ROOT / package)
    ]
    if faults:
        raise UsageError(faults)


def _origin(package: str, path: Iterable[str] | None) -> Path | None:
    """The file that `import package` would run, looked for in `path`; a folder without __init__.py hides nothing."""
    spec = PathFinder.find_spec(package, None if path is None else list(path))
    return Path(spec.origin).resolve() if spec and spec.origin else None
