"""The teacher's cache of a folder of JPEGs, really built: streamed or held, killed or not, its bytes are the same.

CCKD_CACHE_KILLS sets how often the build is killed (3; a soak asks for 10 or more).
"""

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pandas as pd
import pytest
from PIL import Image

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
N_KILLS = int(os.environ.get("CCKD_CACHE_KILLS", "3"))
#: 20 parts of 128 training images, several seconds of the teacher at its smallest; more where more kills must fit.
N_TRAIN = {name: n * max(3, N_KILLS) // 3 for name, n in {"ant": 1500, "bee": 800, "cat": 260}.items()}
N_HELD = 12
STUDY = (
    "--space", "acckd_smoke", "--recipe", "quick", "--teacher-size", "32", "--teacher-views", "2", "--trials", "2",
    "--epochs", "2", "--finalists", "0", "--confirm-seeds", "0", "--ablation-seeds", "0",
    "--set", "batch_size=256",
    "--seed", "3",
)  # fmt: skip
#: From the originals, as images are that are held in memory. A store has tests of its own.
STREAMED = ("--data-path", "streamed", "--image-store", "none")
#: Every process of one run, Ray's included, carries this in its environment.
_MARK = "CCKD_TEST_RUN"


class Run:
    """A study in processes of its own."""

    def __init__(self, folder: Path, *flags: str) -> None:
        self.path, self.data_root = folder / "runs" / "study", folder / "data"
        resuming = (self.path / "study.json").exists()
        where = ("--out", str(folder / "runs"), "--name", "study", "--data-root", str(self.data_root))
        words = ("study.resume", str(self.path)) if resuming else ("study.run", *where, *STUDY, *flags)
        self._mark = uuid4().hex
        self._output = folder / f"output-{self._mark}"
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *words], cwd=ROOT, env=os.environ | {_MARK: self._mark},
                start_new_session=True, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip

    def finish(self) -> None:
        """Wait for a good end."""
        code, output = self.end()
        assert code == 0, output

    def end(self) -> tuple[int, str]:
        """Wait for whatever end it comes to: the exit code, and all it printed."""
        return self._process.wait(400), self._output.read_text()

    def wait_for(self, reached: Callable[[], bool]) -> None:
        """Wait while it runs; what never comes is a failure."""
        while not reached():
            assert self._process.poll() is None, self._output.read_text()
            time.sleep(0.005)

    def cached(self, pattern: str) -> list[Path]:
        """What lies in the caches of its data root under such a name."""
        return list(self.data_root.glob(f"teacher-cache/*/{pattern}"))

    def kill(self) -> None:
        """SIGKILL the driver and every process of its Ray, found by their mark and never by name."""
        self._process.kill()
        self._process.wait()
        while found := self._left():
            for pid in found:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:  # it ended by itself
                    continue
            time.sleep(0.05)

    def _left(self) -> list[int]:
        found, wanted = [], f"{_MARK}={self._mark}".encode()
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if wanted in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
            except OSError:
                continue
        return found


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A data set of small JPEGs: noise around a brightness of the class, so that no two files are alike."""
    root, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for part in ("train", "val", "test"):
        for label, (name, n_images) in enumerate(N_TRAIN.items()):
            (root / part / name).mkdir(parents=True)
            for index in range(n_images if part == "train" else N_HELD):
                pixels = rng.integers(60 * label, 60 * label + 120, (20 + index % 5, 24, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(root / part / name / f"{index}.jpg", quality=85)
    return f"image_folder:path={root},size=16"


@pytest.fixture(scope="module")
def start() -> Iterator[Callable[..., Run]]:
    """Starts runs; none outlives the tests."""
    runs: list[Run] = []

    def begin(*arguments: Any) -> Run:
        runs.append(Run(*arguments))
        return runs[-1]

    yield begin
    for run in runs:
        run.kill()


@pytest.fixture(scope="module")
def finished(images: str, start: Callable[..., Run], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """The same study on both data paths, each with a data root of its own, so that each pays for its teacher.

    One trains on every core and the other on one: neither features nor records hang on that.
    """
    paths = {"streamed": STREAMED, "resident": ("--data-path", "resident", "--max-concurrent", "1")}
    runs = {name: start(tmp_path_factory.mktemp(name), "--data", images, *how) for name, how in paths.items()}
    for run in runs.values():
        run.finish()
    return runs


def test_streamed_and_resident_images_give_the_same_cache(finished: dict[str, Run]) -> None:
    streamed, resident = (_contents(run) for run in finished.values())
    assert {Path(name).name for name in streamed} == {"features.safetensors", "meta.json"}
    assert len(streamed) == 4, "training and validation images"
    assert streamed == resident


def test_streamed_and_resident_trials_give_the_same_records(finished: dict[str, Run]) -> None:
    for name, seconds in (("epochs.parquet", ["train_s", "eval_s"]), ("trials.csv", ["duration_s"])):
        tables = [_read(run.path / name).drop(columns=seconds) for run in finished.values()]
        assert len(tables[0]) > 0
        pd.testing.assert_frame_equal(*tables, check_exact=True)


def test_a_build_killed_at_random_ends_with_the_bytes_of_an_undisturbed_one(
    images: str, finished: dict[str, Run], start: Callable[..., Run], tmp_path: Path
) -> None:
    rng = random.Random()
    for kill in range(N_KILLS):
        # One part after the other, so that a fast machine is not done before the kill.
        run = start(tmp_path, "--data", images, *STREAMED, "--max-concurrent", "1")
        before = len(run.cached("parts/[0-9]*.safetensors"))
        run.wait_for(lambda run=run, before=before: len(run.cached("parts/[0-9]*.safetensors")) > before)
        time.sleep(rng.uniform(0, 0.6))
        run.kill()
        assert run.cached("meta.json") == [], f"kill {kill + 1} came too late"
        assert len(run.cached("parts/[0-9]*.safetensors")) > before
    last = start(tmp_path)
    last.wait_for(lambda: len(last.cached("meta.json")) == 2)
    last.wait_for(lambda: last.cached("parts") == [])
    last.kill()
    assert _contents(last) == _contents(finished["streamed"])


def test_a_study_on_what_another_teacher_has_cached_ends_before_it_files_a_result(
    images: str, finished: dict[str, Run], start: Callable[..., Run], tmp_path: Path
) -> None:
    shutil.copytree(finished["streamed"].data_root, tmp_path / "data")
    for meta in (tmp_path / "data" / "teacher-cache").glob("*/meta.json"):
        features = meta.with_name("features.safetensors")
        whole = features.read_bytes()
        body = 8 + int.from_bytes(whole[:8], "little")
        shifted = np.roll(np.frombuffer(whole[body:], np.float16), 7 * 1280)  # every image has another's
        features.write_bytes(whole[:body] + shifted.tobytes())
        told = json.loads(meta.read_text())
        meta.write_text(json.dumps(told | {"sha256": hashlib.sha256(features.read_bytes()).hexdigest()}))
    run = start(tmp_path, "--data", images, *STREAMED)
    code, output = run.end()
    assert code == 1
    assert "views computed again came out otherwise" in output
    assert "remove the folder" in output
    assert "Traceback" not in output
    assert _read(run.path / "epochs.parquet").empty


def _contents(run: Run) -> dict[str, bytes]:
    """The features of the finished cache and what is said of them, by their path in it."""
    return {f"{path.parent.name}/{path.name}": path.read_bytes() for path in run.cached("*") if path.is_file()}


def _read(path: Path) -> pd.DataFrame:
    return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
