"""An object store's errors are put into words, passing ones are waited out, and a store is asked before it is used."""

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from trainables import object_store
from trainables.object_store import StorageError, meaning, patiently, probe

#: What pyarrow 26 says of a real server (tests/whole/test_object_storage.py), what it means, and whether that is final.
SAID = [
    ("Bucket 'b' not found. To create buckets, enable the allow_bucket_creation option.", "does not exist", True),
    ("When testing for existence of bucket 'b': AWS Error ACCESS_DENIED during HeadBucket", "refuses the keys", True),
    ("AWS Error SIGNATURE_DOES_NOT_MATCH during PutObject operation", "refuses the keys", True),
    ("AWS Error UNKNOWN (HTTP status 301) during HeadBucket operation", "another region", True),
    ("AWS Error UNKNOWN (HTTP status 503) during HeadBucket operation: No response body.", "out of order", False),
    ("AWS Error SLOW_DOWN during PutObject operation: Please reduce your rate", "out of order", False),
    ("AWS Error NETWORK_CONNECTION: curlCode: 7, Could not connect to server", "nothing answers", False),
    ("AWS Error NETWORK_CONNECTION: curlCode: 6, Could not resolve hostname", "nothing answers", False),
    ("AWS Error NETWORK_CONNECTION: curlCode: 28, Timeout was reached", "too slowly", False),
    ("google::cloud::Status(UNAVAILABLE: PerformWork() - CURL error [7]=Could not connect", "nothing answers", False),
    ("google::cloud::Status(UNAVAILABLE: Could not create a OAuth2 access token to", "refuses the keys", True),
    ("disk quota exceeded", "disk quota exceeded", False),
]


@pytest.mark.parametrize(("said", "means", "final"), SAID)
def test_each_error_has_a_meaning_in_one_line(said: str, means: str, final: bool) -> None:
    words, is_final = meaning(f"OSError: {said}\nand a second line")
    assert means in words
    assert "\n" not in words
    assert is_final is final


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds slept; time stands still otherwise."""
    slept: list[float] = []
    monkeypatch.setattr(object_store.time, "sleep", slept.append)
    monkeypatch.setattr(object_store.time, "monotonic", lambda: sum(slept))
    return slept


def _failing(n: int, said: str) -> Callable[[str], str]:
    left = [n]

    def call(answer: str) -> str:
        if left[0]:
            left[0] -= 1
            raise OSError(said)
        return answer

    return call


@pytest.mark.parametrize("n", [0, 1, 9])
def test_a_store_that_is_out_of_order_for_a_while_is_waited_for(clock: list[float], n: int) -> None:
    assert patiently("s3://b/x", _failing(n, "HTTP status 503"), "done") == "done"
    assert len(clock) == n


def test_a_store_that_stays_out_of_order_is_given_up(clock: list[float]) -> None:
    with pytest.raises(StorageError, match=r"the storage s3://b/x fails: it is out of order: .*HTTP status 503"):
        patiently("s3://b/x", _failing(10**6, "HTTP status 503"), "done")
    assert object_store.PATIENCE_S <= sum(clock) <= object_store.PATIENCE_S + 20


def test_a_refusal_is_not_asked_again(clock: list[float]) -> None:
    with pytest.raises(StorageError, match="refuses the keys"):
        patiently("s3://b/x", _failing(1, "AWS Error ACCESS_DENIED"), "done")
    assert clock == []


@pytest.mark.parametrize(
    ("number", "n_waits"), [(errno.ENOTDIR, 0), (errno.EACCES, 0), (errno.EROFS, 0), (errno.EIO, 1), (errno.ESTALE, 1)]
)
def test_a_disk_is_asked_again_only_where_waiting_may_help(clock: list[float], number: int, n_waits: int) -> None:
    left = [1]

    def call() -> str:
        if left and left.pop():
            raise OSError(number, "the disk says so")
        return "done"

    if n_waits:
        assert patiently("file:///store", call) == "done"
    else:
        with pytest.raises(StorageError, match=r"the storage file:///store fails: .*the disk says so"):
            patiently("file:///store", call)
    assert len(clock) == n_waits


def test_a_missing_object_is_no_fault_of_the_store(clock: list[float]) -> None:
    def missing() -> None:
        raise FileNotFoundError("s3://b/x/1")

    with pytest.raises(FileNotFoundError):
        patiently("s3://b/x", missing)
    assert clock == []


def test_a_store_is_asked_by_writing_and_nothing_is_left(tmp_path: Path) -> None:
    root = tmp_path / "store"
    assert probe(f"file://{root}") is None
    assert list(root.iterdir()) == []
    (tmp_path / "file").touch()
    fault = probe(f"file://{tmp_path}/file")
    assert fault is not None
    assert "\n" not in fault


def test_a_store_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_store, "_PROBE", "import time; time.sleep(60)")
    monkeypatch.setattr(object_store, "_PROBE_S", 0.2)
    assert probe("s3://b/x") == "it answers too slowly: not within 0.2 s"
