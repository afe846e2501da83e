"""Intermediate stages of a timm model as features: which of them are read, and how wide they are."""

from itertools import groupby
from typing import Any

from torch import nn

from trainables.cckd.errors import TeacherError

#: Blocks that are read of a model whose blocks all have one resolution, such as a plain transformer.
_N_BLOCKS = 4


def stage_indices(network: nn.Module) -> tuple[int, ...]:
    """Return the indices, into timm's `feature_info`, of the maps that are read as features.

    They are the last map of every resolution. Where all maps have one resolution, they are four blocks at equal
    distances, the last block included.

    Raises:
        TeacherError: a model that names no intermediate maps.
    """
    maps: Any = getattr(network, "feature_info", None)
    if not isinstance(maps, list) or not maps or not hasattr(network, "forward_intermediates"):
        recipe: Any = getattr(network, "pretrained_cfg", {})
        raise TeacherError(
            "teacher features stages and both need a model of timm that names its intermediate stages; "
            f"{recipe.get('architecture') or type(network).__name__} names none: use final"
        )
    indices = tuple([index for index, _ in of_one][-1] for _, of_one in groupby(enumerate(maps), key=_reduction))
    if len(indices) > 1:
        return indices
    n_taken = min(_N_BLOCKS, len(maps))
    return tuple((k + 1) * len(maps) // n_taken - 1 for k in range(n_taken))


def stage_width(network: nn.Module, indices: tuple[int, ...]) -> int:
    """Return the number of channels of the maps at `indices` together."""
    maps: Any = getattr(network, "feature_info", ())
    return sum(int(maps[index]["num_chs"]) for index in indices)


def _reduction(of: tuple[int, Any]) -> Any:
    return of[1]["reduction"]
