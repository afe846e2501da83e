"""Studies on nodes that `ray start` has started on this machine, with a token; nodes are killed, and others join."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.commands import ROOT, SEARCH_ONLY, Command, command_line
from tests.support.ray_nodes import RayNode, RayNodes, free_port, ray_nodes
from tests.whole.whole import SMOKE, Start, Study, interrupted, query, wait
from trainables.cckd.precision import faster_precision

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

_DASHBOARD_PORT = free_port()


@pytest.fixture(scope="module")
def nodes() -> Iterator[RayNodes]:
    with ray_nodes("--include-dashboard=true", f"--dashboard-port={_DASHBOARD_PORT}") as started:
        yield started


@pytest.fixture
def on_head(nodes: RayNodes, monkeypatch: pytest.MonkeyPatch) -> RayNodes:
    """The environment of a driver on the head node."""
    for name, value in nodes.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    return nodes


def _trains(node: RayNode) -> bool:
    """Whether a worker of the node has a trial."""
    return any(command_line(pid).startswith((b"ray::CckdTrial", b"ray::ResourceTrainable")) for pid in node.pids())


def test_a_lost_nodes_trial_goes_on_and_late_nodes_are_asked_before_their_first(
    on_head: RayNodes, run_alone: Start, tmp_path: Path
) -> None:
    store, timm = tmp_path / "store", tmp_path / "site" / "timm-0.0.1.dist-info"
    timm.mkdir(parents=True)
    (timm / "METADATA").write_text("Metadata-Version: 2.1\nName: timm\nVersion: 0.0.1\n")
    lost = on_head.add()
    # More trials than a fast machine ends before the late node has answered; the study is interrupted when it trains.
    flags = ("--trials", "60", "--epochs", "40", *SEARCH_ONLY, "--address", "auto", "--storage", str(store))
    path, command = run_alone("come-and-go", *SMOKE, *flags)
    marks = store / "come-and-go" / "checkpoints"
    wait(command, lambda: len(list(marks.glob("*/1/checkpoint.json"))) >= 2)
    lost.kill()
    unfit, late = on_head.add(PYTHONPATH=str(timm.parent)), on_head.add()
    try:
        unfit_trained = []

        def all_is_told_and_the_late_one_trains() -> bool:
            unfit_trained.append(_trains(unfit))
            log = (path / "run.log").read_text()
            return _trains(late) and all(told in log for told in ("gets no trial", " is lost; "))

        wait(command, all_is_told_and_the_late_one_trains)
        wait(command, lambda: bool(query(path, "SELECT 1 FROM trials WHERE state = 'COMPLETE'")))
        command.interrupt()
        study = interrupted(path, command)
    finally:
        for node in (unfit, late):
            node.kill()
    assert not any(unfit_trained)
    rows = study.csv("trials.csv")
    assert {(row["state"], row["epochs"]) for row in rows if row["state"] != "RUNNING"} == {("COMPLETE", "40")}
    assert sorted(row["attempts"] for row in rows) == [*["1"] * (len(rows) - 1), "2"], "the lost node's trial went on"
    said = " ".join(study.ended.out.split())
    assert "nodes 2: " in said
    assert "is lost; its trials go on elsewhere" in said
    assert "NOTE a node has joined and gets no trial: node" in said
    assert "it has timm 0.0.1 (the driver has " in said
    assert "NOTE a node has joined: " in said
    assert f"niceness {min(19, 15 + os.getpriority(os.PRIO_PROCESS, 0))}" in said, "which Ray chooses for a cluster"
    assert len(study.manifest["nodes"]) == 3, "the head, the lost node, and the late one"


def test_a_study_is_sent_by_ray_job_submit(on_head: RayNodes, tmp_path: Path) -> None:
    pytest.importorskip("aiohttp_cors", reason="ray[default], of the extra `test`, is not installed")
    flags = [*SMOKE, "--trials", "1", "--epochs", "2", *SEARCH_ONLY, "--address", "auto", "--name", "submitted"]
    where = ["--out", str(tmp_path), "--data-root", str(tmp_path / "data"), "--storage", str(tmp_path / "store")]
    # A job's driver starts in the working directory that it was sent, so a checkout of any place will do.
    sent = subprocess.run(
        [sys.executable, "-m", "ray.scripts.scripts", "job", "submit", "--address", f"http://127.0.0.1:{_DASHBOARD_PORT}",
         "--working-dir", str(ROOT), "--", sys.executable, "-m", "study.run", *flags, *where],
        env=os.environ, cwd=tmp_path, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert sent.returncode == 0, sent.stdout + sent.stderr
    assert f"study: {tmp_path / 'submitted'}" in sent.stdout
    assert (tmp_path / "submitted" / "report" / "index.html").is_file()


def test_a_driver_without_the_token_is_refused_in_words(nodes: RayNodes, run_alone: Start, monkeypatch) -> None:
    monkeypatch.setenv("HOME", nodes.environment["RAY_TMPDIR"])  # no token of the user's own
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    command: Command
    path, command = run_alone("strange", *SMOKE, "--trials", "1", *SEARCH_ONLY, "--address", nodes.address)
    ended = command.end(120)
    assert ended.code == 2
    assert ended.err.startswith(f"error: --address {nodes.address}: the cluster asks for its token; set RAY_AUTH_MODE")
    assert not path.exists(), "it is refused before a folder is made"


def test_a_study_whose_only_node_is_lost_waits_for_another(run_alone: Start, tmp_path: Path, monkeypatch) -> None:
    with ray_nodes("--num-cpus=0", "--include-dashboard=false") as nodes:
        for name, value in nodes.environment.items():
            monkeypatch.setenv(name, value)
        only, store = nodes.add(), tmp_path / "store"
        flags = ("--trials", "2", "--epochs", "20", *SEARCH_ONLY, "--address", nodes.address, "--storage", str(store))
        path, command = run_alone("waits", *SMOKE, *flags)
        wait(command, lambda: bool(list((store / "waits" / "checkpoints").glob("*/1/checkpoint.json"))))
        only.kill()
        wait(command, lambda: " is lost; " in (path / "run.log").read_text())
        nodes.add()
        study = Study(path, command.end())
    assert (study.ended.code, study.ended.err) == (0, "")
    assert [(row["state"], row["epochs"]) for row in study.csv("trials.csv")] == [("COMPLETE", "20")] * 2
    said = " ".join(study.ended.out.split())
    assert "is lost; the study waits for another" in said
    (row,) = study.manifest["step_gains"]
    assert study.manifest["plan"]["precision"] == faster_precision([row["gain"]]), "timed on the node that trains"
