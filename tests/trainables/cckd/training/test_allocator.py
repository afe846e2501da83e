import os
import platform
import subprocess
import sys

import pytest

_COUNT = """
import resource, torch
from trainables.cckd.training.allocator import keep_freed_memory
def faults():
    for _ in range(3):
        work()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        work()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
def work():
    kept = [torch.ones(2_000_000) for _ in range(8)]
without = faults()
assert keep_freed_memory()
print(without, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's allocator can be told")
def test_freed_memory_is_used_again_without_page_faults() -> None:
    # In a process of its own, as the setting holds for the whole process; glibc starts from its first thresholds and
    # is kept from adapting them, which would make the comparison depend on the order of earlier blocks.
    glibc = {"MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"}
    command = [sys.executable, "-c", _COUNT]
    run = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | glibc)
    without, kept = map(int, run.stdout.split())
    # 64 MB a round, 4 kB a page: without the setting every round maps 16,000 pages anew.
    assert kept < 0.2 * without
