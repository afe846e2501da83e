"""The front of a study with two objectives, in the order of study.json: the knee, the ends, then the rest."""

from dataclasses import dataclass

import pandas as pd

from analysis.reading.study_data import StudyData
from analysis.reading.wording import GROUP_HEADINGS, percent, plural

#: Second objective -> (column of `StudyData.measured`, its heading, whether it is seconds and less is better).
_SECOND = {
    **{name: (f"val_{name}", heading, False) for name, heading in GROUP_HEADINGS.items()},
    "seconds": ("duration_s", "seconds of training", True),
}


@dataclass(frozen=True)
class Front:
    """Two objectives of every complete trial.

    Attributes:
        second: heading of the second objective.
        is_seconds: whether it is seconds, and less is better, or a fraction.
        points: trial, all, second, role ('knee', 'best all', 'best <second>', 'front', ''), in the order of trials.
    """

    second: str
    is_seconds: bool
    points: pd.DataFrame

    @property
    def members(self) -> pd.DataFrame:
        """The trials on the front, in falling order of the first objective."""
        return self.points[self.points["role"] != ""].sort_values("all", ascending=False)

    def value_text(self, value: float) -> str:
        """Return a value of the second objective with its unit."""
        return f"{value:.1f} s" if self.is_seconds else f"{percent(value)} %"


def read_front(study: StudyData) -> Front | None:
    """Return the front; None where there is one objective, or study.json holds no front yet."""
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


def front_sentences(study: StudyData) -> list[str]:
    """Say how best1 was chosen among two objectives; nothing where there is one objective."""
    front = read_front(study)
    if front is None or not (front.points["role"] == "knee").any():
        return []
    knee = front.points[front.points["role"] == "knee"].iloc[0]
    return [
        f"Two objectives were searched, all classes and {front.second}: {len(front.members)} of "
        f"{plural(len(front.points), 'complete trial')} are on the front. There neither objective can be improved "
        f"without loss in the other. best1 is its knee, trial {knee['trial']} ({percent(knee['all'])} % and "
        f"{front.value_text(knee['second'])} on validation), a single run of the search like the others on the front."
    ]
