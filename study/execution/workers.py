"""The Ray session of a study, how many trials fit the cluster, and in which processes they train."""

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from study.execution.cluster import ClusterError, connect, private_token
from study.execution.nodes import Roster, selector
from study.execution.ray_private import end_processes_at_once
from study.planning.plan import LOCAL, StudyPlan
from study.terminal.signals import heed_signals, undisturbed, unheard_by_children

if TYPE_CHECKING:
    from trainables.trial_context import TrialContext

_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",  # its progress tables ignore verbose=0
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # study.db holds the results; Ray's CSV misaligns on resume
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",  # study.db holds the cause
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # otherwise Ray 2.60 warns of a coming change
}

#: The niceness that Ray gives to its workers. It is read when a Ray starts, so only a private Ray follows it. Ray's own
#: choice is 15: beside two busy programs on two cores a teacher's pass made no progress for six minutes.
_NICENESS, _PRIVATE_NICENESS = "RAY_worker_niceness", "0"

#: Ray counts GPUs in ten-thousandths.
_GPU_DIGITS = 4

#: Old settings that make Ray raise an error now. A study takes its folders from its plan, never from these.
_REFUSED = ("TUNE_RESULT_DIR", "RAY_AIR_LOCAL_CACHE_DIR")


@dataclass(frozen=True)
class Workers:
    """How many trials the cluster can run.

    Attributes:
        n_workers: concurrent trials when the session starts.
        decoders: processes that decode image files ahead of one task of the teacher's pass. It is 0 on the CPU, where
            as many tasks as cores already decode and compute in turns.
        per_process: trials that one process trains together; 1 if each trial has its own process.
        roster: the nodes of a cluster, which join and leave; None for a private Ray.
    """

    n_workers: int
    decoders: int = 0
    per_process: int = 1
    roster: Roster | None = None

    def at_once(self, plan: StudyPlan) -> int:
        """Return how many trials the nodes can run now; 0 if every node is lost.

        Processes that trials share are started once per course, so nodes that join later add none.
        """
        if self.roster is None:
            return self.n_workers
        most = self.n_workers if self.per_process > 1 else plan.max_concurrent
        fitting = sum(_fitting(plan, resources) for resources in self.roster.usable().values())
        return fitting if most is None else min(fitting, most)

    def trial_nodes(self, plan: StudyPlan) -> frozenset[str] | None:
        """Return the ids of the nodes on which a trial can run now; None for a private Ray, which has one."""
        if self.roster is None:
            return None
        return frozenset(node for node, offered in self.roster.usable().items() if _fitting(plan, offered))


def fit_threads(plan: StudyPlan, node: Mapping[str, float]) -> int:
    """Return the threads of the teacher's fit on a node: as many as the CPUs that the study's trials may hold there.

    With a GPU these are the cores that feed it.

    Args:
        plan: the study.
        node: what Ray may use of the node, by Ray's names.
    """
    if plan.gpus_per_trial:
        return 1 + _decoders(plan.gpus_per_trial, [node])
    fitting = _fitting(plan, node)
    return max(1, int(min(fitting, plan.max_concurrent or fitting) * plan.cpus_per_trial))


def niceness() -> int:
    """Return the niceness of the workers of a private Ray that this process starts; Ray's is added to the driver's."""
    return min(19, os.getpriority(os.PRIO_PROCESS, 0) + int(os.environ.get(_NICENESS, _PRIVATE_NICENESS)))


def load(plan: StudyPlan) -> str:
    """Say how busy this machine is and how the workers of a private Ray stand beside other programs."""
    if plan.address != LOCAL:
        return "the nodes may be busy with other work"
    return f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, workers at niceness {niceness()}"


def threads_of(plan: StudyPlan) -> int:
    """Return the torch threads of one trial."""
    return max(1, int(plan.cpus_per_trial))


