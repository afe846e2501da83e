"""ImageNet-LT, Places-LT and iNaturalist 2018: totals, groups and places of their list files.

The lists are made here, to the totals and group sizes that are quoted for the published ones; so these tests
check how totals are enforced and groups are cut, not the published lists' own counts.
"""

from pathlib import Path

import numpy as np
import pytest

from trainables.cckd.data.images.sets import DataUnavailableError
from trainables.cckd.data.sources.published import RELEASES, read_release
from trainables.cckd.data.spec import parse_data
from trainables.cckd.data.splits import available_split, split_sets
from trainables.cckd.errors import DataError
from trainables.cckd.long_tail import groups_of

# set -> total, largest, smallest class, quoted sizes of many/medium/few, val and test images, default split.
QUOTED = {
    "imagenet_lt": (115_846, 1280, 5, (385, 479, 136), 20_000, 50_000, "own"),
    "places_lt": (62_500, 4980, 5, (131, 163, 71), 7_300, 36_500, "own"),
    "inat2018": (437_513, 1000, 2, (842, 3701, 3599), None, 24_426, "paper"),
}
FOLDERS = {
    "imagenet_lt": ("ImageNet_LT", "ImageNet", "train/n{:08}/n_{}.JPEG"),
    "places_lt": ("Places_LT", "Places", "data_256/a/scene{}/{}.jpg"),
    "inat2018": ("iNaturalist18", "inat2018", "train_val2018/Aves/{}/{}.jpg"),
}


def _counts(total: int, largest: int, smallest: int, groups: tuple[int, int, int]) -> list[int]:
    """Class sizes with that total, largest and smallest class and these group sizes."""
    many, medium, few = groups
    counts = np.array([101] * many + [20] * medium + [smallest] * few)
    counts[0] = largest
    rest = total - counts.sum()
    for start, end, most in ((many, many + medium, 100), (1, many, largest), (many + medium, len(counts) - 1, 19)):
        share, left = divmod(min(rest, int((most - counts[start:end]).sum())), end - start)
        counts[start:end] += share
        counts[start : start + left] += 1
        rest -= share * (end - start) + left
    assert rest == 0
    return counts.tolist()


def _write(name: str, root: Path, *, drop: int = 0) -> tuple[int, ...]:
    total, largest, smallest, groups, n_val, n_test, _ = QUOTED[name]
    lists, images, pattern = FOLDERS[name]
    counts = _counts(total, largest, smallest, groups)
    (root / lists).mkdir(parents=True)
    lines = [f"{pattern.format(c, i)} {c}" for c, n in enumerate(counts) for i in range(n)]
    (root / lists / RELEASES[name].lists["train"]).write_text("\n".join(lines[: len(lines) - drop]) + "\n")
    for part, n in (("val", n_val), ("test", n_test)):
        if n is not None:
            file = root / lists / RELEASES[name].lists[part]
            file.write_text("".join(f"{part}/{i}.jpg {i % len(counts)}\n" for i in range(n)))
    first = root / images / lines[0].rsplit(" ", 1)[0]
    first.parent.mkdir(parents=True)
    first.touch()
    return tuple(counts)


@pytest.mark.parametrize("name", QUOTED)
def test_totals_extremes_and_quoted_groups(name: str, tmp_path: Path) -> None:
    total, largest, smallest, quoted, n_val, n_test, default = QUOTED[name]
    wanted = _write(name, tmp_path)
    spec = parse_data(name)
    raw = spec.info.read(tmp_path, False, spec.options)
    counts = np.bincount(raw.pool.labels)
    groups = groups_of(counts.tolist())
    assert tuple(counts) == wanted
    assert (len(raw.pool), counts.max(), counts.min()) == (total, largest, smallest)
    assert (len(groups.many), len(groups.medium), len(groups.few)) == quoted
    assert raw.class_names is not None
    assert len(set(raw.class_names)) == len(counts) == RELEASES[name].n_classes
    mode = available_split(spec.info, None, raw)
    pool, val, test = split_sets(raw, mode, class_names=raw.class_names, n_holdout=0)
    assert (mode, len(pool), len(val), len(test)) == (default, total, n_val or n_test, n_test)
    assert (val is test) == (mode == "paper")
    assert spec.tail(len(counts)) is None


def test_class_names_are_the_folders_of_the_layout(tmp_path: Path) -> None:
    _write("imagenet_lt", tmp_path)
    raw = read_release(tmp_path, False, parse_data("imagenet_lt").options, name="imagenet_lt")
    assert raw.class_names is not None
    assert raw.class_names[:2] == ("n00000000", "n00000001")
    assert raw.pool.root == tmp_path / "ImageNet"
    assert raw.source == f"list files in ImageNet_LT, {tmp_path}/ImageNet_LT; images in {tmp_path}/ImageNet"


def test_a_list_of_another_length_is_not_taken_for_the_published_one(tmp_path: Path) -> None:
    _write("places_lt", tmp_path, drop=2)
    with pytest.raises(DataError, match="must list the 62500 images of the published places_lt; it lists 62498"):
        read_release(tmp_path, False, parse_data("places_lt").options, name="places_lt")


def test_both_folders_can_be_named(tmp_path: Path) -> None:
    _write("places_lt", tmp_path / "elsewhere")
    lists, images, _ = FOLDERS["places_lt"]
    spec = parse_data(f"places_lt:lists={tmp_path}/elsewhere/{lists},root={tmp_path}/elsewhere/{images}")
    raw = spec.info.read(tmp_path / "none", False, spec.options)
    assert raw.pool.root == tmp_path / "elsewhere" / images


def test_without_list_files_every_place_is_listed_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(DataUnavailableError) as caught:
        read_release(tmp_path, True, parse_data("inat2018").options, name="inat2018")
    first, *tried, advice = caught.value.faults
    assert first == "inat2018: its files are not available; tried"
    assert tried[0] == f"list files in iNaturalist18, {tmp_path}/iNaturalist18: no iNaturalist18_train.txt and 1 more"
    assert len(tried) == len(RELEASES["inat2018"].list_folders)
    assert "iNaturalist18_val.txt" in advice


def test_without_images_every_place_is_listed_with_the_way_out(tmp_path: Path) -> None:
    _write("places_lt", tmp_path)
    (tmp_path / "Places").rename(tmp_path / "hidden")
    with pytest.raises(DataUnavailableError) as caught:
        read_release(tmp_path, True, parse_data("places_lt").options, name="places_lt")
    assert len(caught.value.faults) == len(RELEASES["places_lt"].image_folders) + 2
    assert "data_256/a/scene0/0.jpg exists" in caught.value.faults[-1]
