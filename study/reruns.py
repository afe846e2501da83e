"""Configurations trained again on fresh seeds: the queue of the selection and of the confirmation.

The same seeds train every entry of a phase, so that differences are paired.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ray.tune.search import Searcher

from study.record_tables import RunKey
from trainables.cckd.methods import LADDER
from trainables.cckd.streams import derive_seed

#: Distance between the training seeds of neighbouring cuts; above all of the study's own, whatever its --seed.
_NEXT_CUT = 10**13


@dataclass(frozen=True)
class Rerun:
    """One training run from scratch.

    Attributes:
        entry: a rung of the ladder at its reference point, best1, best2, ..., or 'candidate' in the selection.
        seed: the training seed.
        trial: Optuna trial number of a searched configuration, None for a rung.
        config: flat trial configuration without the seed.
        export: whether this run's student is kept as the entry's model.
        data_seed: the cut of the long tail it trains on; 0 is the study's own.
    """

    entry: str
    seed: int
    trial: int | None
    config: dict[str, Any]
    export: bool
    data_seed: int = 0

    @property
    def name(self) -> str:
        """Names the run's checkpoints; holds the trial, since an extended study may have another best."""
        of_trial = "" if self.trial is None else f"-trial{self.trial}"
        of_cut = f"-cut{self.data_seed}" if self.data_seed else ""
        return f"{self.entry}{of_trial}-seed{self.seed}{of_cut}"

    @property
    def key(self) -> RunKey:
        """As `ConfirmRun.key` once it is filed."""
        return self.data_seed, self.entry, self.seed


def confirm_seeds(study_seed: int, n_seeds: int, data_seed: int = 0) -> tuple[int, ...]:
    """Training seeds of the confirmation on one cut; never a search trial's (those are 63-bit hashes).

    Small numbers on the study's own cut; cut r's begin with r, followed by 13 digits. Cuts share no seed: what a seed
    does to every cut alike would not show in the spread between cuts, and the interval over cuts would miss it.
    """
    return tuple(_NEXT_CUT * data_seed + 1000 * (study_seed + 1) + k for k in range(1, n_seeds + 1))


def selection_seeds(study_seed: int, n_seeds: int) -> tuple[int, ...]:
    """Training seeds of the selection, hashes like those of search trials and never one of theirs."""
    return tuple(derive_seed("selection", study_seed, k) for k in range(1, n_seeds + 1))


def selection_reruns(candidates: Sequence[tuple[int, dict[str, Any]]], seeds: Sequence[int]) -> list[Rerun]:
    """List every (candidate, seed), seed by seed; `candidates` as `best` of `confirm_reruns`."""
    return [Rerun("candidate", seed, number, config, export=False) for seed in seeds for number, config in candidates]


def confirm_reruns(
    best: Sequence[tuple[int, dict[str, Any]]], settings: dict[str, Any], seeds: Sequence[int], data_seed: int = 0
) -> list[Rerun]:
    """List every (entry, seed) of one cut, seed by seed so that an early stop leaves whole seeds.

    Args:
        best: (trial number, flat configuration) of the trials to confirm, best first.
        settings: training settings the ladder's rungs share with the study.
        seeds: as from `confirm_seeds`. A best entry exports the model of the study's own cut and first seed:
            choosing among them by their test results would be selection on test.
        data_seed: the cut.
    """
    rungs = [(rung, None, {"method": rung, **settings}) for rung in LADDER]
    found = [(f"best{rank}", number, config) for rank, (number, config) in enumerate(best, start=1)]
    return [
        Rerun(entry, seed, trial, config, trial is not None and (data_seed, seed) == (0, seeds[0]), data_seed)
        for seed in seeds
        for entry, trial, config in (*found, *rungs)
    ]


class RerunSearcher(Searcher):
    """Hands Ray the reruns one by one and passes each result on.

    Args:
        reruns: what is left to run.
        checkpoints: root of the shelf for the runs' checkpoints and exported students.
        on_done: called with (rerun, result) when a run has finished, and with (rerun, None) when Ray gave it up;
            a result whose `cause` is set is a run that could not go on.
    """

    def __init__(
        self,
        reruns: Sequence[Rerun],
        *,
        checkpoints: str,
        on_done: Callable[[Rerun, dict[str, Any] | None], None],
    ) -> None:
        super().__init__(metric=None, mode=None)
        self._waiting = list(reversed(reruns))
        self._running: dict[str, Rerun] = {}
        self._checkpoints, self._on_done = checkpoints, on_done

    def suggest(self, trial_id: str) -> dict[str, Any] | str:
        """Return the next rerun's Ray configuration, or FINISHED."""
        if not self._waiting:
            return Searcher.FINISHED
        rerun = self._running[trial_id] = self._waiting.pop()
        return {
            "number": rerun.name,
            "attempt": 1,
            "config": rerun.config | {"seed": rerun.seed},
            "checkpoints": self._checkpoints,
            "export": rerun.entry if rerun.export else None,
        }

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Pass the result on, once; without a result or an error Ray has only taken an unbegun run back."""
        rerun = self._running.pop(trial_id, None)
        if rerun is not None and (error or result is not None):
            self._on_done(rerun, None if error else result)

    def save(self, checkpoint_path: str) -> None:
        """Ray asks for this; what is done lies in study.db."""

    def restore(self, checkpoint_path: str) -> None:
        """Ray asks for this; what is done lies in study.db."""

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its searcher into tuner.pkl, which nothing ever reads back.
        return {}
