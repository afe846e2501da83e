"""What makes a node unfit is said by node and reason; what Ray says of a cluster that cannot be joined, in one line."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from study.execution import cluster
from study.execution import nodes as module
from study.execution.cluster import PACKAGES, ClusterError
from study.execution.nodes import (
    NodeReport,
    Roster,
    check_nodes,
    described,
    needed_files,
    node_faults,
    own_versions,
    selector,
)
from study.measured.machine import Machine
from trainables.cckd.data.images.image_files import ImageFiles
from trainables.cckd.data.store.image_store import ImageStore
from trainables.checkpoint_store import CheckpointStore
from trainables.own_method import VARIABLE, OwnSource

HERE = {"python": "3.11.9", "torch": "2.14.1", "timm": "1.0.31", "schema": "1", "code": "abc"}
GOOD = NodeReport("gpu7 (10.0.0.7, 1a2b3c4d)", 16.0, 2.0, 812.4, 0, HERE, (), None, Machine("a processor", "01ab"))


def test_a_node_like_the_driver_has_no_fault_and_is_described_in_a_few_words() -> None:
    assert list(node_faults(GOOD, HERE)) == []
    assert str(GOOD) == "gpu7 (10.0.0.7, 1a2b3c4d) 16 CPU, 2 GPU, 812 GB free"
    assert str(replace(GOOD, niceness=15)).endswith("812 GB free, niceness 15")
    assert described([GOOD]) == [{"name": GOOD.name, "cpus": 16.0, "gpus": 2.0, "free_gb": 812.4, "niceness": 0}]
    json.dumps(described([GOOD]))


def test_each_fault_of_a_node_is_a_sentence_with_its_name() -> None:
    theirs = {key: value for key, value in HERE.items() if key != "timm"} | {"torch": "2.6.0", "code": "def"}
    bad = replace(GOOD, versions=theirs, unreadable=("/data/a.jpg", "/data/b.jpg"), storage="/s is another place there")
    versions, files, storage = node_faults(bad, HERE)
    assert all(GOOD.name in fault for fault in (versions, files, storage))
    assert "code def (the driver has abc), timm none (the driver has 1.0.31), torch 2.6.0 (the driver" in versions
    assert "python" not in versions
    assert "/data/a.jpg, /data/b.jpg" in files
    assert "/s is another place there" in storage
    assert "--storage" in storage


def test_the_code_is_part_of_the_versions() -> None:
    found = own_versions()
    assert {"python", "torch", "torchvision", "timm", "ray", "optuna", "schema", "code"} <= set(found)
    assert found == own_versions()


def test_nodes_must_have_the_teachers_file_and_streamed_images_only(tmp_path: Path) -> None:
    names = [f"{k}.jpg" for k in range(9)]
    files = ImageFiles.listed(tmp_path, names, np.zeros(9, np.int64))
    data = SimpleNamespace(train=files, val=files, test=np.zeros(3))
    checked: Any = SimpleNamespace(
        teacher_file=SimpleNamespace(path=Path("/w.pth")),
        data=data,
        data_path=SimpleNamespace(name="resident"),
        image_store=None,
    )
    assert needed_files(checked) == ["/w.pth"]
    checked.data_path.name = "streamed"
    assert set(needed_files(checked)) == {"/w.pth", *(str(tmp_path / f"{k}.jpg") for k in (0, 4, 8))}
    # Only the driver needs the originals that a store shrinks: all others need the store, which is filled later.
    checked.image_store = ImageStore(tmp_path / "image-store", 64)
    larger = replace(files, sizes=np.full((9, 2), 100, np.int32))
    checked.data = SimpleNamespace(**dict.fromkeys(("train", "val", "test"), larger))
    assert needed_files(checked) == ["/w.pth", str(tmp_path / "image-store")]
    checked.data = SimpleNamespace(**dict.fromkeys(("train", "val", "test"), checked.image_store.stored(larger)))
    small = [path for path in needed_files(checked) if path.startswith(str(tmp_path / "image-store" / "64px-1"))]
    assert len(small) == 3


@pytest.mark.parametrize(
    ("unshrunk", "asked"), [((1, 2, 5, 6, 7), {1, 5, 7}), ((3,), {3}), (range(9), {0, 4, 8}), ((), set())]
)
@pytest.mark.parametrize("made", [False, True])
def test_nodes_must_have_the_originals_that_a_store_leaves_as_they_are(
    tmp_path: Path, unshrunk: Sequence[int], asked: set[int], made: bool
) -> None:
    sizes = np.full((9, 2), 100, np.int32)
    sizes[list(unshrunk)] = 50
    scanned = ImageFiles.listed(tmp_path / "own", [f"{k}.jpg" for k in range(9)], np.zeros(9, np.int64))
    store, files = ImageStore(tmp_path / "image-store", 64), replace(scanned, sizes=sizes)
    checked: Any = SimpleNamespace(
        teacher_file=SimpleNamespace(path=Path("/w.pth")),
        data=SimpleNamespace(**dict.fromkeys(("train", "val", "test"), store.stored(files) if made else files)),
        data_path=SimpleNamespace(name="streamed"),
        image_store=store,
    )
    found = needed_files(checked)
    assert len(found) == len(set(found))
    assert {path for path in found if "/own/" in path} == {str(tmp_path / "own" / f"{k}.jpg") for k in asked}
    assert any(path.startswith(str(tmp_path / "image-store" / "64px-1")) for path in found) == (
        made and len(unshrunk) < 9
    )


def test_a_node_that_does_not_see_the_image_store_is_told_the_way_out() -> None:
    (fault,) = node_faults(replace(GOOD, unreadable=("/data/image-store/64px-1/ab/ab.jpg",)), HERE)
    assert fault.endswith("it cannot read /data/image-store/64px-1/ab/ab.jpg; or --image-store none")
    (other,) = node_faults(replace(GOOD, unreadable=("/data/x.jpg",)), HERE)
    assert "--image-store" not in other


def _play_joining(monkeypatch: pytest.MonkeyPatch, said: str, *, silent: bool) -> None:
    """Let the process that joins a cluster say so much on stderr, then fail or stay."""
    ending = "time.sleep(600)" if silent else "sys.exit(1)"
    code = f"import sys, time; sys.stderr.write({said!r}); sys.stderr.flush(); print(1, flush=True); {ending}"
    monkeypatch.setattr(cluster, "_JOIN", code)
    if silent:
        monkeypatch.setattr(cluster, "_PATIENCE_S", 0.1)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("ray.exceptions.AuthenticationError: Token authentication is enabled but", "asks for its token"),
        ("W gcs_client.cc:210: Unauthenticated: RPC error: InvalidAuthToken", "RAY_AUTH_TOKEN"),
        ("RuntimeError: Version mismatch: The cluster was started with:\n  Ray: 2.52.0", "Ray: 2.52.0"),
        ("ConnectionError: Could not find any running Ray instance.", "no Ray cluster answered"),
    ],
)
def test_a_cluster_that_cannot_be_joined_is_one_line_of_ours(monkeypatch, said: str, told: str) -> None:
    _play_joining(monkeypatch, said, silent="gcs_client" in said)
    with pytest.raises(ClusterError) as raised:
        cluster.try_to_join("head:6379")
    (fault,) = raised.value.faults
    assert fault.startswith("--address head:6379: ")
    assert told in fault
    assert "\n" not in fault


@pytest.mark.parametrize(
    ("address", "variable", "named"),
    [
        ("auto", "10.0.0.9:6379", True),
        ("auto", "ray://gone:10001", True),
        ("auto", "", False),
        ("auto", None, False),
        ("head:6379", "10.0.0.9:6379", False),
    ],
)
@pytest.mark.parametrize("silent", [True, False])
def test_a_variable_that_names_a_dead_cluster_is_named(
    monkeypatch, address: str, variable: str | None, named: bool, silent: bool
) -> None:
    _play_joining(monkeypatch, "" if silent else "ConnectionError: no", silent=silent)
    monkeypatch.setenv("RAY_ADDRESS", variable or "")
    if variable is None:
        monkeypatch.delenv("RAY_ADDRESS")
    with pytest.raises(ClusterError) as raised:
        cluster.try_to_join(address)
    (fault,) = raised.value.faults
    assert fault.startswith(f"--address {address}: no Ray cluster answered within ")
    assert (f" at RAY_ADDRESS={variable};" in fault) == named
    assert "\n" not in fault


@pytest.mark.parametrize("n_letters", [0, 1_000_000])
def test_the_time_to_import_ray_does_not_count_as_silence_of_the_cluster(monkeypatch, n_letters: int) -> None:
    monkeypatch.setattr(cluster, "_PATIENCE_S", 4)
    importing = f"import sys, time; time.sleep(4.5); sys.stderr.write({n_letters} * 'x'); print(1, flush=True)"
    monkeypatch.setattr(cluster, "_JOIN", importing)
    cluster.try_to_join("head:6379")


def test_an_import_of_ray_that_does_not_end_is_not_laid_on_the_cluster(monkeypatch) -> None:
    monkeypatch.setattr(cluster, "_IMPORT_S", 0.1)
    monkeypatch.setattr(cluster, "_JOIN", "import time; time.sleep(600)")
    with pytest.raises(ClusterError, match=r"^--address head:6379: importing Ray must take less than 0.1 s on this"):
        cluster.try_to_join("head:6379")


def test_the_code_that_is_shipped_is_ours_alone_and_small(monkeypatch) -> None:
    monkeypatch.delenv("RAY_JOB_CONFIG_JSON_ENV_VAR", raising=False)
    with cluster._shipped({"A": "1"}) as runtime_env:
        root = Path(runtime_env["working_dir"])
        assert sorted(path.name for path in root.iterdir()) == sorted(PACKAGES)
        files = [path for path in root.rglob("*") if path.is_file()]
        assert {path.name for path in files if path.suffix != ".py"} == {"example.yaml", "py.typed"}
        assert sum(path.stat().st_size for path in files) < 2**21
        assert (root / "trainables" / "trial.py").read_bytes() == Path("trainables/trial.py").read_bytes()
        assert runtime_env["env_vars"] == {"A": "1"}
    assert not root.exists()


def test_a_job_that_brought_its_working_directory_keeps_it(monkeypatch) -> None:
    job = {"runtime_env": {"working_dir": "gcs://_ray_pkg_1.zip", "env_vars": {"A": "2"}}}
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", json.dumps(job))
    with cluster._shipped({"A": "1", "B": "1"}) as runtime_env:
        assert runtime_env == {"env_vars": {"B": "1"}}


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OwnSource:
    """The source of an own method that this process has entered."""
    (tmp_path / "my_loss.py").write_text("METHOD = None")
    source = OwnSource("my_loss:METHOD", "0" * 64, str(tmp_path))
    monkeypatch.setenv(VARIABLE, source.text)
    return source


def test_the_file_of_an_own_method_is_shipped_with_the_code(own: OwnSource, monkeypatch) -> None:
    monkeypatch.delenv("RAY_JOB_CONFIG_JSON_ENV_VAR", raising=False)
    with cluster._shipped({"A": "1"}) as runtime_env:
        root = Path(runtime_env["working_dir"])
        assert sorted(path.name for path in root.iterdir()) == sorted([*PACKAGES, "my_loss.py"])
        assert (root / "my_loss.py").read_bytes() == own.path.read_bytes()
        assert runtime_env["env_vars"] == {"A": "1", VARIABLE: own.text}


def test_a_job_must_have_brought_the_file_of_an_own_method(own: OwnSource, monkeypatch) -> None:
    monkeypatch.setenv(
        "RAY_JOB_CONFIG_JSON_ENV_VAR", json.dumps({"runtime_env": {"working_dir": "gcs://_ray_pkg_1.zip"}})
    )
    with pytest.raises(ClusterError, match=r"--method my_loss:METHOD: .*my_loss\.py must lie in the working directory"):
        cluster._shipped({}).__enter__()
    monkeypatch.chdir(own.folder)
    with cluster._shipped({}) as runtime_env:
        assert runtime_env == {"env_vars": {VARIABLE: own.text}}


class Cluster:
    """A cluster of nodes that join, answer and leave as a test says; stands for Ray."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        self.nodes: dict[str, dict[str, Any]] = {}
        self.answers: dict[str, Any] = {}
        self.asked: list[str] = []
        self.told: list[str] = []
        self.now = 0.0
        self.store = CheckpointStore(str(tmp_path / "store"))
        monkeypatch.setattr(module, "own_versions", lambda: HERE)
        monkeypatch.setattr(module, "_alive", lambda: dict(self.nodes))
        monkeypatch.setattr(module.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(Roster, "_ask", lambda roster, node, nonce: self._ask(node["NodeID"], nonce))
        monkeypatch.setattr("ray.wait", lambda refs, **_: ([r for r in refs if r in self.answers], []))
        monkeypatch.setattr("ray.get", lambda ref: self.answers[ref])

    def _ask(self, node: str, nonce: str) -> str:
        assert (Path(self.store.root) / nonce / "driver").is_dir(), "the node can find the nonce"
        self.asked.append(node)
        return node

    def join(self, node: str, answer: NodeReport | None) -> None:
        self.nodes[node] = {
            "NodeID": node, "NodeManagerHostname": node, "NodeManagerAddress": "10.0.0.1", "Resources": {"CPU": 2.0},
        }  # fmt: skip
        if answer is not None:
            self.answers[node] = answer

    def usable(self, roster: Roster) -> list[str]:
        self.now += 2.0
        return sorted(roster.usable())

    def start(self) -> Roster:
        checked: Any = SimpleNamespace(
            teacher_file=SimpleNamespace(path=Path("/w.pth")), data_path=SimpleNamespace(name="resident")
        )
        return check_nodes(checked, self.store, lambda line, reports: self.told.append(line))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cluster:
    return Cluster(monkeypatch, tmp_path)


def test_a_node_that_joins_late_is_used_only_when_it_has_answered(world: Cluster) -> None:
    world.join("a", GOOD)
    roster = world.start()
    assert world.usable(roster) == ["a"]
    world.join("b", None)
    assert world.usable(roster) == world.usable(roster) == ["a"]
    assert world.asked == ["a", "b"], "once each"
    world.answers["b"] = replace(GOOD, name="late")
    assert world.usable(roster) == ["a", "b"]
    assert world.told == ["a node has joined: late 16 CPU, 2 GPU, 812 GB free"]
    assert [report.name for report in roster.reports] == [GOOD.name, "late"]
    assert list(Path(world.store.root).iterdir()) == [], "the question leaves nothing behind"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (replace(GOOD, unreadable=("/data/a.jpg",)), "it cannot read /data/a.jpg"),
        (replace(GOOD, versions={**HERE, "timm": "0.1"}), "it has timm 0.1"),
        (None, "node b (10.0.0.1, b) did not answer within"),
    ],
)
def test_a_late_node_that_cannot_run_the_study_gets_no_trial_and_is_named_once(world: Cluster, answer, why) -> None:
    world.join("a", GOOD)
    roster = world.start()
    world.join("b", answer)
    world.usable(roster)
    world.now += module._PATIENCE_S
    assert world.usable(roster) == world.usable(roster) == ["a"]
    (line,) = world.told
    assert line.startswith("a node has joined and gets no trial: node ")
    assert why in line
    assert world.asked == ["a", "b"]


