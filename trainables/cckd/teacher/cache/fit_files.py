"""What made the files of a fit, beside the features: each names it, so that a file that no study can use is known."""

import json
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from safetensors import SafetensorError, safe_open

#: Increase it when the code computes another fit from the same ingredients, so that old fits are not found. In recipe 5
#: the folds of a set a little above row_blocks.MOST_PRODUCTS were fitted to every view, from the fit on all images.
FIT_RECIPE = 6

#: Folder of the fits, in the folder of the training features.
FITS = "fits"


def made_by() -> str:
    """Return what computes a fit now, as the files of a fit note it: the recipe and the libraries."""
    return json.dumps({"recipe": FIT_RECIPE, **{name: version(name) for name in ("numpy", "scipy")}}, sort_keys=True)


def dead_fits(features: Path, *, unfinished: bool) -> Iterator[Path]:
    """Yield the files of fits, and the folders of steps, that no study can use.

    The steps of a fit that was killed are of use to its study when it goes on.

    Args:
        features: the folder of training features. Only who has its lock alone may remove what is found.
        unfinished: yield the steps of every fit.
    """
    for fit in sorted((features / FITS).glob("*.safetensors")):
        if not _is_of_now(fit):
            yield fit
    for steps in sorted((features / FITS).glob("*.steps/")):
        kept = list(steps.glob("*.safetensors"))
        if unfinished or steps.with_suffix(".safetensors").exists() or not any(map(_is_of_now, kept)):
            yield steps


def _is_of_now(path: Path) -> bool:
    """Return whether the file is whole enough to say what made it, and that is what computes a fit now."""
    try:
        with safe_open(path, "np") as file:
            return (file.metadata() or {}).get("made_by") == made_by()
    except FileNotFoundError:  # its study has removed it
        return True
    except SafetensorError:
        return False
