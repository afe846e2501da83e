"""The check of every cluster node before its first trial: same versions as the driver, and all needed files readable.

One task per node answers. A node that cannot run the study would fail its trials one by one, hours later and in Ray's
words. The check refuses the study at once and names the node and the reason. A node that joins while the study runs is
asked too. It gets no trial before it has answered, and none at all if it cannot run the study.
"""

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from study.execution.cluster import CODE, PACKAGES, ClusterError
from study.measured.machine import Machine, this_machine
from study.planning.checked import Checked
from study.planning.manifest import versions
from study.schema import SCHEMA_VERSION
from study.terminal.faults import one_line
from trainables.cckd.data.images.image_files import ImageFiles, StoredFiles
from trainables.cckd.data.store.image_store import FOLDER, ImageStore
from trainables.checkpoint_store import CheckpointStore

#: Seconds after which a silent node counts as unreachable, or as unable to start a worker.
_PATIENCE_S = 120
#: Seconds between two looks at the nodes of the cluster while trials run.
_LOOK_EVERY_S = 1.0
#: The label by which Ray places work on nodes; Ray gives it to every node.
_NODE_LABEL = "ray.io/node-id"


@dataclass(frozen=True)
class NodeReport:
    """The answer of one node.

    Attributes:
        name: host name, address and the head of Ray's node id.
        cpus, gpus: how many CPUs and GPUs Ray may use on it.
        free_gb: free disk space for temporary files, Ray's included, in GB.
        niceness: of its workers; at 15, Ray's own choice, a busy program beside them takes nearly all processor time.
        versions: package -> version, Python included; `code` is a digest of our own code.
        unreadable: the paths that every node needs and this node cannot read.
        storage: why it does not see the driver's storage; None if it does.
        machine: the kind of machine that it is.
    """

    name: str
    cpus: float
    gpus: float
    free_gb: float
    niceness: int
    versions: Mapping[str, str]
    unreadable: tuple[str, ...]
    storage: str | None
    machine: Machine

    def __str__(self) -> str:
        gpus = f", {self.gpus:g} GPU" if self.gpus else ""
        nice = f", niceness {self.niceness}" if self.niceness else ""
        return f"{self.name} {self.cpus:g} CPU{gpus}, {self.free_gb:.0f} GB free{nice}"


def check_nodes(
    checked: Checked, store: CheckpointStore, tell: Callable[[str, Sequence[NodeReport]], None] = lambda *_: None
) -> "Roster":
    """Ask every node and return a roster of the nodes. Needs Ray.

    Args:
        checked: the study.
        store: its checkpoints.
        tell: called with a line about a node that joins or is lost later, and all nodes that may run trials.

    Raises:
        ClusterError: a node differs from the driver or lacks something; one sentence per node and fault.
    """
    roster = Roster(store, tell)
    roster.check(needed_files(checked))
    return roster


