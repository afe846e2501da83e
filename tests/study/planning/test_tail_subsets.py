"""Cuts of the long tail: which sets have them, what must stay the same, and what a resumed study holds against them."""

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from study.planning import tail_subsets as module
from study.planning.check import check
from study.planning.checked import Checked
from study.planning.parser import build_parser
from study.planning.tail_subsets import cut_hashes, recut, recut_faults, with_cuts
from study.schema import CautionReason
from trainables.cckd.data.images import decode
from trainables.cckd.data.images.sets import hash_sets
from trainables.cckd.data.shared_images import SharedImages
from trainables.cckd.data.spec import parse_data
from trainables.cckd.errors import DataError, UsageError


def _check(out: Path, *argv: str) -> Checked:
    what = ["--space", "acckd_smoke", "--data-root", str(out / "data"), "--out", str(out), "--name", "toy"]
    return check(build_parser().parse_args([*what, *argv]))


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Checked:
    return _check(tmp_path_factory.mktemp("out"), "--data", "digits_lt", "--data-seeds", "3")


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of 8 small images to train on and 2 to test on."""
    root = tmp_path_factory.mktemp("photographs")
    rng = np.random.default_rng(0)
    for part, n in (("train", 8), ("test", 2)):
        for name in ("ant", "bee"):
            (root / part / name).mkdir(parents=True)
            for k in range(n):
                Image.fromarray(rng.integers(0, 256, (9, 9, 3), np.uint8)).save(root / part / name / f"{k}.png")
    return root


def test_every_cut_is_known_before_the_study_starts_and_no_two_are_the_same(checked: Checked) -> None:
    assert len(set(checked.cuts)) == 3
    assert checked.cuts[0] == checked.data.sha256


def test_a_cut_has_other_training_images_and_the_same_val_and_test(checked: Checked) -> None:
    other = recut(checked, 2)
    assert other.data.sha256 == checked.cuts[2]
    assert other.data.counts == checked.data.counts
    assert hash_sets({"": other.data.train}) != hash_sets({"": checked.data.train})
    assert other.data.val is checked.data.val
    assert other.data.test is checked.data.test


def test_val_and_test_features_are_filed_under_the_studys_own_cut(checked: Checked) -> None:
    other = recut(checked, 1)
    assert other.sha256_of("train") == checked.cuts[1] != checked.sha256_of("train")
    for subset in ("val", "test"):
        assert other.sha256_of(subset) == checked.sha256_of(subset) == checked.cuts[0]
    alone = replace(checked, cuts=())
    assert alone.sha256_of("val") == checked.data.sha256


def test_a_cut_that_judges_on_other_images_would_be_refused(checked: Checked, monkeypatch) -> None:
    load = module.load_data

    def off(*args, seed: int, **options):
        found = load(*args, seed=seed, **options)
        return replace(found, val=found.val.take(np.arange(399))) if seed == 2 else found

    monkeypatch.setattr(module, "load_data", off)
    with pytest.raises(DataError, match="D_val and test must be the same for every cut; cut 2 of digits_lt"):
        cut_hashes(checked.plan, checked.data)


def test_a_cut_with_files_left_out_is_refused(checked: Checked, monkeypatch) -> None:
    load = module.load_data

    def short(*args, seed: int, **options):
        found = load(*args, seed=seed, **options)
        return replace(found, counts=(89, *found.counts[1:]))

    monkeypatch.setattr(module, "load_data", short)
    with pytest.raises(DataError, match="of cut 1 files were left out, and class 0 has 89 instead of 90"):
        cut_hashes(checked.plan, checked.data)


def test_a_cut_that_changed_after_the_study_began_is_not_trained_on(checked: Checked) -> None:
    with pytest.raises(DataError, match=r"cut 1 of digits_lt.* had SHA-256 000000000000 when the study started"):
        recut(replace(checked, cuts=(checked.cuts[0], "0" * 64)), 1)


def test_a_resumed_study_finds_its_cuts_again_and_may_ask_for_more(checked: Checked) -> None:
    before = replace(checked, cuts=())
    assert with_cuts(before, list(checked.cuts[:2])).cuts == checked.cuts
    alone = replace(before, plan=replace(checked.plan, data_seeds=1))
    assert with_cuts(alone, []).cuts == checked.cuts[:1]
    with pytest.raises(DataError, match=r"other images in cuts 1$"):
        with_cuts(before, [checked.cuts[0], "0" * 64])


@pytest.mark.parametrize("data", ["imagenet_lt", "places_lt", "inat2018", "image_folder:path=x"])
def test_a_set_that_is_not_cut_here_cannot_be_cut_again(data: str) -> None:
    spec = parse_data(data)
    (fault,) = recut_faults(spec, data_seeds=2, confirm_seeds=6)
    assert f"every image that {spec.name} lists is trained on" in fault
    assert ("give it n_max and ir" in fault) == data.startswith("image_folder")
    assert recut_faults(spec, data_seeds=1, confirm_seeds=6) == []


@pytest.mark.parametrize("data", ["digits_lt", "cifar100_lt", "fashion_mnist_lt", "image_folder:path=x,n_max=9,ir=3"])
def test_a_set_that_is_cut_here_can_be_cut_again(data: str) -> None:
    assert recut_faults(parse_data(data), data_seeds=2, confirm_seeds=6) == []


def test_all_faults_of_the_command_line_come_at_once(tmp_path: Path) -> None:
    flags = ("--data", "inat2018", "--data-seeds", "2", "--confirm-seeds", "0", "--trials", "none")
    with pytest.raises(UsageError) as raised:
        _check(tmp_path, *flags)
    said = "\n".join(raised.value.faults)
    assert "--trials must be" in said
    assert "--data-seeds above 1 needs a long tail that is cut here" in said
    assert "--data-seeds above 1 is for the confirmation, which --confirm-seeds 0 skips; got 2" in said


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5"])
def test_a_number_of_cuts_that_is_none_is_refused(tmp_path: Path, value: str) -> None:
    with pytest.raises(UsageError, match="--data-seeds must be a whole number from 1 to"):
        _check(tmp_path, "--data", "digits_lt", "--data-seeds", value)


def test_files_are_cut_again_too_unless_every_class_uses_all_it_has(photographs: Path, tmp_path: Path) -> None:
    folder = f"image_folder:path={photographs},size=32,holdout=2"
    flags = ("--data-seeds", "2", "--set", "batch_size=5", "--epochs", "1")
    checked = _check(tmp_path, "--data", f"{folder},n_max=4,ir=2", *flags)
    other = recut(checked, 1)
    assert len(set(checked.cuts)) == 2
    assert set(other.data.train.paths) != set(checked.data.train.paths)
    with pytest.raises(DataError, match=r"needs a pool to choose from; cut 1 of .* has the same images"):
        _check(tmp_path, "--data", f"{folder},n_max=6,ir=1", *flags)


def test_images_that_a_cut_shares_are_told_by_its_number_and_none_is_read_twice(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every image of one class is in the test set too, so a cut trains on as many test images as it has of it."""
    shutil.copytree(photographs, tmp_path / "copied")
    for image in (photographs / "train" / "ant").iterdir():
        shutil.copy(image, tmp_path / "copied" / "test" / "ant" / f"copy of {image.name}")
    decoded: Counter[str] = Counter()
    read = decode.read_image
    monkeypatch.setattr(
        decode, "read_image", lambda files, index: decoded.update([files.paths[index]]) or read(files, index)
    )
    data = f"image_folder:path={tmp_path / 'copied'},size=32,holdout=2,n_max=4,ir=2"
    checked = _check(tmp_path, "--data", data, "--data-seeds", "3", "--set", "batch_size=5", "--epochs", "1")
    assert checked.shared == {("train", "test"): 4, ("D_val", "test"): 2}
    assert checked.shared_cuts == {1: {"test": 4}, 2: {"test": 4}}
    told = "cut 2 of the long tail (--data-seeds) trains on 4 of the test images, pixel by pixel"
    assert (CautionReason.SHARED_IMAGES, told) in checked.cautions
    assert set(decoded.values()) == {1}


def test_a_resumed_study_counts_what_its_new_cuts_share(checked: Checked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SharedImages, "in_training", lambda self, train: {"D_val": 1, "test": len(train)})
    before = replace(checked, cuts=())
    counts = {"D_val": 1, "test": 303}
    assert with_cuts(before, list(checked.cuts[:2])).shared_cuts == {2: counts}
    found = with_cuts(before, list(checked.cuts[:1]))
    assert found.shared_cuts == {1: counts, 2: counts}
    assert found.cautions[0].text == (
        "cut 1 of the long tail (--data-seeds) trains on 1 of the D_val images and 303 of the test images, pixel by "
        "pixel"
    )
    assert with_cuts(before, list(checked.cuts)).shared_cuts == {}
