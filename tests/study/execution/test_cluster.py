"""Studies on a real two-node Ray cluster on this machine: code, data, placement, a lost node, a token."""

import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from study.execution import cluster as module
from study.execution.attempts import AttemptLog
from study.execution.cluster import PACKAGES, ClusterError, connect
from study.execution.course import Course, Phase
from study.execution.failure_budget import FailureBudget
from study.execution.nodes import check_nodes
from study.execution.tuner import run_trials
from study.execution.workers import _ENVIRONMENT, Workers
from study.phases.reruns import Rerun, RerunSearcher
from study.planning.check import check
from study.planning.parser import build_parser
from study.teacher import feature_pass
from tests.support.commands import SEARCH_ONLY
from trainables.cckd.teacher.cache.feature_cache import part_ranges
from trainables.checkpoint_store import CheckpointStore
from trainables.own_method import VARIABLE, OwnSource

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

ROOT = Path(__file__).resolve().parents[3]
SMOKE = (
    "--space",
    "acckd_smoke",
    "--data",
    "digits_lt",
    "--recipe",
    "quick",
    "--teacher-size",
    "32",
    "--teacher-views",
    "2",
)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Two nodes of one CPU each, the first with a GPU it only announces; the second has older packages of ours."""
    from ray.cluster_utils import Cluster

    old = tmp_path_factory.mktemp("old")
    for package in PACKAGES:
        (old / package).mkdir()
        (old / package / "__init__.py").write_text("raise ImportError('an older version')\n")
    head = {"num_cpus": 1, "num_gpus": 1, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    # A folder a node, as on machines of their own, and a short one: sockets lie in it.
    with tempfile.TemporaryDirectory(dir="/tmp") as second, tempfile.TemporaryDirectory(dir="/tmp") as third:
        cluster.folders = (second, third)
        cluster.second = cluster.add_node(
            num_cpus=1, temp_dir=second, env_vars={"PYTHONPATH": str(old), "TMPDIR": second}
        )
        yield cluster
        cluster.shutdown()


@pytest.fixture
def joined(nodes: Any) -> Iterator[Any]:
    import ray

    connect(nodes.address, _ENVIRONMENT, verbose=False)
    yield ray
    ray.shutdown()


def test_every_node_runs_the_drivers_code_and_is_asked_before_the_first_trial(joined, nodes, tmp_path) -> None:
    ray = joined
    checked = check(build_parser().parse_args([*SMOKE, "--out", str(tmp_path), "--address", nodes.address]))
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    def where() -> list[str]:
        from importlib import import_module

        return [
            str(import_module(name).__file__) for name in ("search_spaces", "trainables.trial", "study.execution.nodes")
        ]

    for node in ray.nodes():
        here = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        found = ray.get(ray.remote(num_cpus=0, scheduling_strategy=here)(where).remote())
        assert all("/working_dir_files/" in path for path in found), found

    reports = check_nodes(checked, CheckpointStore(str(tmp_path / "shared"))).reports
    assert [(report.cpus, report.unreadable, report.storage) for report in reports] == [(1, (), None)] * 2
    assert sorted(report.gpus for report in reports) == [0, 1]

    # Now a third that has another timm.
    fake = tmp_path / "site" / "timm-0.0.1.dist-info"
    fake.mkdir(parents=True)
    (fake / "METADATA").write_text("Metadata-Version: 2.1\nName: timm\nVersion: 0.0.1\n")
    third = nodes.add_node(num_cpus=1, temp_dir=nodes.folders[1], env_vars={"PYTHONPATH": str(fake.parent)})
    try:
        with pytest.raises(ClusterError) as raised:
            check_nodes(checked, CheckpointStore(str(tmp_path / "shared")))
    finally:
        nodes.remove_node(third)
    assert len(raised.value.faults) == 1, raised.value.faults
    (fault,) = raised.value.faults
    assert "must have the driver's versions; it has timm 0.0.1 (the driver has " in fault
    assert not list((tmp_path / "shared").iterdir()), "the question leaves nothing behind"


def test_every_node_knows_the_own_method_whose_file_the_driver_sent(nodes, tmp_path, monkeypatch) -> None:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    file = tmp_path / "my_loss.py"
    file.write_text("from trainables.own_method import OwnMethod\nMETHOD = OwnMethod('mine', 'A loss.', print)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(VARIABLE, OwnSource.find("my_loss:METHOD").text)

    def known() -> tuple[str, str]:
        from importlib import import_module

        from trainables.cckd.methods import METHODS

        return list(METHODS)[-1], str(import_module("my_loss").__file__)

    connect(nodes.address, _ENVIRONMENT, verbose=False)
    file.unlink()  # the nodes have only what they were sent
    try:
        alive = [node for node in ray.nodes() if node["Alive"]]
        assert len(alive) == 2
        for node in alive:
            here = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            name, path = ray.get(ray.remote(num_cpus=0, scheduling_strategy=here)(known).remote())
            assert name == "mine"
            assert "/working_dir_files/" in path
    finally:
        ray.shutdown()


def test_four_trials_share_a_gpu_and_read_one_copy_of_the_data(joined, tmp_path) -> None:
    ray = joined

    def trainable() -> type:
        from ray.tune import Trainable

        class Stub(Trainable):
            """Says where its data lie in memory, and waits until three others have said so too."""

            def setup(self, config: dict[str, Any], context: Any) -> None:
                self.array = ray.get(context.data)
                self.number = config["number"]

            def reset_config(self, new_config: dict[str, Any]) -> bool:
                self.number = new_config["number"]
                return True

            def step(self) -> dict[str, Any]:
                (tmp_path / f"{self.number}.begun").touch()
                limit = time.monotonic() + 60
                while len(list(tmp_path.glob("*.begun"))) < 4 and time.monotonic() < limit:
                    time.sleep(0.05)
                address = self.array.__array_interface__["data"][0]
                for line in Path("/proc/self/maps").read_text().splitlines():
                    first, last = (int(part, 16) for part in line.split()[0].split("-"))
                    if first <= address < last:
                        offset = int(line.split()[2], 16) + address - first
                        place = (line.split()[4], offset)  # inode of the store's memory, and where in it
                together = len(list(tmp_path.glob("*.begun")))
                node = ray.get_runtime_context().get_node_id()
                return {
                    "done": True,
                    "cause": None,
                    "place": place,
                    "node": node,
                    "together": together,
                    "pid": os.getpid(),
                }

        return Stub

    results: list[dict[str, Any]] = []
    reruns = [Rerun("la", seed, None, {}, export=False) for seed in range(4)]
    attempts = AttemptLog(FailureBudget(max_retries=0, max_failures=0))
    counts = SimpleNamespace(runs=SimpleNamespace(start_rerun=lambda name: 1))
    searcher = RerunSearcher(
        reruns,
        counts,  # type: ignore[arg-type]
        attempts,
        checkpoints="/c",
        on_done=lambda rerun, result: results.append(result),
    )
    plan = SimpleNamespace(cpus_per_trial=0.0, gpus_per_trial=0.25, trial_timeout=0.0)
    context = SimpleNamespace(data=ray.put(np.ones(2_000_000)))
    folder = (str(tmp_path / "ray"), "stub-1")
    course = Course(Phase(searcher, on_step=lambda: None), iter(()), attempts, folder)
    run_trials(plan, Workers(4), trainable(), context, course)  # type: ignore[arg-type]
    assert [result["together"] for result in results] == [4] * 4
    assert len({result["pid"] for result in results}) == 4
    assert len({result["node"] for result in results}) == 1, "only one node announces a GPU"
    assert len({result["place"] for result in results}) == 1, "four processes, one copy"


def test_a_pass_on_a_gpu_keeps_its_processes_from_part_to_part_and_then_frees_it(
    joined, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stub:
        """Doubles what it is given, as quickly as Ray allows."""

        def __init__(self, *fixed: Any) -> None:
            self.fixed = fixed

        def extract(self, images: Any, rows: Any, views: Any) -> Any:
            return 2 * images[rows], os.getpid()

    monkeypatch.setattr(feature_pass, "Extractor", Stub)
    checked = SimpleNamespace(
        plan=SimpleNamespace(gpus_per_trial=0.5, device="cuda"), teacher_file=None, teacher_size=32
    )
    images, ranges = np.arange(115), part_ranges(115, 10)
    extractors = feature_pass._extractors(checked, Workers(2), 12)  # type: ignore[arg-type]
    parts = feature_pass._parts(extractors, images, None, ranges, tuple(range(12)))
    del extractors
    found = dict(parts)
    for part, (doubled, _) in found.items():
        np.testing.assert_array_equal(doubled, 2 * np.arange(*ranges[part]))
    assert found.keys() == set(range(12))
    pids = {pid for _, pid in found.values()}
    assert len(pids) == 2
    limit = time.monotonic() + 120
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < limit, "the GPU's memory is not free for trials"
        time.sleep(0.1)


def test_a_pass_on_gpus_ends_on_the_others_when_a_node_is_lost(joined, nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stub:
        """Says on which node it is."""

        def __init__(self, *fixed: Any) -> None:
            import ray

            self.node = ray.get_runtime_context().get_node_id()

        def extract(self, images: Any, rows: Any, views: Any) -> Any:
            time.sleep(0.3)
            return 2 * images[rows], self.node

    monkeypatch.setattr(feature_pass, "Extractor", Stub)
    checked = SimpleNamespace(
        plan=SimpleNamespace(gpus_per_trial=1.0, device="cuda"), teacher_file=None, teacher_size=32
    )
    images, ranges, found = np.arange(400), part_ranges(400, 10), {}
    limit = time.monotonic() + 240

    def look() -> None:
        assert time.monotonic() < limit, "the parts of the lost node never come"

    third = nodes.add_node(num_cpus=1, num_gpus=1, temp_dir=nodes.folders[1], env_vars={"TMPDIR": nodes.folders[1]})
    extractors = feature_pass._extractors(checked, Workers(2), 40)  # type: ignore[arg-type]
    parts = feature_pass._parts(extractors, images, None, ranges, tuple(range(40)), look)
    del extractors
    for part, result in parts:
        found[part] = result
        if third is not None and len({node for _, node in found.values()}) == 2:
            nodes.remove_node(third, allow_graceful=False)
            third = None
    assert third is None, "both nodes computed"
    assert found.keys() == set(range(40))
    for part, (doubled, _) in found.items():
        np.testing.assert_array_equal(doubled, 2 * np.arange(*ranges[part]))


def test_a_study_outlives_a_node_that_is_lost_while_its_trial_runs(nodes, tmp_path) -> None:
    flags = ("--trials", "2", "--epochs", "40", *SEARCH_ONLY)
    where = ("--data-root", str(tmp_path / "data"), "--out", str(tmp_path), "--name", "lost")
    storage = ("--address", nodes.address, "--storage", f"file://{tmp_path}/store")
    driver = subprocess.Popen(
        [sys.executable, "-m", "study.run", *SMOKE, *flags, *where, *storage],
        cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        # Both trials run, one a node, and both have a checkpoint to be continued from.
        marks = tmp_path / "store" / "lost" / "checkpoints"
        _wait(lambda: len(list(marks.glob("*/1/checkpoint.json"))) >= 2, driver)
        nodes.remove_node(nodes.second, allow_graceful=False)
        out, err = driver.communicate(timeout=400)
    finally:
        driver.kill()
        driver.communicate()
    assert (driver.returncode, err) == (0, "")
    assert "nodes    2: " in out
    assert "raylet" not in out
    assert "ray: Raylet is terminated" in (tmp_path / "lost" / "run.log").read_text()
    with (tmp_path / "lost" / "trials.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert [(row["number"], row["state"], row["epochs"]) for row in rows] == [
        (str(number), "COMPLETE", "40") for number in range(2)
    ]
    assert sorted(row["attempts"] for row in rows) == ["1", "2"], "one trial was on the lost node"
    assert _epochs_are_whole(tmp_path / "lost")
    manifest = json.loads((tmp_path / "lost" / "study.json").read_text())
    assert [node["cpus"] for node in manifest["nodes"]] == [1.0, 1.0]
    assert not list(marks.glob("*")), "checkpoints of finished trials are gone from the store"


def test_a_cluster_with_a_token_lets_in_who_has_it_and_others_are_told(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE_S", 8)
    monkeypatch.setenv("HOME", str(tmp_path))  # no token of the user's own
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123456789abcdef0123456789abcdef"}
    code = (
        "import sys; from ray.cluster_utils import Cluster\n"
        "cluster = Cluster(initialize_head=True, head_node_args={'num_cpus': 1, 'include_dashboard': False})\n"
        "print(cluster.address, flush=True); sys.stdin.read(); cluster.shutdown()"
    )
    head = subprocess.Popen(
        [sys.executable, "-c", code], env=os.environ | token, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert head.stdout is not None
        address = head.stdout.readline().strip()
        monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
        with pytest.raises(ClusterError, match=f"{address}: the cluster asks for its token; set RAY_AUTH_MODE=token"):
            module.try_to_join(address)
        for key, value in token.items():
            monkeypatch.setenv(key, value)
        module.try_to_join(address)
    finally:
        head.communicate("", timeout=200)


def _wait(ready: Any, driver: subprocess.Popen[str]) -> None:
    limit = time.monotonic() + 300
    while not ready():
        assert driver.poll() is None, driver.communicate()
        assert time.monotonic() < limit
        time.sleep(0.05)


def _epochs_are_whole(folder: Path) -> bool:
    import pyarrow.parquet as pq

    table = pq.read_table(folder / "epochs.parquet").to_pydict()
    found = sorted(zip(table["number"], table["epoch"], strict=True))
    return found == [(number, epoch) for number in range(2) for epoch in range(1, 41)]