def test_a_lost_node_is_named_and_not_used(world: Cluster) -> None:
    world.join("a", GOOD)
    world.join("b", GOOD)
    roster = world.start()
    del world.nodes["b"]
    assert world.usable(roster) == ["a"]
    assert world.told == ["node b (10.0.0.1, b) is lost; its trials go on elsewhere"]
    del world.nodes["a"]
    assert world.usable(roster) == []
    assert world.told[1] == "node a (10.0.0.1, a) is lost; the study waits for another"


def test_a_node_that_leaves_before_it_answers_is_forgotten(world: Cluster) -> None:
    world.join("a", GOOD)
    roster = world.start()
    world.join("b", None)
    world.usable(roster)
    del world.nodes["b"]
    assert world.usable(roster) == ["a"]
    assert world.told == []


def test_a_late_node_is_asked_again_when_the_store_answers(world: Cluster, monkeypatch) -> None:
    world.join("a", GOOD)
    roster = world.start()
    world.join("b", GOOD)

    def down(*_: Any) -> None:
        raise OSError("HTTP status 503")

    with monkeypatch.context() as patch:
        patch.setattr(CheckpointStore, "_write", down)
        assert world.usable(roster) == ["a"]
    world.usable(roster)
    assert world.usable(roster) == ["a", "b"]


