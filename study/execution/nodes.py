"""The check of every cluster node before the first trial: same versions as the driver, and all needed files readable.

One task per node answers. A node that cannot run the study would fail its trials one by one, hours later and in Ray's
words. This check refuses the study at once and names the node and the reason.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from study.execution.cluster import CODE, PACKAGES, ClusterError
from study.planning.checked import Checked
from study.planning.manifest import versions
from study.schema import SCHEMA_VERSION
from study.terminal.faults import one_line
from trainables.cckd.data.images.image_files import ImageFiles
from trainables.checkpoint_store import CheckpointStore

#: Seconds after which a silent node counts as unreachable, or as unable to start a worker.
_PATIENCE_S = 120


@dataclass(frozen=True)
class NodeReport:
    """The answer of one node.

    Attributes:
        name: host name, address and the head of Ray's node id.
        cpus, gpus: how many CPUs and GPUs Ray may use on it.
        free_gb: free disk space for temporary files, Ray's included, in GB.
        versions: package -> version, Python included; `code` is a digest of our own code.
        unreadable: the paths that every node needs and this node cannot read.
        storage: why it does not see the driver's storage; None if it does.
    """

    name: str
    cpus: float
    gpus: float
    free_gb: float
    versions: Mapping[str, str]
    unreadable: tuple[str, ...]
    storage: str | None

    def __str__(self) -> str:
        gpus = f", {self.gpus:g} GPU" if self.gpus else ""
        return f"{self.name} {self.cpus:g} CPU{gpus}, {self.free_gb:.0f} GB free"


def check_nodes(checked: Checked, store: CheckpointStore) -> tuple[NodeReport, ...]:
    """Ask every node and return their answers. Needs Ray.

    Raises:
        ClusterError: a node differs from the driver or lacks something; one sentence per node and fault.
    """
    here = own_versions()
    try:
        with store.nonce() as nonce:
            reports = _ask_all(needed_files(checked), store, nonce)
    except OSError as error:
        raise ClusterError(
            f"--storage must be a place the driver can write; {store.root}: {one_line(str(error))}"
        ) from error
    faults = [fault for report in reports for fault in node_faults(report, here)]
    if faults:
        raise ClusterError(faults)
    return reports


def node_faults(report: NodeReport, here: Mapping[str, str]) -> Iterator[str]:
    """Yield why the study cannot run on a node; `here` is `own_versions` of the driver."""
    differing = [
        f"{package} {report.versions.get(package, 'none')} (the driver has {here.get(package, 'none')})"
        for package in sorted({*here, *report.versions})
        if report.versions.get(package) != here.get(package)
    ]
    if differing:
        yield f"node {report.name} must have the driver's versions; it has {', '.join(differing)}"
    if report.unreadable:
        yield f"node {report.name} must have what its trials read; it cannot read {', '.join(report.unreadable)}"
    if report.storage:
        yield (
            f"node {report.name} must see the checkpoints of the others; {report.storage}; give --storage a folder or "
            "URI that every node sees"
        )


def own_versions() -> dict[str, str]:
    """Return the versions of everything that a trial depends on, with the schema and a digest of our code."""
    digest = hashlib.sha256()
    for package in PACKAGES:
        folder = CODE / package
        for file in sorted(folder.rglob("*.py")):
            digest.update(f"{package}/{file.relative_to(folder).as_posix()}\0".encode() + file.read_bytes() + b"\0")
    return {**versions(), "schema": str(SCHEMA_VERSION), "code": digest.hexdigest()[:12]}


def needed_files(checked: Checked) -> list[str]:
    """Return the paths that workers open: the teacher's weights, and the streamed images.

    The first, middle, and last image of each set stand for all. Everything else comes through the object store.
    """
    found = [checked.teacher_file.path]
    if checked.data_path.name == "streamed":
        for of_set in (checked.data.train, checked.data.val, checked.data.test):
            if isinstance(of_set, ImageFiles) and len(of_set):
                found += [of_set.root / of_set.paths[row] for row in {0, len(of_set) // 2, len(of_set) - 1}]
    return [str(path) for path in found]


def described(reports: Sequence[NodeReport]) -> list[dict[str, Any]]:
    """Return the manifest's `nodes` entry. The versions are left out: they equal the driver's, which it holds."""
    return [{key: value for key, value in asdict(report).items() if key in _KEPT} for report in reports]


_KEPT = ("name", "cpus", "gpus", "free_gb")


def _ask_all(files: list[str], store: CheckpointStore, nonce: str) -> tuple[NodeReport, ...]:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    nodes = sorted((node for node in ray.nodes() if node["Alive"]), key=lambda node: str(node["NodeID"]))
    # The task asks for no CPU: a head node may offer none and still run the driver.
    task = ray.remote(num_cpus=0, max_retries=0)(_report)
    asked = {
        task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote(
            _name(node), node["Resources"].get("CPU", 0.0), node["Resources"].get("GPU", 0.0), files, store, nonce
        ): _name(node)
        for node in nodes
    }
    answered, silent = ray.wait(list(asked), num_returns=len(asked), timeout=_PATIENCE_S)
    reports, faults = [], [f"node {asked[ref]} did not answer within {_PATIENCE_S} s" for ref in silent]
    for reference in answered:
        try:
            reports.append(ray.get(reference))
        except ray.exceptions.RayError as error:
            faults.append(f"node {asked[reference]} cannot run our code: {' '.join(str(error).split())[-300:]}")
    if faults:
        raise ClusterError(faults)
    return tuple(reports)


def _name(node: Mapping[str, Any]) -> str:
    # Several nodes may share one machine and have its name and address.
    return f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']}, {node['NodeID'][:8]})"


def _report(name: str, cpus: float, gpus: float, files: list[str], store: CheckpointStore, nonce: str) -> NodeReport:
    """Answer for one node; runs there."""
    return NodeReport(
        name=name,
        cpus=cpus,
        gpus=gpus,
        free_gb=shutil.disk_usage(tempfile.gettempdir()).free / 1e9,
        versions=own_versions(),
        unreadable=tuple(file for file in files if not os.access(file, os.R_OK)),
        storage=store.answer(nonce, hashlib.sha256(name.encode()).hexdigest()[:16]),
    )
