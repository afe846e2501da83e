"""A study as data: manifest, search space, trials and tables."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, cast

import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from analysis.reading.failed_runs import FailedRun
from analysis.stats.paired_tests import Spread, spread
from search_spaces.knob import Knob
from search_spaces.space import SearchSpace
from study.schema import BEST, TUNED_SUFFIX

_T = TypeVar("_T")


@dataclass(frozen=True)
class FinalistResult:
    """A trial's configuration trained again by the selection.

    Attributes:
        trial: number of the trial.
        fresh: balanced accuracy on D_val over fresh seeds.
        searched: the single value on D_val that the trial had in the search.
    """

    trial: int
    fresh: Spread
    searched: float


@dataclass(frozen=True)
class StudyData:
    """Everything a report is made from.

    The tables have the columns of study/schema.py. They equal the CSV exports, but come from study.db alone.
    Accuracies are fractions 0-1, and a missing value is NaN.

    Attributes:
        folder: the study folder.
        manifest: study.json.
        space: the search space, rebuilt from the manifest.
        trials: Optuna's trials, a snapshot in order of number.
        measured: one row per trial, indexed by trial number; columns of TRIALS_HEAD, `config/<knob>`, TRIALS_TAIL.
        epochs: one row per (trial, epoch); columns of EPOCHS_HEAD, `loss_<term>`, EPOCHS_TAIL.
        curves: the same columns for the runs of the confirmation, one row per epoch, at every length and subset.
        baselines: one row per trial of a tuned baseline; empty where none is tuned.
        finalists: one row per (trial, seed) of the selection (columns of FINALISTS); empty without a selection.
        confirm: the confirmation on the study's own subset of the long tail, one row per (entry, seed), with the
            columns of CONFIRM; empty before the confirmation. The teacher's seed is NaN.
        classes: the same runs class by class, one row per (entry, seed, class), with the columns of CLASSES.
        confirm_all, classes_all: the same for every subset of the long tail; `data_seed` numbers the subsets.
        longer: the runs at a longer training, with the columns of CONFIRM; `epochs_factor` is above 1. No other table
            but `curves` holds any of them.
        confusion: one row per (entry, seed, true class, predicted class), on the study's own subset (CONFUSION).
        separability: feature distances, one row per (entry, seed, class), on the study's own subset (SEPARABILITY).
            Both are empty where no run has them.
        ablation: the runs of the ablation, all of the best1 that was ablated last, with the columns of ABLATION; empty
            without any.
        failed: the runs of the confirmation that failed for good, at every length and subset. No table above has them.
        diverged: what stands for the diverged runs on the study's own subset, with the columns of CONFIRM: every
            recall is that of chance. `diverged_all` has those of every subset, `diverged_longer` those at a longer
            training.
    """

    folder: Path
    manifest: Mapping[str, Any]
    space: SearchSpace
    trials: tuple[FrozenTrial, ...]
    measured: pd.DataFrame
    epochs: pd.DataFrame
    curves: pd.DataFrame
    baselines: pd.DataFrame
    finalists: pd.DataFrame
    confirm: pd.DataFrame
    classes: pd.DataFrame
    confirm_all: pd.DataFrame
    classes_all: pd.DataFrame
    longer: pd.DataFrame
    confusion: pd.DataFrame
    separability: pd.DataFrame
    ablation: pd.DataFrame
    failed: tuple[FailedRun, ...]
    diverged: pd.DataFrame
    diverged_all: pd.DataFrame
    diverged_longer: pd.DataFrame
    _known: dict[Callable[["StudyData"], Any], Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def n_subsets(self) -> int:
        """Number of subsets of the long tail with a run of the confirmation."""
        return int(self.confirm_all["data_seed"].nunique())

    def once(self, compute: Callable[["StudyData"], _T]) -> _T:
        """Return `compute(self)`, computed at the first call. Nobody may change what it returns."""
        if compute not in self._known:
            self._known[compute] = compute(self)
        return cast(_T, self._known[compute])

    @cached_property
    def every_subset(self) -> "StudyData":
        """The study with the rows of every subset in `confirm`, `classes` and `diverged`."""
        return replace(self, confirm=self.confirm_all, classes=self.classes_all, diverged=self.diverged_all)

    @property
    def knobs(self) -> tuple[Knob, ...]:
        """The searched knobs, in the space's order."""
        return self.space.tunable

    @property
    def complete(self) -> tuple[FrozenTrial, ...]:
        """The trials that ran to the end. Sensitivities and importances may use only these."""
        return tuple(trial for trial in self.trials if trial.state == TrialState.COMPLETE)

    @property
    def best(self) -> FrozenTrial | None:
        """The recommended trial: best1 once it is chosen, before that the highest single value on D_val."""
        chosen = self.manifest.get("confirm_entries", {}).get(BEST)
        first = next(iter(self.ranked_finalists), None)
        number = chosen["trial"] if chosen else self.manifest.get("chosen_trial", first and first.trial)
        found = (trial for trial in self.complete if trial.number == number)
        return next(found, self._best_within_guards or self.highest_scoring)

    @property
    def _best_within_guards(self) -> FrozenTrial | None:
        keeping = (
            set(self.measured.index[self.measured["keeps_guards"] == 1]) if "keeps_guards" in self.measured else ()
        )
        within = [trial for trial in self.complete if trial.number in keeping]
        return max(within, key=lambda trial: (trial.value, -trial.number), default=None)

    @property
    def highest_scoring(self) -> FrozenTrial | None:
        """The complete trial with the highest single value on D_val, the earliest of equals."""
        return max(self.complete, key=lambda trial: (trial.value, -trial.number), default=None)

    def searched_value(self, entry: str, number: int) -> float | None:
        """Return the single value on D_val of a confirmed entry's trial in its search; None where it is not known."""
        if entry.endswith(TUNED_SUFFIX):
            of_baseline = self.baselines[self.baselines["baseline"] == entry.removesuffix(TUNED_SUFFIX)]
            found = of_baseline.loc[of_baseline["number"] == number, "val_balanced_accuracy_last"]
            return float(found.iloc[0]) if len(found) else None
        return next((trial.value for trial in self.complete if trial.number == number), None)

    @property
    def ranked_finalists(self) -> tuple["FinalistResult", ...]:
        """The finalists that have a run with every fresh seed, best mean first."""
        found = [
            FinalistResult(
                int(runs["trial"].iloc[0]),
                spread(runs["val_balanced_accuracy"]),
                float(runs["search_val_balanced_accuracy"].iloc[0]),
            )
            for _, runs in self.finalists.groupby("trial")
        ]
        most = max((finalist.fresh.n for finalist in found), default=0)
        whole = [finalist for finalist in found if finalist.fresh.n == most]
        return tuple(sorted(whole, key=lambda finalist: (-finalist.fresh.mean, finalist.trial)))

    @property
    def running(self) -> bool:
        """Whether study.json says that a driver still works on this folder."""
        return bool(self.manifest["status"] == "running")

    @property
    def groups(self) -> dict[str, tuple[int, ...]]:
        """Group name -> class ids; a group may be empty."""
        return {name: tuple(ids) for name, ids in self.manifest["groups"].items()}
