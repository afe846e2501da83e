"""The field's large sets: imagenet_lt, places_lt (Liu et al., CVPR 2019) and inat2018, by their published list files.

The list files decide which images are trained and tested on; this module cuts and splits nothing. It checks the totals,
so that a list of another release or a shortened list does not pass for the published protocol.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from trainables.cckd.data.images.image_files import ImageFiles
from trainables.cckd.data.images.sets import DataSetInfo, OptionValue, RawData
from trainables.cckd.data.sources.lists import ImageList, class_names, read_lists
from trainables.cckd.data.sources.locate import locate
from trainables.cckd.errors import DataError
from trainables.cckd.recipe import Recipe, quick

#: Options of every set of image files: side of the student's input, smallest share of an image in a crop.
FILE_OPTIONS: Mapping[str, OptionValue] = {"size": 224, "crop_scale": 0.25}

#: The smallest share of an image in a crop, as the published sets are trained.
_CROP_SCALE = 0.08


@dataclass(frozen=True)
class Release:
    """The list files of a published set.

    Attributes:
        name: of the data set.
        n_classes: C.
        lists: part ('train', 'test', perhaps 'val') -> list file.
        totals: part -> number of images that it lists.
        list_folders: folders where repositories keep the list files, relative to the data root.
        image_folders: folders to which the paths of the lists are relative, relative to the data root.
    """

    name: str
    n_classes: int
    lists: Mapping[str, str]
    totals: Mapping[str, int]
    list_folders: tuple[str, ...]
    image_folders: tuple[str, ...]


RELEASES = {
    release.name: release
    for release in (
        Release(
            name="imagenet_lt",
            n_classes=1000,
            lists={part: f"ImageNet_LT_{part}.txt" for part in ("train", "val", "test")},
            totals={"train": 115_846, "val": 20_000, "test": 50_000},
            list_folders=("ImageNet_LT", "data_txt/ImageNet_LT", "data_txt", "ImageNet", "imagenet", "."),
            image_folders=("ImageNet", "imagenet", "ImageNet_LT", "."),
        ),
        Release(
            name="places_lt",
            n_classes=365,
            lists={part: f"Places_LT_{part}.txt" for part in ("train", "val", "test")},
            totals={"train": 62_500, "val": 7_300, "test": 36_500},
            list_folders=("Places_LT", "data_txt/Places_LT", "Places_LT_v2", "data_txt/Places_LT_v2", "Places", "."),
            image_folders=("Places", "places365_standard", "places365", "Places_LT", "."),
        ),
        Release(
            name="inat2018",
            n_classes=8142,
            lists={"train": "iNaturalist18_train.txt", "test": "iNaturalist18_val.txt"},
            totals={"train": 437_513, "test": 24_426},
            list_folders=("iNaturalist18", "data_txt/iNaturalist18", "data_txt", "inat2018", "."),
            image_folders=("iNaturalist18", "inat2018", "inat", "."),
        ),
    )
}


def read_release(data_root: Path, download: bool, options: Mapping[str, OptionValue], *, name: str) -> RawData:
    """Read the list files and find the folder to which their paths are relative.

    The options `lists` and `root` name the two folders where they are not among the usual ones. These sets cannot be
    downloaded freely, so `download` has no effect.

    Raises:
        DataUnavailableError: no list files, or no folder with the first image of the training list.
        DataError: list files that are damaged or are not the published ones.
    """
    release = RELEASES[name]
    lists, source = read_release_lists(data_root, options, release)
    root = _image_folder(data_root, options, release, lists["train"])
    sets = {part: ImageFiles.listed(root, of_part.paths, of_part.labels) for part, of_part in lists.items()}
    return RawData(
        pool=sets["train"],
        test=sets["test"],
        source=f"{source}; images in {root}",
        val=sets.get("val"),
        class_names=class_names(lists["train"], release.n_classes),
    )


def read_release_lists(
    data_root: Path, options: Mapping[str, OptionValue], release: Release
) -> tuple[dict[str, ImageList], str]:
    """Find, read and check the list files; return their content, and where they were found."""
    names = tuple(release.lists.values())
    folder, source = locate(
        release.name,
        _places(data_root, str(options["lists"]), release.list_folders, "list files"),
        lambda folder: [name for name in names if not (folder / name).is_file()],
        data_root=data_root,
        download=False,
        advice=f"put the published list files {', '.join(names)} into {data_root / release.list_folders[0]}, "
        f"or name their folder: --data {release.name}:lists=DIR,root=DIR",
    )
    files = {part: folder / name for part, name in release.lists.items()}
    # The lists are the protocol: a path that two of them share is the decision of the release.
    lists = read_lists(files, n_classes=release.n_classes, apart=False)
    faults = [
        f"{files[part]} must list the {total} images of the published {release.name}; "
        f"it lists {len(lists[part].paths)} (a list of your own is data set image_list)"
        for part, total in release.totals.items()
        if len(lists[part].paths) != total
    ]
    if faults:
        raise DataError(faults)
    return lists, source


def _image_folder(data_root: Path, options: Mapping[str, OptionValue], release: Release, train: ImageList) -> Path:
    places = _places(data_root, str(options["root"]), release.image_folders, "images")
    first = train.paths[0]
    folder, _ = locate(
        release.name,
        places,
        lambda folder: [] if (folder / first).exists() else [first],
        data_root=data_root,
        download=False,
        advice=f"unpack the published images so that {next(iter(places.values())) / first} exists, "
        f"or name their folder: --data {release.name}:root=DIR",
        what="images",
    )
    return folder


def _places(data_root: Path, given: str, folders: tuple[str, ...], what: str) -> dict[str, Path]:
    if given:
        return {f"{what} as given": Path(given)}
    return {
        f"{what} in {folder}" if folder != "." else f"{what} in the data root": data_root / folder for folder in folders
    }


def _field(epochs: int) -> Recipe:
    """Kang et al., arXiv 1910.09217: ResNet-50, 90 or 200 epochs, random resized crops of 224 pixels, one cosine."""
    return Recipe(
        name="field",
        source="Decoupling (Kang et al., arXiv 1910.09217), second-hand",
        student="resnet50",
        epochs=epochs,
        batch_size=256,
        lr=0.1,
        momentum=0.9,
        nesterov=False,
        weight_decay=5e-4,
        schedule="cosine",
        length="published",
        length_at={"size": (FILE_OPTIONS["size"],), "crop_scale": (_CROP_SCALE,)},
        sources={
            "batch_size": "half of Decoupling's 512",
            "lr": "half of Decoupling's 0.2, as the batch",
            "teacher_views": "our choice: a pass of hours, each view used eleven times or more",
        },
    )


def _info(name: str, description: str, splits: tuple[str, ...], epochs: int) -> DataSetInfo:
    return DataSetInfo(
        name=name,
        description=description,
        options={**FILE_OPTIONS, "crop_scale": _CROP_SCALE, "root": "", "lists": ""},
        recipes=(_field(epochs), quick(10, student="resnet18")),
        splits=splits,
        read=partial(read_release, name=name),
        of_imagenet=name.startswith("imagenet"),
    )


INFOS = (
    _info("imagenet_lt", "ImageNet-LT: 115,846 photographs of 1,000 classes.", ("own", "paper", "split_test"), 90),
    _info("places_lt", "Places-LT: 62,500 photographs of 365 kinds of scenes.", ("own", "paper", "split_test"), 90),
    _info("inat2018", "iNaturalist 2018: 437,513 photographs of 8,142 species.", ("paper", "split_test"), 200),
)
