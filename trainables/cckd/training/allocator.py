"""Memory that training frees stays with the process, because the next step asks for the same again.

glibc gives large blocks back to the system at once, which then has to map and zero them anew: thousands of page
faults a step, a tenth of the time of a small student on the CPU. The peak of the process stays what it was.
"""

import ctypes
import platform

#: mallopt's parameters, from glibc's malloc.h; blocks up to the first come from the heap, of which up to the
#: second may lie free at its end. 32 MiB is the most that every glibc accepts for the first.
_M_MMAP_THRESHOLD, _HEAP_BLOCKS = -3, 32 * 2**20
_M_TRIM_THRESHOLD, _FREE_AT_END = -1, 2**31 - 1


def keep_freed_memory() -> bool:
    """Set it for the whole process; return whether it could be, which only glibc offers."""
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(_M_MMAP_THRESHOLD, _HEAP_BLOCKS) and mallopt(_M_TRIM_THRESHOLD, _FREE_AT_END))
