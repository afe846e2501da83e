"""What a passing phase puts into Ray's object store leaves it at its end, though Tune still refers to it."""

import time
from collections.abc import Callable

import numpy as np
import pytest

pytestmark = pytest.mark.slow

MEGABYTES = 40


def test_lent_objects_are_dropped_and_others_that_are_pinned_stay() -> None:
    import ray

    from study.execution.phase_objects import lending

    ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="CRITICAL")
    try:
        bundle = np.zeros(MEGABYTES * 125_000)
        with lending() as put:
            reference = put(bundle)
            ray.cloudpickle.dumps(reference)  # what Tune does: pins it for as long as its owner lives
            read = ray.remote(num_cpus=1)(lambda references: len(ray.get(references[0])))
            assert ray.get(read.remote([reference])) == len(bundle)
            assert _soon(lambda: _used_mb() >= MEGABYTES)
        assert _soon(lambda: _used_mb() < MEGABYTES / 2)
        ray.cloudpickle.dumps(ray.put(bundle))
        assert _soon(lambda: _used_mb() >= MEGABYTES)
        assert not _soon(lambda: _used_mb() < MEGABYTES / 2, limit_s=2), "the fact that lending is there for"
    finally:
        ray.shutdown()


def _used_mb() -> float:
    import ray

    total, free = (found["object_store_memory"] for found in (ray.cluster_resources(), ray.available_resources()))
    return (total - free) / 1e6


def _soon(holds: Callable[[], bool], limit_s: float = 10) -> bool:
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.1)
    return False
