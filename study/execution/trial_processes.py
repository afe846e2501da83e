"""Which processes train a phase's trials: each trial in one of its own, or several together in one on a GPU."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from study.execution.tuner import Workers
from study.planning.plan import StudyPlan

if TYPE_CHECKING:
    from trainables.trial import TrialContext

#: Ray's GPUs come in ten thousandths.
_GPU_DIGITS = 4


@contextmanager
def training(context: "TrialContext", plan: StudyPlan, workers: Workers) -> Iterator[tuple[type, Any]]:
    """Give the class Trainable of a phase and what its setup takes; processes that trials share end with the block."""
    from trainables.trial import CckdTrial, HostedContext, HostedTrial

    if workers.per_process == 1:
        yield CckdTrial, context
        return
    hosts = _start_hosts(plan, workers)
    try:
        yield HostedTrial, HostedContext(tuple(hosts), context)
    finally:
        import ray

        for host in hosts:
            ray.kill(host)


def _start_hosts(plan: StudyPlan, workers: Workers) -> list[Any]:
    """Hold the trials' share of GPUs where they are used; their CPUs are held by what asks for their legs."""
    import ray

    from trainables.trial_host import TrialHost

    n_seats = workers.per_process
    host = ray.remote(TrialHost).options(
        num_cpus=0,
        num_gpus=round(min(1.0, n_seats * plan.gpus_per_trial), _GPU_DIGITS),
        max_restarts=-1,
        # A leg a seat, and calls that begin or leave.
        max_concurrency=3 * n_seats,
    )
    return [host.remote(n_seats) for _ in range(math.ceil(workers.n_workers / n_seats))]