class Roster:
    """The nodes of a cluster: those that may run trials, and those that have joined since and are being asked.

    Args:
        store: the checkpoints.
        tell: as for `check_nodes`.
    """

    def __init__(self, store: CheckpointStore, tell: Callable[[str, Sequence[NodeReport]], None]) -> None:
        self._store, self._tell, self._here = store, tell, own_versions()
        self._files: list[str] = []
        self._fit: dict[str, NodeReport] = {}
        self._refused: set[str] = set()
        self._asked: dict[str, tuple[Any, float, ExitStack]] = {}
        self._alive: dict[str, Mapping[str, Any]] = {}
        self._next_look = 0.0

    @property
    def reports(self) -> tuple[NodeReport, ...]:
        """The answers of the nodes that may run trials, lost ones included."""
        return tuple(self._fit.values())

    def usable(self) -> dict[str, Mapping[str, float]]:
        """Return node id -> resources of the nodes that may run trials now; ask those that have just joined."""
        if time.monotonic() >= self._next_look:
            self._look()
            self._next_look = time.monotonic() + _LOOK_EVERY_S
        return {node: self._alive[node]["Resources"] for node in self._fit if node in self._alive}

    def machine(self, node: str) -> Machine:
        """Return the kind of machine that a node is, which may run trials or has run some."""
        return self._fit[node].machine

    def check(self, files: list[str]) -> None:
        """Ask every node, and from now on every node that joins, for paths that it must read.

        Raises:
            ClusterError: a node differs from the driver or lacks something; one sentence per node and fault.
        """
        self._files = files
        try:
            with self._store.nonce() as nonce:
                faults = self.ask_all(nonce)
        except OSError as error:
            raise ClusterError(
                f"--storage must be a place the driver can write; {self._store.root}: {one_line(str(error))}"
            ) from error
        if faults:
            raise ClusterError(faults)

    def ask_all(self, nonce: str) -> list[str]:
        """Ask every node and wait for the answers; return one sentence per node and fault."""
        import ray

        self._alive = _alive()
        asked = {self._ask(node, nonce): node for node in self._alive.values()}
        _, silent = ray.wait(list(asked), num_returns=len(asked), timeout=_PATIENCE_S)
        faults = {
            node["NodeID"]: [_silent(node)] if reference in silent else self._judge(node, reference)
            for reference, node in asked.items()
        }
        self._alive = _alive()  # a node that was lost meanwhile is no fault of the cluster's
        return [fault for node, found in faults.items() if node in self._alive for fault in found]

    def _look(self) -> None:
        before, self._alive = self._alive, _alive()
        for lost in self._fit.keys() & before.keys() - self._alive.keys():
            others = (self._alive[node]["Resources"] for node in self._fit if node in self._alive)
            can_go_on = any(offered.get("CPU") or offered.get("GPU") for offered in others)
            left = "its trials go on elsewhere" if can_go_on else "the study waits for another"
            self._tell(f"node {_name(before[lost])} is lost; {left}", self.reports)
        for joined in self._alive.keys() - self._fit.keys() - self._refused - self._asked.keys():
            self._begin_to_ask(self._alive[joined])
        for node in tuple(self._asked):
            self._hear(node)

    def _begin_to_ask(self, node: Mapping[str, Any]) -> None:
        with ExitStack() as nonce:
            try:
                reference = self._ask(node, nonce.enter_context(self._store.nonce()))
            except OSError:  # the store is out of order; the node is asked at a later look
                return
            self._asked[node["NodeID"]] = reference, time.monotonic(), nonce.pop_all()

    def _hear(self, node_id: str) -> None:
        import ray

        reference, since, nonce = self._asked[node_id]
        node, answered = self._alive.get(node_id), bool(ray.wait([reference], timeout=0)[0])
        if node is not None and not answered and time.monotonic() - since < _PATIENCE_S:
            return
        nonce.close()
        del self._asked[node_id]
        if node is None:
            return
        faults = self._judge(node, reference) if answered else [_silent(node)]
        if faults:
            self._refused.add(node_id)
            self._tell(f"a node has joined and gets no trial: {'; '.join(faults)}", self.reports)
        else:
            self._tell(f"a node has joined: {self._fit[node_id]}", self.reports)

    def _judge(self, node: Mapping[str, Any], reference: Any) -> list[str]:
        """Return the faults of a node that has answered; without one it may run trials."""
        import ray

        try:
            report = ray.get(reference)
        except ray.exceptions.RayError as error:
            return [f"node {_name(node)} cannot run our code: {' '.join(str(error).split())[-300:]}"]
        faults = list(node_faults(report, self._here))
        if not faults:
            self._fit[node["NodeID"]] = report
        return faults

    def _ask(self, node: Mapping[str, Any], nonce: str) -> Any:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        # The task asks for no CPU: a head node may offer none and still run the driver.
        here = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        task = ray.remote(num_cpus=0, max_retries=0, scheduling_strategy=here)(_report)
        offered = node["Resources"]
        return task.remote(
            _name(node), offered.get("CPU", 0.0), offered.get("GPU", 0.0), self._files, self._store, nonce
        )


def selector(nodes: Iterable[str]) -> dict[str, str]:
    """Return the label selector that lets Ray place work on these nodes only, by their ids."""
    return {_NODE_LABEL: f"in({','.join(sorted(nodes))})"}


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
        hint = "; or --image-store none" if any(f"/{FOLDER}" in path for path in report.unreadable) else ""
        yield f"node {report.name} must have what its trials read; it cannot read {', '.join(report.unreadable)}{hint}"
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
    With an image store the images that stay in their own files have such three of their own. Small images that are
    still to be made are stood for by the folder of the stores, which the driver has made.
    """
    found = [checked.teacher_file.path]
    if checked.data_path.name == "streamed":
        store = checked.image_store
        if store is not None and not isinstance(checked.data.train, StoredFiles):
            found.append(store.root)
        for of_set in (checked.data.train, checked.data.val, checked.data.test):
            if isinstance(of_set, ImageFiles):
                found += [of_set.root / of_set.paths[row] for row in _rows_to_ask_for(of_set, store)]
    return list(dict.fromkeys(map(str, found)))


def _rows_to_ask_for(files: ImageFiles, store: ImageStore | None) -> list[int]:
    """Return the images that stand for a set; those that a store will hold are not there yet."""
    every: Sequence[int] = range(len(files))
    own: Sequence[int] = []
    if isinstance(files, StoredFiles):
        own = [row for row in every if not files.is_small(row)]
    elif store is not None:
        every, own = [], np.setdiff1d(every, store.shrinking(files)).tolist()
    return [rows[at] for rows in (every, own) if rows for at in (0, len(rows) // 2, -1)]


def described(reports: Sequence[NodeReport]) -> list[dict[str, Any]]:
    """Return the manifest's `nodes` entry. The versions are left out: they equal the driver's, which it holds."""
    return [{key: value for key, value in asdict(report).items() if key in _KEPT} for report in reports]


_KEPT = ("name", "cpus", "gpus", "free_gb", "niceness")


def _alive() -> dict[str, Mapping[str, Any]]:
    import ray

    nodes = sorted((node for node in ray.nodes() if node["Alive"]), key=lambda node: str(node["NodeID"]))
    return {node["NodeID"]: node for node in nodes}


def _silent(node: Mapping[str, Any]) -> str:
    return f"node {_name(node)} did not answer within {_PATIENCE_S} s"


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
        niceness=os.getpriority(os.PRIO_PROCESS, 0),
        versions=own_versions(),
        unreadable=tuple(file for file in files if not os.access(file, os.R_OK)),
        storage=store.answer(nonce, hashlib.sha256(name.encode()).hexdigest()[:16]),
        machine=this_machine(),
    )
