"""What the command line says of a user's images: wrong inputs end with code 2, skipped files are counted."""

from pathlib import Path

import pytest
from PIL import Image

from study.run import main


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of ten training and two test images, one of them broken."""
    for part, n in (("train", 10), ("test", 2)):
        for name in ("ant", "bee"):
            (tmp_path / "set" / part / name).mkdir(parents=True)
            for index in range(n):
                Image.new("RGB", (16, 12), (20 * index, 0, 0)).save(tmp_path / "set" / part / name / f"{index}.jpg")
    (tmp_path / "set" / "test" / "bee" / "1.jpg").write_bytes(b"torn")
    return tmp_path / "set"


def _dry(folder: Path, *flags: str, options: str = "holdout=2") -> list[str]:
    data = f"image_folder:path={folder},{options}"
    return ["--data", data, "--out", str(folder.parent / "runs"), "--set", "batch_size=8", "--dry-run", *flags]


def test_a_broken_image_ends_the_command_before_anything_is_written(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(_dry(folder)) == 2
    said = capsys.readouterr().err
    assert "error: 1 of 24 image files cannot be used; --skip-corrupt leaves them out" in said
    assert "bee/1.jpg: not a JPEG, PNG or WebP image" in said
    assert not (folder.parent / "runs").exists()


def test_with_skip_corrupt_it_is_left_out_and_counted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(_dry(folder, "--skip-corrupt")) == 0
    said = capsys.readouterr().out
    assert "images    16 training, 4 val, 3 test; split holdout" in said
    assert "skipped   1 image files" in said


def test_selecting_on_test_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(_dry(folder, "--skip-corrupt", "--split", "paper")) == 0
    assert "split paper, SELECTED ON TEST" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ("holdout=2,n_max=5,ir=0.5", "ir must be a finite number of at least 1; got 0.5"),
        ("holdout=10", "the hold-out must be smaller than the smallest class"),
        ("holdout=2,n_max=9", "but n_max=9 needs 9; choose n_max="),
    ],
)
def test_options_that_do_not_fit_the_images_end_the_command(
    folder: Path, options: str, fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(_dry(folder, "--skip-corrupt", options=options)) == 2
    assert fault in capsys.readouterr().err


def test_the_listing_shows_what_must_be_given(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list-data"]) == 0
    said = capsys.readouterr().out
    for start in (
        "image_folder:path=...,size=224",
        "image_list:root=...,train=...,test=...",
        "inat2018:",
        "cifar10_lt:",
    ):
        assert f"\n{start}" in said
