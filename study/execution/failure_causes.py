"""Why an attempt at a trial failed: the kind and what happened, told from the text that Ray keeps of the error.

A cause is one line, `<kind>: <what happened>`, and its kind decides whether the trial is tried again. The text says
nothing of this one attempt (no process, no address), so that equal causes read alike and can be counted. Texts of
Ray 2.60; a later one whose words have changed gives `exception` or `worker killed`, which are tried again.
"""

import re
from enum import StrEnum

from study.execution.error_text import last_error
from trainables.cckd.errors import BAD_CONFIGURATION, NON_FINITE_LOSS


class Kind(StrEnum):
    """What kinds of failure there are; the value begins every cause of that kind."""

    EXCEPTION = "exception"
    NON_FINITE_LOSS = NON_FINITE_LOSS
    BAD_CONFIGURATION = BAD_CONFIGURATION
    OUT_OF_MEMORY = "out of memory"
    CUDA_OUT_OF_MEMORY = "CUDA out of memory"
    WORKER_KILLED = "worker killed"
    LOST_NODE = "lost node"
    HUNG = "hung"


#: Kinds that come again with the same seed, however often the trial is tried.
_DETERMINISTIC = {Kind.NON_FINITE_LOSS, Kind.BAD_CONFIGURATION}

_CUDA = re.compile(r"CUDA out of memory|CUDA error: out of memory|CUBLAS_STATUS_ALLOC_FAILED|CUDNN_STATUS_ALLOC_FAILED")
_MEMORY = re.compile(r"^MemoryError\b|can't allocate memory|Cannot allocate memory")
#: Ray's own words, which begin a text; an exception may quote them.
_MONITOR = re.compile(
    r"\d+ worker\(s\) were killed due to the node running low on memory.* was (\S+) used / (\S+) limit"
)
_DEATH = re.compile(r"The actor died unexpectedly|The worker died unexpectedly|The actor \S+ is unavailable")
_NODE = re.compile(r"node has died|node was terminated|is unavailable")
_EXIT_CODE = re.compile(r"exit code (-?\d+)")


def cause_of(error_file: str) -> str:
    """Return the cause that the text of Ray's error file tells, of its last error."""
    error = last_error(error_file)
    if monitor := _MONITOR.match(error):
        return cause(Kind.OUT_OF_MEMORY, f"Ray killed the worker, its node used {monitor[1]} of {monitor[2]}")
    if _DEATH.match(error):
        if _NODE.search(error):
            return cause(Kind.LOST_NODE, "the worker's node is dead or cannot be reached")
        code = _EXIT_CODE.search(error)
        how = f"its process ended with exit code {code[1]}" if code else "its process died, by a signal or for memory"
        return cause(Kind.WORKER_KILLED, how)
    for kind, wording in ((Kind.CUDA_OUT_OF_MEMORY, _CUDA), (Kind.OUT_OF_MEMORY, _MEMORY)):
        if wording.search(error):
            return cause(kind, error)
    name, _, message = error.partition(": ")
    raised = {"NonFiniteLossError": Kind.NON_FINITE_LOSS, "ConfigError": Kind.BAD_CONFIGURATION}.get(name)
    return cause(raised, message) if raised else cause(Kind.EXCEPTION, error)


def cause(kind: Kind, what: str) -> str:
    """Put a cause together."""
    return f"{kind}: {' '.join(what.split())}"


def kind_of(told: str) -> Kind | None:
    """Return the kind of a cause; None for one that has none, a trial that ended with an unfit result."""
    begins = told.partition(":")[0]
    return Kind(begins) if begins in set(Kind) else None


def may_retry(told: str, *, n_failures: int, max_retries: int) -> bool:
    """Tell whether a trial that failed `n_failures` times, the last time of cause `told`, is to be tried again.

    Not where it would fail the same way. A card's memory is shared with neighbours, so running out of it is tried once
    more, with fewer of them perhaps, and then held to be the trial's own doing.
    """
    kind = kind_of(told)
    if kind is None or kind in _DETERMINISTIC:
        return False
    return n_failures <= (min(1, max_retries) if kind is Kind.CUDA_OUT_OF_MEMORY else max_retries)
