"""How the exported student is loaded, as models/<entry>.json says."""

import json
from pathlib import Path

from analysis.page.document import Code
from analysis.reading.study_data import StudyFolderError
from study.schema import MODELS


def loading_lines(folder: Path, entry: str) -> tuple[Code, ...]:
    """The lines of Python that load the model of `entry`; nothing where none was exported with such lines.

    Raises:
        StudyFolderError: its description cannot be read.
    """
    path = folder / MODELS / f"{entry}.json"
    if not path.is_file():
        return ()
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        lines = [str(line) for line in about.get("load", ())]
        shape, mean, std = (_numbers(about[key]) for key in ("input_shape", "pixel_mean", "pixel_std"))
        recipe = f"# for images ({shape}): {about['preprocessing']}; pixel_mean {mean}; pixel_std {std}"
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StudyFolderError(f"{path} does not describe a model: {error!r}") from error
    if not lines:
        return ()
    needs = "timm and this package" if any("trainables" in line for line in lines) else "timm alone"
    title = f"Load its trained student in Python with {needs}, from the study's folder {MODELS}"
    return (Code(title, "\n".join([*lines, recipe])),)


def _numbers(values: list[float]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)
