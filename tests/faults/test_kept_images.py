"""A study that has begun keeps its pixels: neither files that leave, nor a resume, nor another version choose again."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from study.planning.check import check
from study.planning.checked import Checked
from study.planning.config_file import config_text
from study.planning.manifest import checked_again, first_manifest
from study.planning.parser import parse
from study.planning.tail_subsets import left_out
from study.schema import IMAGE_FILES
from tests.support.damaged_images import encoded
from trainables.cckd.data.file_record import write_record
from trainables.cckd.data.images import memory_choice
from trainables.cckd.data.images.decoded_images import decoded_bytes
from trainables.cckd.data.store import image_store, store_choice
from trainables.cckd.errors import DataError

LOST = "train/ant/3.jpg"


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Checked]:
    """Checks a study of image files that are a byte too large for the memory."""
    for part, n in (("train", 8), ("val", 2), ("test", 2)):
        for label, name in enumerate(("ant", "bee")):
            (tmp_path / "images" / part / name).mkdir(parents=True)
            for number in range(n):
                content = encoded("jpeg", 30, 40, seed=50 * label + number + n)
                (tmp_path / "images" / part / name / f"{number}.jpg").write_bytes(content)

    def checked(*flags: str) -> Checked:
        where = ["--data-root", str(tmp_path / "data"), "--out", str(tmp_path), "--name", "mine"]
        data = ["--data", f"image_folder:path={tmp_path / 'images'},size=16", "--set", "batch_size=8"]
        return check(*parse(["--space", "acckd_smoke", *data, *where, *flags]))

    sizes = np.full((2 * (8 + 2 + 2), 2), (30, 40), np.int32)
    monkeypatch.setattr(memory_choice, "RESIDENT_LIMIT", decoded_bytes(sizes) - 1)
    return checked


def _begun(checked: Checked) -> dict[str, Any]:
    """Make the folder of a study; return its manifest as read back from disk."""
    checked.folder.mkdir()
    write_record(checked.folder / IMAGE_FILES, checked.data)
    return json.loads(json.dumps(first_manifest(checked, "")))


def _reads(checked: Checked) -> tuple[str, int | None]:
    return checked.data_path.name, checked.image_store.shorter if checked.image_store else None


@pytest.mark.parametrize(
    ("flags", "reads"),
    [
        ((), ("streamed", 256)),
        (("--image-store", "20"), ("streamed", 20)),
        (("--image-store", "0"), ("streamed", None)),
    ],
)
def test_files_that_leave_change_no_pixels_of_the_others(asked, flags: tuple[str, ...], reads, monkeypatch) -> None:
    checked = asked(*flags)
    manifest = _begun(checked)
    assert _reads(checked) == reads
    fewer = left_out(checked, {LOST: "is torn"})
    assert (len(fewer.data.train), _reads(fewer)) == (15, reads)
    (Path(checked.data.train.root) / LOST).unlink()
    monkeypatch.setattr(store_choice, "SHORTER_SIDE", 300)
    again = checked_again(checked.folder, manifest, skip_corrupt=True)
    assert (len(again.data.train), _reads(again)) == (15, reads)


def test_images_that_were_held_in_memory_stay_there(asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_choice, "RESIDENT_LIMIT", 2**30)
    checked = asked()
    manifest = _begun(checked)
    monkeypatch.setattr(memory_choice, "RESIDENT_LIMIT", 1)
    assert _reads(checked_again(checked.folder, manifest)) == _reads(checked) == ("resident", None)


def test_the_file_of_a_study_starts_one_with_the_same_pixels(asked, tmp_path: Path, monkeypatch) -> None:
    checked = asked()
    (tmp_path / "study.yaml").write_text(config_text(checked.plan, checked.space))
    monkeypatch.setattr(memory_choice, "RESIDENT_LIMIT", 2**30)
    monkeypatch.setattr(store_choice, "SHORTER_SIDE", 300)
    again = check(*parse(["--config", str(tmp_path / "study.yaml")]))
    assert _reads(again) == _reads(checked) == ("streamed", 256)


def test_data_that_are_read_whole_are_planned_as_before(tmp_path: Path) -> None:
    plan = check(*parse(["--space", "acckd_smoke", "--data", "digits_lt", "--out", str(tmp_path)])).plan
    assert (plan.data_path, plan.image_store) == ("auto", None)


def test_a_version_that_makes_other_small_images_does_not_go_on(asked, monkeypatch: pytest.MonkeyPatch) -> None:
    checked = asked()
    manifest = _begun(checked)
    monkeypatch.setattr(image_store, "RECIPE", 2)
    with pytest.raises(DataError) as caught:
        checked_again(checked.folder, manifest)
    assert str(caught.value) == (
        f"the study in {checked.folder} was begun on the image store 256px-1, and this version reads the image store "
        "256px-2, which are other pixels; go on with the version that began it, or begin another study"
    )


@pytest.mark.parametrize("explicit", [None, 256])
def test_a_study_whose_plan_left_the_choice_open_goes_on_with_what_was_chosen(asked, explicit, monkeypatch) -> None:
    checked = asked()
    manifest = _begun(checked)
    manifest["plan"] |= {"data_path": "auto", "image_store": explicit}
    del manifest["data"]["image_store_recipe"]
    monkeypatch.setattr(memory_choice, "RESIDENT_LIMIT", 2**30)
    monkeypatch.setattr(store_choice, "SHORTER_SIDE", 300)
    assert _reads(checked_again(checked.folder, manifest)) == ("streamed", 256)


def test_a_study_from_before_there_was_a_store_goes_on_with_the_originals(asked) -> None:
    checked = asked("--image-store", "none")
    manifest = _begun(checked)
    manifest["plan"] |= {"data_path": "auto"}
    del manifest["plan"]["image_store"], manifest["data"]["image_store"], manifest["data"]["image_store_recipe"]
    assert _reads(checked_again(checked.folder, manifest)) == ("streamed", None)
