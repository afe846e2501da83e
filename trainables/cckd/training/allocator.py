"""Keep the memory that training frees in the process, because the next step allocates the same amount again.

By default glibc returns large blocks to the system at once, which then maps and zeroes them again. That is thousands of
page faults per step, a tenth of the time of a small student on the CPU. The peak memory of the process does not change.
"""

import ctypes
import platform

#: Parameters of mallopt, from glibc's malloc.h. Blocks up to _HEAP_BLOCKS bytes come from the heap; 32 MiB is the
#: largest value that every glibc accepts. Up to _FREE_AT_END bytes may lie free at the end of the heap.
_M_MMAP_THRESHOLD, _HEAP_BLOCKS = -3, 32 * 2**20
_M_TRIM_THRESHOLD, _FREE_AT_END = -1, 2**31 - 1


def keep_freed_memory() -> bool:
    """Set this for the whole process; return whether it worked, which only glibc allows."""
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(_M_MMAP_THRESHOLD, _HEAP_BLOCKS) and mallopt(_M_TRIM_THRESHOLD, _FREE_AT_END))