def test_a_node_that_is_lost_while_it_is_asked_is_no_fault_of_the_cluster(world: Cluster, monkeypatch) -> None:
    world.join("a", GOOD)
    world.join("b", replace(GOOD, versions={**HERE, "timm": "0.1"}))

    def get(reference: str) -> NodeReport:
        world.nodes.pop("b", None)
        return world.answers[reference]

    monkeypatch.setattr("ray.get", get)
    assert world.usable(world.start()) == ["a"]


def test_a_study_is_refused_with_every_fault_of_every_node(world: Cluster) -> None:
    world.join("a", replace(GOOD, name="a", storage="/s is another place there"))
    world.join("b", replace(GOOD, name="b", unreadable=("/x",)))
    with pytest.raises(ClusterError) as raised:
        world.start()
    assert [fault.split(" must")[0] for fault in raised.value.faults] == ["node a", "node b"]


def test_nodes_are_asked_again_for_what_has_been_made_since(world: Cluster, monkeypatch) -> None:
    world.join("a", GOOD)
    roster = world.start()
    world.answers["a"] = replace(GOOD, unreadable=("/data/image-store/x.jpg",))
    with pytest.raises(ClusterError, match="cannot read /data/image-store/x"):
        roster.check(["/data/image-store/x.jpg"])
    assert world.asked == ["a", "a"]


def test_ray_keeps_work_on_the_nodes_that_are_named() -> None:
    assert selector({"b": 1, "a": 2}) == {"ray.io/node-id": "in(a,b)"}
