"""Every private or version-bound name of Optuna that this project uses, tried with Optuna 5.0.

No other module names one; tests/test_private_names.py enforces that. Each entry says why it is needed and which test
shows when it is not needed any more.
"""

from collections.abc import Callable, Container, Iterable, Sequence
from copy import copy
from sqlite3 import Connection

from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.pruners import BasePruner, HyperbandPruner
from optuna.storages import RDBStorage
from optuna.storages._rdb.models import TrialParamModel
from optuna.study import Study
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.orm import Session

#: Where Optuna keeps a trial's constraints. There is no public way to set them on a copy of a trial. If Optuna renames
#: the key, `test_the_sampler_is_told_of_the_guard_and_reopening_changes_nothing` fails.
_CONSTRAINTS = "constraints"

#: Attributes of ours that the end of a trial leaves.
_OF_AN_END = ("cause", "duration_s", "failures", "last_error")

#: Returns the trials that a sampler sees.
Trials = Callable[[], Sequence[FrozenTrial]]


class SingleWriterStorage(RDBStorage):
    """Optuna's storage for a file with one writer and for searches whose space never changes.

    `_set_trial_param_without_commit`, `storages._rdb.models.TrialParamModel`. Here a knob of a trial is one inserted
    row. Optuna first checks that the trial is running and that other trials have the same distribution for this knob.
    These queries took a third of the driver's time per trial.
    Needless when `test_optunas_own_storage_reads_before_it_writes_a_knob` fails.
    """

    def _set_trial_param_without_commit(
        self,
        session: Session,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
        previous_distribution: BaseDistribution | None = None,
    ) -> None:
        session.add(
            TrialParamModel(
                trial_id=trial_id,
                param_name=param_name,
                param_value=param_value_internal,
                distribution_json=distribution_to_json(distribution),
            )
        )


class SubstituteStudy(Study):
    """A study whose trials are the ones that `trials` returns.

    `Study._storage`, `Study._get_trials`. Optuna's samplers read trials through the second; there is no public way to
    show them others. If Optuna renames one, `test_a_substitute_study_shows_a_sampler_its_trials` fails.

    Args:
        study: the search itself.
        trials: called whenever a sampler asks for trials.
    """

    def __init__(self, study: Study, trials: Trials) -> None:
        super().__init__(study.study_name, study._storage, sampler=study.sampler, pruner=study.pruner)
        self._substitutes = trials

    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        return [trial for trial in self._substitutes() if states is None or trial.state in states]


def constrained(trial: FrozenTrial, excesses: Sequence[float]) -> FrozenTrial:
    """Return a copy of `trial` with `excesses` as its constraints; a constraint is kept where it is at most 0."""
    other = copy(trial)
    other.system_attrs = {**trial.system_attrs, _CONSTRAINTS: list(excesses)}
    return other


def study_id(study: Study | FrozenStudy) -> int:
    """Return the study's ID in its storage: `_study_id`; ascending in the order of creation."""
    return study._study_id


def trial_id(trial: FrozenTrial) -> int:
    """Return the trial's ID in its storage: `_trial_id`. The public look-up is one query per trial."""
    return trial._trial_id


def reopen_trials(connection: Connection, trial_ids: Iterable[int]) -> None:
    """Make finished trials RUNNING again in study.db, without what their end has left.

    The tables `trials`, `trial_values` and `trial_user_attributes`, and the states' names. Optuna never changes a
    finished trial; its own retries are new trials with other numbers.
    If Optuna renames one, `test_failed_trials_run_again_under_their_own_numbers` fails.
    """
    marks = ", ".join("?" * len(_OF_AN_END))
    for trial in trial_ids:
        connection.execute("UPDATE trials SET state = 'RUNNING', datetime_complete = NULL WHERE trial_id = ?", (trial,))
        connection.execute("DELETE FROM trial_values WHERE trial_id = ?", (trial,))
        connection.execute(
            f"DELETE FROM trial_user_attributes WHERE trial_id = ? AND key IN ({marks})", (trial, *_OF_AN_END)
        )


def set_number(trial: FrozenTrial, number: int) -> None:
    """Give a number and an ID to a trial that no storage holds.

    `_trial_id`. Samplers sort trials by number and tell them apart by ID.
    Needless when `test_a_created_trial_has_no_number_of_its_own` fails.
    """
    trial.number = trial._trial_id = number


def value_at_rung(trial: FrozenTrial, rung: int) -> float | None:
    """Return what a pruner that halves has recorded of `trial` at its `rung`, from 0; None if it was not judged there.

    The key `completed_rung_<rung>`. If Optuna renames it, `test_the_verdict_is_what_the_pruner_compared` fails.
    """
    found: float | None = trial.system_attrs.get(f"completed_rung_{rung}")
    return found


def bracket_study(pruner: BasePruner, study: Study, trial: FrozenTrial) -> Study:
    """Return the trials of one bracket of Hyperband, the one of `trial`, as a study.

    `HyperbandPruner._get_bracket_id`, `_create_bracket_study`. If Optuna renames one,
    `test_the_verdict_is_what_the_pruner_compared` fails.
    """
    assert isinstance(pruner, HyperbandPruner), "the other pruners have no brackets"
    return pruner._create_bracket_study(study, pruner._get_bracket_id(study, trial))
