"""The cause of a failed attempt: its kind and what happened, read from the text that Ray keeps of the error.

A cause is one line, `<kind>: <what happened>`. The kind decides whether the trial is tried again. The line names no
process and no address of this one attempt, so equal causes have equal texts and can be counted. The patterns match the
texts of Ray 2.60. If a later Ray words them differently, the kind is `exception` or `worker killed`, and both are tried
again.
"""

import re
from enum import StrEnum

from trainables.cckd.errors import BAD_CONFIGURATION, NON_FINITE_LOSS, fails_again


class Kind(StrEnum):
    """The kinds of failure; every cause begins with the value of its kind."""

    EXCEPTION = "exception"
    NON_FINITE_LOSS = NON_FINITE_LOSS
    BAD_CONFIGURATION = BAD_CONFIGURATION
    DAMAGED_IMAGE = "damaged image"
    OUT_OF_MEMORY = "out of memory"
    CUDA_OUT_OF_MEMORY = "CUDA out of memory"
    WORKER_KILLED = "worker killed"
    LOST_NODE = "lost node"
    HUNG = "hung"


_CUDA = re.compile(r"(?:CUDA|HIP)(?: error:)? out of memory|CUBLAS_STATUS_ALLOC_FAILED|CUDNN_STATUS_ALLOC_FAILED")
_MEMORY = re.compile(r"^(?:_Array)?MemoryError\b|can't allocate memory|Cannot allocate memory")
#: Ray's own words. They are matched at the beginning of a text, because an exception may quote them.
_MONITOR = re.compile(
    r"\d+ worker\(s\) were killed due to the node running low on memory.* was (\S+) used / (\S+) limit"
)
_DEATH = re.compile(r"The actor died unexpectedly|The worker died unexpectedly|The actor \S+ is unavailable")
_NODE = re.compile(r"node has died|node was terminated|is unavailable")
_EXIT_CODE = re.compile(r"exit code (-?\d+)")
#: Ray writes this line above each error of a trial.
_HEAD = re.compile(r"^Failure # \d+ \(occurred at .*\)\n", re.MULTILINE)
_FRAME = re.compile(r'\s*File ".*", line \d+')
_MODULE = re.compile(r"\A(?:\w+\.)+(?=\w+(?::|$))")


def cause_of(error_file: str) -> str:
    """Return the cause of the last error in the text of Ray's error file."""
    error = _last_error(error_file)
    if monitor := _MONITOR.match(error):
        return cause(Kind.OUT_OF_MEMORY, f"Ray killed the worker, its node used {monitor[1]} of {monitor[2]}")
    if _DEATH.match(error):
        if _NODE.search(error):
            return cause(Kind.LOST_NODE, "the worker's node is dead or cannot be reached")
        code = _EXIT_CODE.search(error)
        how = f"its process ended with exit code {code[1]}" if code else "its process died, by a signal or for memory"
        return cause(Kind.WORKER_KILLED, how)
    if kind := memory_kind(error):
        return cause(kind, error)
    name, _, message = error.partition(": ")
    raised = {
        "NonFiniteLossError": Kind.NON_FINITE_LOSS,
        "ConfigError": Kind.BAD_CONFIGURATION,
        "DamagedImageError": Kind.DAMAGED_IMAGE,
    }.get(name)
    return cause(raised, message) if raised else cause(Kind.EXCEPTION, error)


def memory_kind(error: str) -> Kind | None:
    """Return which memory was too small by the text of an error, with its type or without; None for another error."""
    for kind, wording in ((Kind.CUDA_OUT_OF_MEMORY, _CUDA), (Kind.OUT_OF_MEMORY, _MEMORY)):
        if wording.search(error):
            return kind
    return None


def cause(kind: Kind, what: str) -> str:
    """Return the cause `<kind>: <what>` in one line."""
    return f"{kind}: {' '.join(what.split())}"


def kind_of(cause: str) -> Kind | None:
    """Return the kind of a cause; None for a trial that ended with an unfit result."""
    begins = cause.partition(":")[0]
    return Kind(begins) if begins in set(Kind) else None


def may_retry(cause: str, *, n_failures: int, max_retries: int) -> bool:
    """Return whether a trial is tried again that failed `n_failures` times, the last time because of `cause`.

    A trial that would fail the same way is not tried again. Other programs share a GPU's memory, so a trial that ran
    out of it is tried once more. If it fails again, the trial itself is taken to need too much.
    """
    kind = kind_of(cause)
    if kind is None or kind is Kind.DAMAGED_IMAGE or fails_again(cause):
        return False
    return n_failures <= (min(1, max_retries) if kind is Kind.CUDA_OUT_OF_MEMORY else max_retries)


def _last_error(text: str) -> str:
    """Return 'ValueError: message' for the last error in Ray's error file; an error without a traceback as it is.

    A message may have several lines. Above it stand the last frame and the frame's indented source.
    """
    error = _HEAD.split(text)[-1].strip()
    lines = error.splitlines()
    frames = [index for index, line in enumerate(lines) if _FRAME.match(line)]
    if not frames:
        return error
    start = frames[-1] + 1
    while start < len(lines) - 1 and lines[start].startswith("    "):
        start += 1
    return _MODULE.sub("", "\n".join(lines[start:]))