@contextmanager
def ray_session(plan: StudyPlan) -> Iterator[Workers]:
    """Start a private Ray (or join the cluster at `plan.address`) and leave it at the end of the block.

    Raises:
        ClusterError: the cluster cannot be joined, or no trial fits it.
    """
    for key, value in _ENVIRONMENT.items():
        os.environ.setdefault(key, value)
    if plan.address == LOCAL:
        os.environ.setdefault(_NICENESS, _PRIVATE_NICENESS)
    for key in _REFUSED:
        os.environ.pop(key, None)
    import ray

    with private_token(plan.address):
        try:
            with unheard_by_children():
                connect(plan.address, _ENVIRONMENT, verbose=plan.verbose)
                if plan.address == LOCAL:
                    end_processes_at_once()
                heed_signals()  # Ray has replaced them; a signal that came meanwhile is heard when this block ends
            yield _workers(plan, [node["Resources"] for node in ray.nodes() if node["Alive"]])
        finally:
            with undisturbed():
                ray.shutdown()


@contextmanager
def trainable_for(context: "TrialContext", plan: StudyPlan, workers: Workers) -> Iterator[tuple[type, Any]]:
    """Return the Trainable class of a course and the argument of its setup.

    Each trial trains in its own process, or several train together in one process on a GPU. Processes that trials share
    end with the block.
    """
    from trainables.trial import CckdTrial, HostedContext, HostedTrial

    if workers.per_process == 1:
        yield CckdTrial, context
        return
    import ray

    from trainables.trial_host import TrialHost

    n_seats = workers.per_process
    # The host holds the GPU share of all its trials. Each trial holds its own CPUs and asks the host to train a leg.
    host = ray.remote(TrialHost).options(
        num_cpus=0,
        num_gpus=round(min(1.0, n_seats * plan.gpus_per_trial), _GPU_DIGITS),
        max_restarts=-1,
        # One running leg per seat, and calls that begin or end a trial.
        max_concurrency=3 * n_seats,
        label_selector=None if workers.roster is None else selector(workers.roster.usable()),
    )
    hosts = [host.remote(n_seats) for _ in range(math.ceil(workers.n_workers / n_seats))]
    try:
        yield HostedTrial, HostedContext(tuple(hosts), context)
    finally:
        for started in hosts:
            ray.kill(started)


def _workers(plan: StudyPlan, nodes: Sequence[Mapping[str, float]]) -> Workers:
    """Count the trials that fit, node by node, because a trial cannot spread over two nodes."""
    fitting = sum(_fitting(plan, node) for node in nodes)
    if fitting < 1:
        offered = ", ".join(f"{node.get('CPU', 0):g} and {node.get('GPU', 0):g}" for node in nodes)
        together = f", {plan.trials_per_process} of them a process" if plan.trials_per_process > 1 else ""
        raise ClusterError(
            f"no trial fits the cluster: a trial asks for {plan.cpus_per_trial:g} CPUs and {plan.gpus_per_trial:g} "
            f"GPUs{together}, its nodes have {offered}"
        )
    n_workers = min(fitting, plan.max_concurrent or fitting)
    return Workers(
        n_workers=n_workers,
        decoders=_decoders(plan.gpus_per_trial, nodes) if plan.gpus_per_trial else 0,
        per_process=min(plan.trials_per_process, n_workers),
    )


def _decoders(gpus_per_task: float, nodes: Sequence[Mapping[str, float]]) -> int:
    """Return a task's share of its node's cores without the core that feeds the GPU; the least over all GPU nodes."""
    shares = [
        math.floor(node.get("CPU", 0.0) / math.floor(node["GPU"] / gpus_per_task))
        for node in nodes
        if node.get("GPU", 0.0) >= gpus_per_task
    ]
    return max(0, min(shares, default=0) - 1)


def _fitting(plan: StudyPlan, node: Mapping[str, float]) -> int:
    """Return how many trials fit a node; trials that share a process fill whole processes, each on one GPU."""
    n_together = plan.trials_per_process
    by_cpu = math.floor(node.get("CPU", 0.0) / plan.cpus_per_trial) if plan.cpus_per_trial else math.inf
    by_gpu = math.inf
    if plan.gpus_per_trial and n_together > 1:
        # Rounding makes 49 shares of 1/49 more or less than one GPU.
        by_gpu = (
            math.floor(node.get("GPU", 0.0)) * math.floor(1 / (n_together * plan.gpus_per_trial) + 1e-9) * n_together
        )
    elif plan.gpus_per_trial:
        by_gpu = math.floor(node.get("GPU", 0.0) / plan.gpus_per_trial)
    return int(min(by_cpu, by_gpu)) // n_together * n_together
