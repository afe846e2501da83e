"""Studies whose checkpoints lie in a real S3 server, or an emulator of Google's: faults are told, or waited out."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.commands import SEARCH_ONLY, Command
from tests.support.ray_nodes import free_port
from tests.support.s3_server import BUCKET, S3Server, environment, s3_server
from tests.whole.whole import SMOKE, Start, Study, wait
from trainables.object_store import probe

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

#: Seconds in which a store that cannot be used must be refused.
_REFUSED_S = 30
STORAGE = f"s3://{BUCKET}/studies"


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as started:
        yield started


@pytest.fixture
def s3(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    """The server, answering truly, and its address in the environment."""
    server.restore()
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    yield server
    server.restore()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("missing bucket", "its bucket does not exist"),
        ("wrong key", "it refuses the keys in the environment"),
        ("503", "it is out of order"),
        ("slow", "it answers too slowly"),
        ("refused", "nothing answers at its address"),
    ],
)
def test_a_store_that_cannot_be_used_is_refused_before_a_folder_is_made(
    s3: S3Server, fault: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    from study.run import main

    storage = "s3://no-such-bucket/studies" if fault == "missing bucket" else STORAGE
    if fault == "wrong key":
        s3.spoil = lambda method, path: (403, "InvalidAccessKeyId")
    elif fault == "503":
        s3.spoil = lambda method, path: (503, "SlowDown")
    elif fault == "slow":
        s3.delay_s = 4.0
    elif fault == "refused":
        monkeypatch.setenv("AWS_ENDPOINT_URL", environment("http://127.0.0.1:9")["AWS_ENDPOINT_URL"])
    flags = ("--data-root", str(tmp_path / "data"), "--out", str(tmp_path), "--name", "refused")
    start = time.monotonic()
    code = main([*SMOKE, *flags, "--storage", storage])
    taken, said = time.monotonic() - start, capsys.readouterr().err
    assert code == 2
    assert f"--storage must be a place that can be written; {storage}: {words}" in said
    assert len(said.strip().splitlines()) == 1, said
    assert taken < _REFUSED_S
    assert not (tmp_path / "refused").exists()
    assert "secret" not in said


def test_a_study_ends_whole_although_the_store_fails_now_and_then_and_once_for_long(s3: S3Server, run: Start) -> None:
    counted = iter(range(10**9))
    down_until = [float("inf")]

    def spoil(method: str, path: str) -> tuple[int, str] | None:
        if "/checkpoints/" in path and method == "PUT" and down_until[0] == float("inf"):
            down_until[0] = time.monotonic() + 15  # from the first checkpoint on: longer than pyarrow's own patience
        if down_until[0] != float("inf") and time.monotonic() < down_until[0]:
            return 503, "SlowDown"
        return (500, "InternalError") if next(counted) % 7 == 3 else None

    s3.spoil = spoil
    small = ("--trials", "2", "--epochs", "3", "--finalists", "0", "--confirm-seeds", "1", "--ladder", "la,kd")
    path, command = run("faulty", *SMOKE, *small, "--long-seeds", "0", "--ablation-seeds", "0", "--storage", STORAGE)
    study = Study(path, command.end())
    # Arrow itself notes what it asks again.
    said = [line for line in study.ended.err.splitlines() if not line.startswith("/arrow/cpp/")]
    assert (study.ended.code, said) == (0, [])
    assert s3.n_spoilt > 20
    assert [(row["state"], row["epochs"], row["attempts"]) for row in study.csv("trials.csv")] == [
        ("COMPLETE", "3", "1")
    ] * 2
    assert (path / "models" / "best1.safetensors").stat().st_size > 0
    assert not (path / "checkpoints").exists()
    s3.restore()
    assert [key for key in s3.objects() if "/checkpoints/" in key] == []


def test_a_killed_study_goes_on_from_the_store_once_it_answers(s3: S3Server, run: Start, tmp_path: Path) -> None:
    flags = ("--trials", "1", "--epochs", "30", *SEARCH_ONLY, "--storage", STORAGE)
    path, command = run("killed", *SMOKE, *flags)
    wait(command, lambda: any(key.endswith("/1/checkpoint.json") for key in s3.objects()))
    command.kill()
    s3.spoil = lambda method, where: (503, "SlowDown")
    refused = Command("study.resume", str(path)).end(60)
    assert refused.code == 2
    assert refused.err.startswith(
        f"error: --storage must be a place that can be written; {STORAGE}: it is out of order"
    )
    s3.restore()
    study = Study(path, Command("study.resume", str(path)).end())
    assert (study.ended.code, study.ended.err) == (0, "")
    (row,) = study.csv("trials.csv")
    assert (row["state"], row["epochs"], row["attempts"]) == ("COMPLETE", "30", "2")
    assert [key for key in s3.objects() if "/killed/checkpoints/" in key] == []


@pytest.fixture(scope="module")
def google() -> Iterator[str]:
    """The address of an emulator of Google's store with one empty bucket."""
    pytest.importorskip("gcp_storage_emulator", reason="gcp-storage-emulator, of the extra `test`, is not installed")
    from gcp_storage_emulator.server import create_server

    port = free_port()
    emulator = create_server("127.0.0.1", port, in_memory=True, default_bucket=BUCKET)
    emulator.start()
    yield f"http://127.0.0.1:{port}"
    emulator.stop()


def test_a_study_keeps_its_checkpoints_in_googles_store(google: str, run: Start, monkeypatch) -> None:
    monkeypatch.setenv("CLOUD_STORAGE_EMULATOR_ENDPOINT", google)
    small = ("--trials", "1", "--epochs", "2", "--finalists", "0", "--confirm-seeds", "1", "--ladder", "la,kd")
    short = (
        "--long-seeds",
        "0",
        "--ablation-seeds",
        "0",
        "--max-concurrent",
        "1",
        "--storage",
        f"gs://anonymous@{BUCKET}/studies",
    )
    path, command = run("google", *SMOKE, *small, *short)
    study = Study(path, command.end())
    assert (study.ended.code, study.ended.err) == (0, "")
    assert [row["state"] for row in study.csv("trials.csv")] == ["COMPLETE"]
    assert (path / "models" / "best1.safetensors").stat().st_size > 0


@pytest.mark.parametrize(
    ("bucket", "down", "words"),
    [("no-such-bucket", False, "its bucket does not exist"), (BUCKET, True, "nothing answers at its address")],
)
def test_googles_store_is_refused_in_words(google: str, bucket: str, down: bool, words: str, monkeypatch) -> None:
    monkeypatch.setenv("CLOUD_STORAGE_EMULATOR_ENDPOINT", "http://127.0.0.1:9" if down else google)
    start = time.monotonic()
    fault = probe(f"gs://anonymous@{bucket}/studies")
    assert fault is not None
    assert fault.startswith(words)
    assert time.monotonic() - start < _REFUSED_S
