"""Guards: what a better mean must not cost. `--guard many=1` lets Many lose at most one point to the reference point.

A guard is judged against trial 0, the reference point of the space, both after their last epoch on D_val. Whether a
trial keeps the guard follows from the counts of both in study.db. It is computed at every question, since a trial may
end before trial 0 does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from study import schema
from trainables.cckd.errors import UsageError
from trainables.cckd.records import ClassCounts

#: Groups of classes that a guard can protect; all is the balanced accuracy itself.
GROUPS = ("all", *schema.GROUPS)

#: Number of the trial that guards compare with: the reference point (`SamplerKind.tries_reference`).
REFERENCE = 0


@dataclass(frozen=True)
class Guard:
    """One guard.

    Attributes:
        group: one of GROUPS.
        points: most percentage points of mean recall that may be lost; a negative number must be gained.
        classes: ids of the group's classes.
    """

    group: str
    points: float
    classes: tuple[int, ...]

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Self:
        """Inverse of `dataclasses.asdict`, also after a JSON round trip."""
        return cls(**{**plain, "classes": tuple(plain["classes"])})

    def excess(self, val: Sequence[ClassCounts], reference: Sequence[ClassCounts]) -> float:
        """Mean recall lost beyond the allowed points, as a fraction; at most 0 where the guard is kept.

        Args:
            val: counts of one run or several of the same configuration.
            reference: counts of as many runs of the reference point.
        """
        lost = _mean(reference, self.classes) - _mean(val, self.classes)
        return round(lost - self.points / 100, 12)  # 0.9 - 0.01 - 0.89 is not 0


def kept(guards: Sequence[Guard], val: Sequence[ClassCounts], reference: Sequence[ClassCounts]) -> bool:
    """Return whether every guard is kept."""
    return all(guard.excess(val, reference) <= 0 for guard in guards)


def told(guards: Mapping[str, float]) -> str:
    """Return the guards as flags of the command line."""
    return " ".join(f"--guard {group}={points:g}" for group, points in guards.items())


def classes_of(name: str, groups: Mapping[str, Sequence[int]], flag: str) -> tuple[int, ...]:
    """Return the ids of the classes of one of GROUPS; a fault begins with `flag`.

    Raises:
        UsageError: the data set has no class in this group.
    """
    sizes = {group: len(groups[group]) for group in schema.GROUPS}
    members = sorted({id for group in sizes for id in groups[group]}) if name == "all" else groups[name]
    if not members:
        held = ", ".join(f"{size} {group}" for group, size in sizes.items())
        raise UsageError(f"{flag}{name} needs classes in that group; this data set has {held}")
    return tuple(members)


def _mean(runs: Sequence[ClassCounts], classes: Sequence[int]) -> float:
    from trainables.cckd.metrics import group_accuracy  # imports NumPy, which `--help` does without

    return sum(group_accuracy(counts, classes).value for counts in runs) / len(runs)
