"""A device that has too little memory for the teacher's work is a fault of one line."""

from collections.abc import Iterator
from contextlib import contextmanager

from study.execution.failure_causes import Kind, memory_kind
from study.terminal.faults import one_line
from trainables.cckd.errors import TeacherError


@contextmanager
def naming_memory(what: str, device: str, choices: str) -> Iterator[None]:
    """Turn the errors of work whose device has too little memory into one that says so.

    Args:
        what: the work, as "the teacher's fit".
        device: 'cpu' or 'cuda'.
        choices: what a user can do about it.

    Raises:
        TeacherError: the memory of the device, or that of its node, is too small.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        kind = Kind.OUT_OF_MEMORY if isinstance(error, MemoryError) else memory_kind(f"{error}")
        if kind is None:
            raise
        where = "its node" if kind is Kind.OUT_OF_MEMORY else "its GPU"
        raise TeacherError(
            f"{what} on device {device} must fit the memory of {where}; got {one_line(str(error)) or 'no more'}; "
            f"choices: {choices}"
        ) from None
