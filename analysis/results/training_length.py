"""Whether the entries had been trained out at the study's length, and what a longer training leaves of the gains.

A claim belongs to one training length. On fashion_mnist_lt a gain of 7 points over `la` at 20 epochs was 1 point at
150: the baselines had not converged, and baselines tuned at the same 20 epochs could not show it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Literal

import pandas as pd

from analysis.reading.study_data import StudyData
from analysis.reading.wording import plural, still_climb
from analysis.results.accuracies import claims_by_subset, joined, scores, scores_of
from analysis.results.comparisons import claim_terms, paired_differences, primary_family
from analysis.results.entries import BEST, compared_entries, entries_in_order
from analysis.stats.paired_tests import PairedInterval, paired_interval
from analysis.stats.pooled_interval import pooled_intervals

State = Literal["climbs", "trained out", "open", "unchecked"]
Fate = Literal["holds", "shrinks", "vanishes", "not seen", "open", "unchecked"]

#: Fates in which the longer training leaves no gain to stand on.
FALLEN: tuple[Fate, ...] = ("vanishes", "not seen")

#: An entry is trained out where a longer training gains less than this on D_val (a fraction).
TOLERANCE = 0.015

#: Columns of the curves: balanced accuracy on D_val, and the mean recalls of the groups.
CURVES = {"val_balanced_accuracy": "All", "val_many": "Many", "val_medium": "Medium", "val_few": "Few"}


@dataclass(frozen=True)
class TrainingState:
    """How far an entry had been trained at the study's length.

    Attributes:
        change: balanced accuracy on D_val at the longer training minus at the length, paired by seed.
        rise: the same over the last quarter of the epochs of its own curve, over seeds; evidence of nothing.
        state: by the rule of `training_states`.
    """

    change: PairedInterval
    rise: PairedInterval
    state: State


@dataclass(frozen=True)
class LongerGain:
    """What a longer training leaves of a gain on test, on the study's own subset.

    Attributes:
        entry, baseline: what is compared.
        at_length: the gain at the study's length, paired by seed.
        longer: the gain at the longer training, paired by seed.
        fate: by the rule of `fate_of`.
        claimed: whether the gain at the study's length passed the family of the report's claims. Only then do words
            tell its fate.
    """

    entry: str
    baseline: str
    at_length: PairedInterval
    longer: PairedInterval
    fate: Fate
    claimed: bool


@dataclass(frozen=True)
class LengthCheck:
    """The check of a study's training length.

    Attributes:
        epochs: of the study's length.
        factor: the longer training has so many times the epochs; 1 where there is none.
        states: entry -> its state, in the order of entries.
        gains: the primary comparisons: best1 over each baseline; then over the method at its reference point, where
            that was trained longer too.
        over_subsets: whether the claims rest on subsets of the long tail. All of the above is of the study's own
            subset in any case: nothing else is trained longer.
    """

    epochs: int
    factor: int
    states: Mapping[str, TrainingState]
    gains: tuple[LongerGain, ...]
    over_subsets: bool = False

    @property
    def own_text(self) -> str:
        """What a sentence beside a claim over subsets has to add: ' on the study's own subset'; '' otherwise."""
        return " on the study's own subset" if self.over_subsets else ""

    @property
    def longer_epochs(self) -> int:
        """Epochs of the longer training."""
        return self.factor * self.epochs

    def climbing(self, *entries: str) -> list[str]:
        """Return those of `entries` that still climb; without any, of all entries."""
        return [name for name in entries or self.states if name in self.states and self.states[name].state == "climbs"]

    @property
    def climbing_text(self) -> str:
        """The sentence on the entries that still climb; '' where none does."""
        names = self.climbing()
        carry = "carries" if len(names) == 1 else "carry"
        return f"{still_climb(names)} at {plural(self.epochs, 'epoch')} and {carry} no claim." if names else ""

    def gain(self, baseline: str) -> LongerGain:
        """Return what a longer training leaves of best1's gain over `baseline`, one of `gains`."""
        return next(gain for gain in self.gains if gain.baseline == baseline)

    def claims(self, baseline: str) -> bool:
        """Return whether a gain of best1 over `baseline` is claimed, by its family and by the training lengths."""
        return not self.climbing(BEST, baseline) and any(
            gain.claimed for gain in self.gains if gain.baseline == baseline
        )

    def fate(self, baseline: str) -> Fate:
        """Return what becomes of best1's gain over `baseline`."""
        return next((gain.fate for gain in self.gains if gain.baseline == baseline), "unchecked")


def training_states(
    changes: Mapping[str, Sequence[float]], rises: Mapping[str, Sequence[float]]
) -> dict[str, TrainingState]:
    """Return the state of each entry of `changes` and `rises`.

    The longer runs are the only evidence. The intervals are 95 % t intervals with one standard deviation pooled over
    the entries, because an entry has few longer runs.

    - climbs: the lower bound of the change is above 0. The entry carries no claim.
    - trained out: the upper bound is below TOLERANCE, and the entry does not climb.
    - open: neither, so the longer runs are too few or scatter too much.
    - unchecked: no interval, because no two longer runs exist.

    A curve alone shows nothing: under a schedule whose rate falls to 0 every run rises at its end, trained out or not.

    Args:
        changes: entry -> balanced accuracy on D_val at the longer training minus at the length, one per seed.
        rises: entry -> rise of its curve over the last quarter of the epochs, one per seed.
    """
    pooled = dict(zip(changes, pooled_intervals(list(changes.values())), strict=True))
    found = {}
    for name in dict.fromkeys((*rises, *changes)):
        change = pooled.get(name, paired_interval([]))
        found[name] = TrainingState(change, paired_interval(rises.get(name, ())), _state(change))
    return found


