"""A teacher's pass ends although a node, and the actors on it, are lost on the way. Actors are played."""

import gc
from typing import Any
from weakref import WeakSet

import numpy as np
import pytest

from study.teacher import feature_pass as module
from trainables.cckd.teacher.cache.feature_cache import part_ranges

#: Looks at the pass after which it counts as hanging.
_MOST_LOOKS = 100


class _Cluster:
    """Actors that hold one share of a GPU each, while somebody holds them; some are lost and need a free share."""

    def __init__(self, n_shares: int, lost: set[int]) -> None:
        self.n_shares, self.lost = n_shares, lost
        self.queued: list[tuple[int, int]] = []
        self._alive: WeakSet[_Actor] = WeakSet()

    def actors(self, n: int) -> list[Any]:
        made = [_Actor(self, number) for number in range(n)]
        self._alive.update(made)
        return made

    def wait(self, references: list[Any], timeout_s: float) -> list[Any]:
        assert set(references) == set(self.queued)
        gc.collect()
        held = {actor.number for actor in self._alive}
        running = held - self.lost
        running |= set(sorted(held & self.lost)[: max(0, self.n_shares - len(running))])
        ready = [reference for reference in self.queued if reference[0] in running][:1]
        self.queued = [reference for reference in self.queued if reference not in ready]
        return ready


class _Actor:
    def __init__(self, cluster: _Cluster, number: int) -> None:
        self.number, self._cluster = number, cluster

    def __call__(self, images: Any, rows: Any, views: Any) -> tuple[int, int]:
        reference = self.number, int(rows[0])
        self._cluster.queued.append(reference)
        return reference


@pytest.mark.parametrize(
    ("n_actors", "n_parts", "lost"),
    [(2, 12, {1}), (2, 2, {0}), (4, 9, {1, 2, 3}), (4, 4, {3}), (3, 3, {0, 1}), (2, 12, set())],
)
def test_actors_of_a_lost_node_get_what_idle_ones_give_up(
    monkeypatch: pytest.MonkeyPatch, n_actors: int, n_parts: int, lost: set[int]
) -> None:
    cluster = _Cluster(n_actors - len(lost), lost)
    monkeypatch.setattr(module, "put", lambda value: value)
    monkeypatch.setattr(module, "wait_for_one", cluster.wait)
    monkeypatch.setattr(module, "get", lambda reference: reference[1])
    ranges, n_looks = part_ranges(10 * n_parts, 10), 0

    def look() -> None:
        nonlocal n_looks
        n_looks += 1
        assert n_looks < _MOST_LOOKS, "the pass hangs"

    images = np.zeros(10 * n_parts)
    found = dict(module._parts(cluster.actors(n_actors), images, None, ranges, tuple(range(n_parts)), look))
    assert found == {part: start for part, (start, _) in enumerate(ranges)}
