"""The image store of a whole study: its driver is killed while the store is built, and a file is damaged later."""

import json
from pathlib import Path

import pytest

from tests.support.commands import SEARCH_ONLY, Command, n_complete, wait_until
from tests.support.damaged_images import encoded, zeroed
from trainables.cckd.data.images.image_files import ImageFiles
from trainables.cckd.data.images.scan import scan
from trainables.cckd.data.store.image_store import ImageStore

N_TRAIN, N_HELD = 120, 6


@pytest.mark.slow
def test_a_killed_build_goes_on_and_a_file_that_is_damaged_later_is_made_again(tmp_path: Path) -> None:
    contents = [encoded("jpeg", 900, 1200, seed=seed) for seed in range(2)]
    paths = []
    for part, n in (("train", N_TRAIN), ("val", N_HELD), ("test", N_HELD)):
        for label, name in enumerate(("ant", "bee")):
            (tmp_path / "images" / part / name).mkdir(parents=True)
            for number in range(n // 2):
                paths.append(f"{part}/{name}/{number}.jpg")
                (tmp_path / "images" / paths[-1]).write_bytes(contents[label])
    folder, store = tmp_path / "mine", ImageStore(tmp_path / "data" / "image-store", 64)
    command = Command(
        "study.run", "--space", "acckd_smoke", "--data", f"image_folder:path={tmp_path / 'images'},size=32",
        "--recipe", "quick", "--set", "batch_size=8", "--teacher-size", "32", "--teacher-views", "1",
        "--teacher-form", "ncm", "--data-root", str(tmp_path / "data"), "--out", str(tmp_path), "--name", "mine",
        "--data-path", "streamed", "--image-store", "64", "--max-concurrent", "1", "--trials", "40", "--epochs", "6",
        *SEARCH_ONLY,
    )  # fmt: skip
    wait_until(command, lambda: len(list(store.folder.rglob("*.jpg"))) >= 10)
    assert command.kill() == 0
    n_before = len(list(store.folder.rglob("*.jpg")))
    assert 10 <= n_before < len(paths)

    again = Command("study.resume", str(folder))
    wait_until(again, lambda: n_complete(folder) >= 1)
    undisturbed = ImageStore(tmp_path / "undisturbed", 64)
    files = scan({"all": ImageFiles.listed(tmp_path / "images", paths, [0] * len(paths))}).sets["all"]
    for row in range(0, len(paths), 7):
        undisturbed.make(files, row)
        name = store.stored(files).paths[row]
        assert (store.folder / name).read_bytes() == (undisturbed.folder / name).read_bytes()
    victim = store.folder / store.stored(files).paths[3]
    beside = victim.with_suffix(".zeroed")  # trials read the file meanwhile
    beside.write_bytes(zeroed(victim.read_bytes(), 20, 700))
    beside.replace(victim)
    ended = again.end(600)
    assert ended.code == 1
    (line,) = [line for line in ended.err.splitlines() if line.startswith("error:")]
    assert line.startswith(f"error: {victim} is not as the image store wrote it; ")
    assert line.endswith(f"a file of the image store is made again when the study goes on: {_resume(folder)}")

    n_done = n_complete(folder)
    last = Command("study.resume", str(folder), "--trials", str(n_done + 1)).end(600)
    assert last.code == 0, last.err
    assert "making 1 small image in" in last.out
    assert store.unfinished(files).tolist() == []
    assert not list(store.folder.rglob("*.tmp"))
    manifest = json.loads((folder / "study.json").read_text())
    assert manifest["data"]["image_store"] == 64
    assert manifest["counts"] == {"complete": n_done + 1, "pruned": 0, "fail": 0, "running": 0}
    assert "left_out" not in manifest["data"]


def _resume(folder: Path) -> str:
    from study.terminal.command_line import resume_command

    return resume_command(folder)