def fate_of(at_length: Iterable[float], longer: Iterable[float]) -> tuple[PairedInterval, PairedInterval, Fate]:
    """Return the gain at the length, the gain at the longer training, and what becomes of it.

    The first interval is the paired t interval of the report's claims. The second has a standard deviation pooled over
    both lengths. The word follows from the gain at the length and the second interval:

    - holds: the interval lies above 0 and does not end below the gain at the length.
    - shrinks: it lies above 0 and ends below the gain at the length.
    - vanishes: it does not lie above 0, and it ends below the gain at the length, so a fall is shown.
    - not seen: its middle is not above 0, but it reaches the gain at the length. The gain is not there at the longer
      training, and these seeds cannot tell whether it fell.
    - open: it holds 0 and the gain at the length, and its middle is above 0, so it can tell neither from the other.
    - unchecked: there is no interval.

    Args:
        at_length: differences of two entries at the length, one per seed.
        longer: their differences at the longer training, one per seed.
    """
    short, long = list(at_length), list(longer)
    first = paired_interval(short)
    _, second = pooled_intervals([short, long])
    if len(long) < 2 or isnan(second.low) or isnan(first.mean):
        return first, second, "unchecked"
    smaller = second.high < first.mean
    if second.low > 0:
        return first, second, "shrinks" if smaller else "holds"
    if smaller:
        return first, second, "vanishes"
    return first, second, "not seen" if second.mean <= 0 else "open"


def check_length(study: StudyData) -> LengthCheck:
    """Return the check of the study's length, at the longest training that the compared entries have two seeds of."""
    table = scores_of(study)
    present = set(table["entry"])
    bases = compared_entries(present) if BEST in present else ()
    factor = _factor(study, (BEST, *bases))
    longer = study.longer[study.longer["epochs_factor"] == factor]
    # A diverged run has no training length: it counts in the gains, and says nothing of who is trained out.
    counted = joined(longer, study.diverged_longer[study.diverged_longer["epochs_factor"] == factor])
    tests = counted.rename(columns={"test_balanced_accuracy": "all"})
    rises = _rises(study)
    if bases and study.space.method in set(longer["entry"]) - set(bases):
        bases = (*bases, study.space.method)
    names = entries_in_order([*rises, *longer["entry"]])
    changes = {name: _change(study, longer, name) for name in names if name in set(longer["entry"])}
    states = training_states(changes, {name: rises[name] for name in names if name in rises})
    claimed = {item.baseline for item in primary_family(scores(study), claim_terms(study)) if item.verdict == "gain"}
    gains = [
        LongerGain(
            BEST,
            base,
            *fate_of(paired_differences(table, BEST, base), paired_differences(tests, BEST, base)),
            claimed=base in claimed,
        )
        for base in bases
    ]
    epochs, in_order = int(study.manifest["plan"]["epochs"]), {name: states[name] for name in names}
    return LengthCheck(epochs, factor, in_order, tuple(gains), claims_by_subset(study))


def curve_bands(study: StudyData, entries: Sequence[str], column: str) -> pd.DataFrame:
    """Return the learning curves on D_val over seeds, on the study's own subset.

    Columns: entry, epochs_factor, epoch, n (seeds), median, low, high (lowest and highest seed; fractions).
    """
    curves = _own_curves(study)
    wanted = curves[curves["entry"].isin(entries) & curves[column].notna()]
    keys = ["entry", "epochs_factor", "epoch"]
    bands = wanted.groupby(keys)[column].agg(n="count", median="median", low="min", high="max").reset_index()
    rank = {entry: place for place, entry in enumerate(entries)}
    in_order = bands.assign(rank=bands["entry"].map(rank)).sort_values(["rank", *keys[1:]])
    return in_order.drop(columns="rank").astype({"epochs_factor": int, "epoch": int}).reset_index(drop=True)


def _state(change: PairedInterval) -> State:
    if change.n < 2 or isnan(change.low):
        return "unchecked"
    if change.low > 0:
        return "climbs"
    return "trained out" if change.high < TOLERANCE else "open"


def _factor(study: StudyData, entries: Sequence[str]) -> int:
    """Return the largest factor at which all of `entries` have two seeds, else the largest of all, else 1."""
    seeds = study.longer.groupby(["epochs_factor", "entry"])["seed"].nunique()
    factors = sorted({int(factor) for factor in study.longer["epochs_factor"]}, reverse=True)
    whole = [factor for factor in factors if all(seeds.get((factor, name), 0) > 1 for name in entries)]
    return next(iter((*whole, *factors)), 1)


def _change(study: StudyData, longer: pd.DataFrame, entry: str) -> list[float]:
    values = [
        table[table["entry"] == entry].set_index("seed")["val_balanced_accuracy"] for table in (study.confirm, longer)
    ]
    short, long = values[0].align(values[1], join="inner")
    return [float(value) for value in (long - short).dropna()]


def _rises(study: StudyData) -> dict[str, list[float]]:
    """Return entry -> the rise of each run's curve from the last point in the first three quarters to its end."""
    curves = _own_curves(study)
    known = curves[(curves["epochs_factor"] == 1) & curves["val_balanced_accuracy"].notna()]
    rises: dict[str, list[float]] = {}
    for (entry, _), run in known.sort_values("epoch").groupby(["entry", "seed"]):
        earlier = run[run["epoch"] <= 0.75 * run["epoch"].max()]
        if len(earlier):
            ends = run["val_balanced_accuracy"].iloc[-1] - earlier["val_balanced_accuracy"].iloc[-1]
            rises.setdefault(str(entry), []).append(float(ends))
    return rises


def _own_curves(study: StudyData) -> pd.DataFrame:
    return study.curves[study.curves["data_seed"] == 0]
