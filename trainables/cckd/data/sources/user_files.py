"""A user's own images: image_folder (train/val/test folders of class folders) and image_list (list files)."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from trainables.cckd.data.images.image_files import ImageFiles
from trainables.cckd.data.images.sets import DataSetInfo, OptionValue, RawData
from trainables.cckd.data.sources.lists import class_names, read_lists
from trainables.cckd.data.sources.published import FILE_OPTIONS
from trainables.cckd.errors import DataError, first_few
from trainables.cckd.recipe import quick

_PARTS = ("train", "val", "test")

#: How a folder of D_val may be called.
_VAL = ("val", "valid", "validation", "dev")


def read_image_folder(data_root: Path, download: bool, options: Mapping[str, OptionValue]) -> RawData:
    """Read PATH/train/CLASS/..., PATH/test/CLASS/... and, where there is one, a folder of D_val (see _VAL).

    Classes are the folders of train, in the order of their names. Hidden files are ignored. Any other file counts as an
    image; the scan reports those that are none.

    Raises:
        DataError: a missing or empty folder, classes that differ between the parts, or files beside the class
            folders; names all of them.
    """
    root = Path(str(options["path"]))
    faults: list[str] = []
    of_val = [name for name in _VAL if (root / name).is_dir()]
    if len(of_val) > 1:
        faults.append(f"{root} must hold one folder of D_val ({', '.join(_VAL)}); it holds {first_few(of_val)}")
    folders = {"train": "train", "test": "test"} | ({"val": of_val[0]} if of_val else {})
    found = {part: _walk(root / folder, faults) for part, folder in folders.items()}
    names = tuple(found["train"])
    if found["train"] and len(names) < 2:
        faults.append(f"{root / 'train'} must hold at least 2 class folders; got {names[0]}")
    for part, classes in found.items():
        folder = root / folders[part]
        extra, absent = [name for name in classes if name not in names], [name for name in names if name not in classes]
        if names and extra:
            faults.append(f"{folder} must hold the classes of train only; got also {first_few(extra)}")
        if classes and absent:
            faults.append(f"{folder} needs every class of train; it has no folder {first_few(absent)}")
        empty = [name for name, paths in classes.items() if not paths]
        if empty:
            faults.append(f"{folder}: every class folder needs an image; none in {first_few(empty)}")
    if faults:
        raise DataError(faults)
    sets = {part: _files(root, folders[part], names, classes) for part, classes in found.items()}
    return RawData(sets["train"], sets["test"], f"image folder {root}", sets.get("val"), names)


def read_image_list(data_root: Path, download: bool, options: Mapping[str, OptionValue]) -> RawData:
    """Read the list files that the options name; their paths are relative to `root`.

    Raises:
        DataError: see lists.read_lists.
    """
    root = Path(str(options["root"]))
    if not root.is_dir():
        raise DataError(f"image_list: root must be a folder; got {root}")
    lists = read_lists({part: Path(str(options[part])) for part in _PARTS if options[part]})
    sets = {part: ImageFiles.listed(root, of_part.paths, of_part.labels) for part, of_part in lists.items()}
    names = class_names(lists["train"], int(lists["train"].labels.max()) + 1)
    source = f"list files of {Path(str(options['train'])).parent}; images in {root}"
    return RawData(sets["train"], sets["test"], source, sets.get("val"), names)


def _walk(folder: Path, faults: list[str]) -> dict[str, list[str]]:
    """Return class name -> its files, relative to the class folder, sorted."""
    try:
        entries = sorted(entry.name for entry in os.scandir(folder) if not entry.name.startswith("."))
    except OSError as error:
        faults.append(f"{folder} must be a folder of class folders; {error.strerror}")
        return {}
    if unnamed := [name for name in entries if not _is_text(name)]:
        faults.append(f"{folder}: the name of a class must be UTF-8; got {first_few(unnamed)!r}")
        return {}
    beside = [name for name in entries if not (folder / name).is_dir()]
    if beside:
        faults.append(f"{folder} must hold class folders only; beside them lie {first_few(beside)}")
    classes = {name: _files_below(folder / name) for name in entries if (folder / name).is_dir()}
    if not classes:
        faults.append(f"{folder} must hold a folder for every class; it holds none")
    return classes


def _is_text(name: str) -> bool:
    """Return whether the bytes of a file name are UTF-8; Python stands for others by lone surrogates."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def _files_below(folder: Path) -> list[str]:
    found = []
    for where, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        below = os.path.relpath(where, folder)
        found += [name if below == "." else f"{below}/{name}" for name in names if not name.startswith(".")]
    return sorted(found)


def _files(root: Path, folder: str, names: tuple[str, ...], classes: Mapping[str, list[str]]) -> ImageFiles:
    paths = [f"{folder}/{name}/{path}" for name in names for path in classes[name]]
    sizes = [len(classes[name]) for name in names]
    return ImageFiles.listed(root, paths, np.repeat(np.arange(len(names)), sizes))


#: n_max=0 keeps every image; `holdout` applies where the set has no val part of its own.
_TAIL_OPTIONS: Mapping[str, OptionValue] = {"n_max": 0, "ir": 1.0, "imb_type": "exp", "holdout": 20}
_SPLITS = ("own", "holdout", "split_test", "paper")

#: No recipe can suit every folder: `field` is a start, which nothing has measured.
_RECIPES = (
    replace(quick(100, student="resnet18"), name="field", source="our choice, not measured", lr=0.1),
    quick(40),
)

INFOS = (
    DataSetInfo(
        name="image_folder",
        description="Your own images in folders PATH/train/CLASS, PATH/test/CLASS and perhaps PATH/val/CLASS (valid, "
        "validation or dev). Without one, `holdout` images of each class are held out of train. A long tail is cut "
        "where n_max and ir are given; n_max alone keeps as many images of each class.",
        options={"path": "", **FILE_OPTIONS, **_TAIL_OPTIONS},
        recipes=_RECIPES,
        splits=_SPLITS,
        n_holdout=20,
        read=read_image_folder,
        required=("path",),
    ),
    DataSetInfo(
        name="image_list",
        description="Your own images by list files with lines `relative/path label`, the paths relative to root. "
        "Without val, `holdout` images of each class are held out of train. A long tail is cut where n_max and ir are "
        "given; n_max alone keeps as many images of each class.",
        options={"root": "", "train": "", "val": "", "test": "", **FILE_OPTIONS, **_TAIL_OPTIONS},
        recipes=_RECIPES,
        splits=_SPLITS,
        n_holdout=20,
        read=read_image_list,
        required=("root", "train", "test"),
    ),
)
