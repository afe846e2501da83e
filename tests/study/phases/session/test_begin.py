"""What a new study makes, and what is refused before anything of it is made."""

import errno
import os
import sys
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from study import ingest, resume
from study.entry.continuation import analyses
from study.execution.cluster import ClusterError, _short_temporary_folder, private_token
from study.phases.session import begin as module
from study.phases.session.begin import begin
from study.planning.check import check
from study.planning.parser import build_parser
from tests.study.phases.session.played_session import manifest_of, pressing, throw
from trainables.cckd.errors import UsageError


@pytest.mark.parametrize(
    ("writable", "named", "given"),
    [
        (True, {}, False),
        (False, {}, True),
        (False, {"RAY_AUTH_MODE": "token"}, True),
        (False, {"RAY_AUTH_TOKEN": "mine"}, False),
        (False, {"RAY_AUTH_TOKEN_PATH": "/mine"}, False),
    ],
)
def test_a_private_ray_is_given_a_token_where_it_could_not_write_one(
    monkeypatch, tmp_path: Path, writable: bool, named: dict[str, str], given: bool
) -> None:
    before = {"HOME": str(tmp_path), **named}
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.setenv(name, "")  # so that it is restored
        monkeypatch.delenv(name)
    for name, value in before.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("study.execution.cluster.home_is_writable", lambda: writable)
    with private_token("local"):
        found = os.environ.get("RAY_AUTH_TOKEN")
    assert os.environ.get("RAY_AUTH_TOKEN") == named.get("RAY_AUTH_TOKEN"), "a cluster is not offered it later"
    with private_token("head:6379"):
        assert os.environ.get("RAY_AUTH_TOKEN") == named.get("RAY_AUTH_TOKEN")
    assert (found is not None and len(found) == 64) == given
    assert given or found == named.get("RAY_AUTH_TOKEN")


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize("what", ["write_record", "config_text", "create_ledger", "Ledger.create"])
def test_ctrl_c_before_the_first_phase_leaves_no_folder_that_says_running(
    small, play, folder, monkeypatch, capsys, what: str
) -> None:
    play(lambda study: None)
    with monkeypatch.context() as patch:
        patch.setattr(f"study.phases.session.begin.{what}", pressing)
        with pytest.raises(KeyboardInterrupt):
            begin(small, "...", analyses())
    assert (manifest_of(folder)["status"], manifest_of(folder)["phase"]) == ("interrupted", None)
    assert resume.main([str(folder)]) == 0
    assert manifest_of(folder)["status"] == "done"


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize("what", ["StudyStore.lock", "StudyStore.write_manifest", "logging_to"])
def test_ctrl_c_before_there_is_a_manifest_leaves_no_folder(small, play, folder, monkeypatch, what: str) -> None:
    monkeypatch.setattr(f"study.phases.session.begin.{what}", pressing)
    with pytest.raises(KeyboardInterrupt):
        begin(small, "...", analyses())
    assert not folder.exists()


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize("before", [True, False])
def test_ctrl_c_while_the_folder_is_made_leaves_none(small, folder, monkeypatch, before: bool) -> None:
    mkdir = Path.mkdir

    def pressed(path: Path, *args: Any, **how: Any) -> None:
        if path == folder and before:
            pressing()
        mkdir(path, *args, **how)
        if path == folder and not before:
            pressing()

    monkeypatch.setattr(Path, "mkdir", pressed)
    with pytest.raises(KeyboardInterrupt):
        begin(small, "...", analyses())
    assert not folder.exists()


def test_an_error_before_the_first_phase_leaves_no_folder_that_says_running(small, play, folder, monkeypatch) -> None:
    play(lambda study: None)
    with monkeypatch.context() as patch:
        full = OSError(28, "No space left on device")
        patch.setattr(module, "create_ledger", lambda *_: throw(full))
        with pytest.raises(UsageError, match="make room"):
            begin(small, "...", analyses())
    assert manifest_of(folder)["status"] == "failed"
    assert resume.main([str(folder)]) == 0


def test_a_folder_that_appeared_meanwhile_is_refused(small, folder: Path) -> None:
    folder.mkdir()
    with pytest.raises(UsageError, match=r"study\.resume"):
        begin(small, "...", analyses())
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "command",
    [lambda small: begin(small, "...", analyses()), lambda small: resume.main([str(small.folder)])],
)
def test_a_thread_is_refused_before_anything_is_made(small, play, folder, command) -> None:
    told: list[str] = []

    def work() -> None:
        try:
            command(small)
        except UsageError as error:
            told.extend(error.faults)

    play(lambda study: pytest.fail("it must not begin"))
    thread = threading.Thread(target=work, name="of a notebook")
    thread.start()
    thread.join()
    assert not folder.exists()
    assert all("in the main thread of its process" in fault and "'of a notebook'" in fault for fault in told)


