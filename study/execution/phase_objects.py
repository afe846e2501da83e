"""Objects that leave Ray's object store when a phase is over.

Tune registers its parameters for as long as the driver lives, so whatever a phase refers to stays in the store, one
bundle a phase. What another process put there goes with that process: a keeper owns what is lent, and is ended.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ray

Put = Callable[[Any], "ray.ObjectRef"]


@contextmanager
def lending() -> Iterator[Put]:
    """Give a `put` whose objects are dropped at the end of the block, whoever still refers to them. Needs Ray."""
    import ray

    # A worker process costs a second or two, so only phases that would pile up bundles ask for one.
    keeper = ray.remote(num_cpus=0)(_Keeper).remote()

    def put(value: Any) -> "ray.ObjectRef":
        (reference,) = ray.get(keeper.put.remote(value))
        return reference

    try:
        yield put
    finally:
        ray.kill(keeper)


class _Keeper:
    """Runs as an actor and owns what it puts."""

    def __init__(self) -> None:
        self._kept: list[Any] = []

    def put(self, value: Any) -> list[Any]:
        """Put `value`; the reference comes in a list, since a bare one would be resolved on its way."""
        import ray

        self._kept.append(ray.put(value))
        return self._kept[-1:]
