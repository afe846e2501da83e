"""What a search optimises: the mean recall of all classes on D_val, alone or beside a second objective.

`--objectives all,few` asks for the front between the mean and the tail, `all,seconds` for the one between the mean and
the cost of training. Two objectives allow no pruning, because an early value says nothing about both. The confirmation
takes three points of the front: the knee as best1, and the two ends. The knee is the point nearest to the ideal point,
measured in units of the front's own extent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

from study.schema import GROUPS
from trainables.cckd.records import ClassCounts

FIRST = "all"
SECONDS = "seconds"
#: The second objectives.
SECOND = (*GROUPS, SECONDS)

#: Points of the front that are confirmed: the knee and the ends.
N_CONFIRMED = 3


@dataclass(frozen=True)
class SecondObjective:
    """The objective beside the mean recall of all classes.

    Attributes:
        name: one of SECOND.
        classes: ids of the group's classes; none for seconds.
    """

    name: str
    classes: tuple[int, ...]

    @classmethod
    def from_json(cls, plain: Mapping[str, Any] | None) -> Self | None:
        """Inverse of `dataclasses.asdict`, also after a JSON round trip; None stays None."""
        return None if plain is None else cls(plain["name"], tuple(plain["classes"]))

    @property
    def direction(self) -> Literal["maximize", "minimize"]:
        """Optuna's name of the direction."""
        return "minimize" if self.name == SECONDS else "maximize"

    @property
    def column(self) -> str:
        """The column of trials.csv with this objective."""
        return "duration_s" if self.name == SECONDS else f"val_{self.name}"

    def value(self, val: ClassCounts, seconds: float) -> float:
        """Mean recall of the group (a fraction), or the seconds spent training and evaluating."""
        from trainables.cckd.metrics import group_accuracy  # imports NumPy, which `--help` does without

        return seconds if self.name == SECONDS else group_accuracy(val, self.classes).value


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Return the places of the points that no other point beats, where large coordinates are good.

    Of equal points only the first counts. The places are sorted: the first coordinate falls, and so the second rises.
    """
    order = sorted(range(len(points)), key=lambda place: (-points[place][0], -points[place][1], place))
    found: list[int] = []
    for place in order:
        if not found or points[place][1] > points[found[-1]][1]:
            found.append(place)
    return found


def knee(points: Sequence[tuple[float, float]]) -> int:
    """Return the place of the point nearest to the ideal point, in a front that is sorted as `front` sorts it.

    The ideal point has the best of both coordinates. Each coordinate is measured in units of the front's extent along
    it. Of equally near points the first counts.
    """
    best = points[0][0], points[-1][1]
    extent = best[0] - points[-1][0] or 1.0, best[1] - points[0][1] or 1.0
    distances = [((best[0] - x) / extent[0]) ** 2 + ((best[1] - y) / extent[1]) ** 2 for x, y in points]
    return min(range(len(points)), key=lambda place: (round(distances[place], 12), place))