def test_a_process_with_a_ray_of_its_own_is_refused_before_anything_is_made(small, play, folder, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(is_initialized=lambda: True))
    with pytest.raises(UsageError, match=r"connected to a Ray already; call ray\.shutdown\(\) first"):
        begin(small, "...", analyses())
    assert not folder.exists()


@pytest.mark.parametrize("name", ["TMPDIR", "RAY_TMPDIR"])
def test_a_temporary_folder_that_is_none_is_refused_before_anything_is_made(
    small, play, folder, tmp_path: Path, monkeypatch, name: str
) -> None:
    (tmp_path / "file").touch()
    for where in (tmp_path / "file", tmp_path / "gone"):
        monkeypatch.setenv(name, str(where))
        with pytest.raises(UsageError, match=rf"^{name} must name a folder that can be written, for Ray's files; got"):
            begin(small, "...", analyses())
    assert not folder.exists()


def test_a_temporary_folder_too_long_for_rays_sockets_is_refused_if_it_was_named_for_ray(
    small, play, folder, tmp_path: Path, monkeypatch
) -> None:
    long = tmp_path / ("x" * 60)
    long.mkdir()
    monkeypatch.setenv("RAY_TMPDIR", str(long))
    with pytest.raises(UsageError, match=r"RAY_TMPDIR must have at most \d+ letters, because Ray puts sockets there"):
        begin(small, "...", analyses())
    assert not folder.exists()
    monkeypatch.delenv("RAY_TMPDIR")
    monkeypatch.setenv("TMPDIR", str(long))
    play(lambda study: None)
    assert begin(small, "...", analyses()) == 0, "Ray gets a shorter one"


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, "/tmp"),
        ({"TMPDIR": ""}, "/tmp"),
        ({"TMPDIR": "/var/tmp"}, None),
        ({"TMPDIR": "/" + "x" * 60}, "/tmp"),
        ({"TMPDIR": "/" + "x" * 60, "RAY_TMPDIR": "/var/tmp"}, "/var/tmp"),
        ({"RAY_TMPDIR": ""}, "/tmp"),
    ],
)
def test_a_private_ray_gets_a_folder_short_enough_for_its_sockets(monkeypatch, variables, expected) -> None:
    for name in ("TMPDIR", "RAY_TMPDIR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with _short_temporary_folder():
        assert os.environ.get("RAY_TMPDIR") == expected
    assert os.environ.get("RAY_TMPDIR") == variables.get("RAY_TMPDIR")


def test_a_file_system_without_locks_leaves_no_folder(small, play, folder, monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("study.lock.fcntl.flock", refuse)
    with pytest.raises(UsageError, match="a file system with locks"):
        begin(small, "...", analyses())
    assert not folder.exists()


def test_the_folder_keeps_the_evidence_of_another_tool_and_goes_on_with_it(folder, play, tmp_path: Path) -> None:
    (tmp_path / "old.csv").write_text("temperature,mix_ratio,estimator,value\n2,0.2,prior,0.5\n3,0.3,batch,0.6\n")
    evidence = tmp_path / "old.json"
    assert ingest.main([str(tmp_path / "old.csv"), "--space", "acckd_smoke", "--out", str(evidence)]) == 0
    content = evidence.read_bytes()
    what = ["--space", "acckd_smoke", "--data", "digits_lt", "--out", str(tmp_path), "--name", "mine"]
    flags = ["--trials", "4", "--confirm-seeds", "0", "--warm-start", str(evidence)]
    warm = check(build_parser().parse_args([*what, *flags]))
    known = []
    play(lambda study: known.append(study.ledger._evidence))
    assert begin(warm, "...", analyses()) == 0
    evidence.unlink()
    assert (folder / "evidence.json").read_bytes() == content
    assert manifest_of(folder)["warm_start"]["source"]["file"] == "old.csv"
    (folder / "study.db").unlink()  # as if the driver had died before it made it
    assert resume.main([str(folder)]) == 0
    assert [[one.value for one in evidence] for evidence in known] == [[0.5, 0.6]] * 2


@pytest.mark.parametrize("address", ["auto", "head:6379", "10.0.0.1:6379"])
def test_a_cluster_that_cannot_be_joined_is_refused_before_anything_is_made(
    small, play, folder, capsys, monkeypatch, address: str
) -> None:
    def silent(address: str) -> None:
        raise ClusterError(f"--address {address}: no Ray cluster answered")

    play(lambda study: None)
    there = replace(small, plan=replace(small.plan, address=address))
    with monkeypatch.context() as patch:
        patch.setattr(module, "try_to_join", silent)
        with pytest.raises(UsageError, match="no Ray cluster answered"):
            begin(there, "...", analyses())
        assert not folder.exists()
        assert begin(small, "...", analyses()) == 0, "a private Ray asks no cluster"
        before = (folder / "study.json").read_bytes()
        assert resume.main([str(folder), "--address", address]) == 2
        assert "no Ray cluster answered" in capsys.readouterr().err
        assert (folder / "study.json").read_bytes() == before
