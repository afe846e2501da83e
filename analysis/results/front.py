"""The front of a study with two objectives, as its driver filed it: the knee first, then the ends, then the rest."""

from dataclasses import dataclass

import pandas as pd

from analysis.reading.study_data import Study
from analysis.reading.wording import percent, plural

#: Second objective -> (column of `Study.measured`, how it is called, whether less is better).
_SECOND = {
    "many": ("val_many", "Many", False),
    "medium": ("val_medium", "Medium", False),
    "few": ("val_few", "Few", False),
    "seconds": ("duration_s", "seconds of training", True),
}


@dataclass(frozen=True)
class Front:
    """Two objectives of every complete trial.

    Attributes:
        second: what the second one is called.
        is_seconds: whether it is seconds, and less is better, or a fraction.
        points: trial, all, second, role ('knee', 'best all', 'best <second>', 'front', ''), in the order of trials.
    """

    second: str
    is_seconds: bool
    points: pd.DataFrame

    @property
    def members(self) -> pd.DataFrame:
        """The front, the first objective falling."""
        return self.points[self.points["role"] != ""].sort_values("all", ascending=False)

    def told(self, value: float) -> str:
        """The second objective's value, with its unit."""
        return f"{value:.1f} s" if self.is_seconds else f"{percent(value)} %"


def read_front(study: Study) -> Front | None:
    """Return the front, None where there is one objective, or none is filed yet."""
    name = study.manifest["plan"].get("second_objective")
    numbers = study.manifest.get("front")
    if name not in _SECOND or not isinstance(numbers, list) or not numbers:
        return None
    column, second, is_seconds = _SECOND[name]
    complete = [trial.number for trial in study.complete if trial.number in study.measured.index]
    measured = study.measured.loc[complete]
    roles = dict.fromkeys(numbers, "front")
    if len(numbers) > 2:
        roles |= {numbers[1]: "best all", numbers[2]: f"best {name}"}
    roles[numbers[0]] = "knee"
    points = pd.DataFrame(
        {
            "trial": complete,
            "all": measured["val_balanced_accuracy_last"].to_numpy(),
            "second": measured[column].to_numpy(),
            "role": [roles.get(number, "") for number in complete],
        }
    )
    return Front(second, is_seconds, points)


def told_front(study: Study) -> list[str]:
    """What best1 is among two objectives, in a sentence; nothing where there is one."""
    front = read_front(study)
    if front is None or not (front.points["role"] == "knee").any():
        return []
    knee = front.points[front.points["role"] == "knee"].iloc[0]
    return [
        f"Two objectives were searched, all classes and {front.second}: {len(front.members)} of "
        f"{plural(len(front.points), 'complete trial')} are on the front, where neither can be had without giving up "
        f"some of the other. best1 is its knee, trial {knee['trial']} ({percent(knee['all'])} % and "
        f"{front.told(knee['second'])} on validation), a single run of the search like the others on the front."
    ]
