"""What each setting and each part of best1 buys, by the runs that were trained without it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.reading.study_data import StudyData
from analysis.results.entries import BEST, values_of_best
from analysis.stats.many_to_one import Difference, differences
from analysis.stats.paired_tests import Spread, spread
from trainables.cckd.errors import is_divergence
from trainables.cckd.losses.terms import terms_on
from trainables.cckd.methods import CLASS_CONDITIONAL, PARTS, Knobs

#: Set on which runs are judged -> its name in a report.
SETS = {"val": "validation", "test": "test"}

_PART_TEXTS = {part.name: part.text for part in PARTS}


@dataclass(frozen=True)
class Bought:
    """What one setting or one part of best1 buys.

    Attributes:
        kind: knob or part.
        change: name of the knob or the part.
        value, reference: of the knob, in best1 and after the change; NaN for a part.
        accuracy: balanced accuracy with the change, over seeds (fractions).
        gain: best1 minus best1 with the change; what the setting or the part buys.
    """

    kind: str
    change: str
    value: object
    reference: object
    accuracy: Spread
    gain: Difference

    @property
    def text(self) -> str:
        """The change in words; a part that this version does not know has its name."""
        return _PART_TEXTS.get(self.change, self.change) if self.kind == "part" else self.change


@dataclass(frozen=True)
class Ablation:
    """The ablation of best1 as judged on one set.

    Attributes:
        judged_on: a key of SETS.
        trial: number of best1's trial.
        best: balanced accuracy of best1 over seeds (fractions).
        bought: one row per change, in the order in which the study lists them.
        n_diverged: runs that diverged, and count at chance level.
        n_lost: other runs that failed for good, and are left out.
    """

    judged_on: str
    trial: int
    best: Spread
    bought: tuple[Bought, ...]
    n_diverged: int
    n_lost: int


def ablations(study: StudyData) -> tuple[Ablation, ...]:
    """Return the ablation of best1 on each set on which its runs were judged; no set without a change or without best1.

    A study that is extended may have another best1, whose ablation has not begun; then there is none.
    """
    best = study.best
    chance = 1 / len(study.manifest["data"]["classes"])
    of_best = study.ablation[study.ablation["trial"] == (None if best is None else best.number)]
    parts = [(name, of_best[of_best["judged_on"] == name]) for name in SETS]
    found = [_ablation(name, runs, chance) for name, runs in parts if len(runs)]
    return tuple(ablation for ablation in found if ablation.best.n and ablation.bought)


def learns_no_outputs(study: StudyData, ablation: Ablation) -> bool:
    """Whether a change leaves best1 without any loss on the teacher's outputs: its own part is out, `use_kd` is off."""
    use_kd = values_of_best(study).get("use_kd", False)
    return not use_kd and any(row.change == CLASS_CONDITIONAL for row in ablation.bought)


def without_teacher(study: StudyData, ablation: Ablation) -> tuple[Bought, ...]:
    """Return the changes that leave best1 nothing to read of the teacher: they were trained on fresh views."""
    knobs = {name: value for name, value in values_of_best(study).items() if name in Knobs.model_fields}
    if not _reads_teacher(knobs):
        return ()  # nor does best1
    off = {part.name: part.off for part in PARTS}
    parts = [row for row in ablation.bought if row.kind == "part" and row.change in off]
    return tuple(row for row in parts if not _reads_teacher({**knobs, **off[row.change]}))


def _reads_teacher(knobs: Mapping[str, Any]) -> bool:
    return any(term.needs for term in terms_on(Knobs.model_validate(knobs)))


def bought_table(ablation: Ablation) -> pd.DataFrame:
    """Return one row per change: kind, change, value, reference, n, accuracy, sd, then the fields of `Difference`.

    The field `mean` is called gain. All but the first four are fractions or counts.
    """
    rows = [
        {
            **{name: getattr(row, name) for name in ("kind", "change", "value", "reference")},
            **{"n": row.accuracy.n, "accuracy": row.accuracy.mean, "sd": row.accuracy.sd, "gain": row.gain.mean},
            **{name: getattr(row.gain, name) for name in ("low", "high", "p", "detectable")},
        }
        for row in ablation.bought
    ]
    return pd.DataFrame(rows)


def _ablation(judged_on: str, runs: pd.DataFrame, chance: float) -> Ablation:
    diverged = runs["cause"].map(str).map(is_divergence).astype(bool)
    counted = runs.assign(balanced_accuracy=runs["balanced_accuracy"].mask(diverged, chance))
    lost = counted["balanced_accuracy"].isna()
    groups = {
        (str(kind), str(change)): rows for (kind, change), rows in counted.groupby(["kind", "change"], sort=False)
    }
    values = {key: rows["balanced_accuracy"].dropna().tolist() for key, rows in groups.items()}
    best = values.pop((BEST, BEST), [])
    gains = differences(best, values)
    bought = tuple(
        Bought(*key, groups[key]["value"].iloc[0], groups[key]["reference"].iloc[0], spread(of_change), gains[key])
        for key, of_change in values.items()
    )
    return Ablation(judged_on, int(runs["trial"].iloc[0]), spread(best), bought, int(diverged.sum()), int(lost.sum()))
