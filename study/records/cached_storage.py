"""A search's trials in memory, so that no question about them reads the database.

Every write goes to study.db first and to memory second. Only a new trial is first filled in memory and then written as
a whole. The copy in memory can be dropped at any moment and read again from study.db. There is one writer, so the copy
never becomes stale.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from optuna.storages import InMemoryStorage, RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from study.schema import KIND, STUDY_NAME
from study.strategy.optuna_private import study_id, trial_id


def _written_through(name: str) -> Any:
    """Return the method `name` of a storage: it changes a trial in study.db first and in memory second.

    A new trial changes in memory alone: `write_new` will write all of it.
    """

    def method(self: "CachedStorage", trial_id: int, *values: Any, **named: Any) -> Any:
        if trial_id < len(self._stored_trial_ids):
            getattr(self._backend, name)(self._stored_trial_ids[trial_id], *values, **named)
        return getattr(InMemoryStorage, name)(self, trial_id, *values, **named)

    return method


class CachedStorage(InMemoryStorage):
    """An in-memory Optuna storage of one search, which writes every change through to study.db.

    Here the trial's ID equals its number. A trial that another program has added to the search is ignored: it lacks
    KIND, which each of ours has from its beginning. The numbers of ours count on without it.

    Args:
        backend: study.db.
        search: name of the search.
    """

    def __init__(self, backend: RDBStorage, search: str = STUDY_NAME) -> None:
        self._backend, self._search = backend, search
        self.reload()

    def reload(self) -> None:
        """Drop the copy and read it again."""
        super().__init__()
        (stored,) = (study for study in self._backend.get_all_studies() if study.study_name == self._search)
        self._stored_id = study_id(stored)
        own_id = super().create_new_study(stored.directions, stored.study_name)
        for key, value in stored.user_attrs.items():
            super().set_study_user_attr(own_id, key, value)
        for key, value in stored.system_attrs.items():
            super().set_study_system_attr(own_id, key, value)
        self._stored_trial_ids: list[int] = []
        for trial in self._backend.get_all_trials(self._stored_id, deepcopy=False):
            if KIND not in trial.user_attrs:
                continue
            self._stored_trial_ids.append(trial_id(trial))
            super().create_new_trial(own_id, trial)
        self._n_trials = len(self._stored_trial_ids)

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        """Refuse: searches are made in study.db, and this storage holds one of them."""
        raise NotImplementedError("a cached storage holds one search")

    def delete_study(self, study_id: int) -> None:
        """Refuse: a search is never deleted."""
        raise NotImplementedError("a search is never deleted")

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        """Write to study.db and memory."""
        self._backend.set_study_user_attr(self._stored_id, key, value)
        super().set_study_user_attr(study_id, key, value)

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        """Write to study.db and memory."""
        self._backend.set_study_system_attr(self._stored_id, key, value)
        super().set_study_system_attr(study_id, key, value)

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Begin a trial in memory; `write_new` writes it to study.db."""
        trial_id = super().create_new_trial(study_id, template_trial)
        self._n_trials = trial_id + 1
        return trial_id

    def stored_ids(self, numbers: Iterable[int]) -> list[int]:
        """Return the IDs in study.db of trials that are written."""
        return [self._stored_trial_ids[number] for number in numbers]

    def write_new(self) -> None:
        """Write the new trials to study.db as they are now."""
        for number in range(len(self._stored_trial_ids), self._n_trials):
            self._stored_trial_ids.append(self._backend.create_new_trial(self._stored_id, self.get_trial(number)))

    set_trial_param = _written_through("set_trial_param")
    set_trial_state_values = _written_through("set_trial_state_values")
    set_trial_intermediate_value = _written_through("set_trial_intermediate_value")
    set_trial_user_attr = _written_through("set_trial_user_attr")
    set_trial_system_attr = _written_through("set_trial_system_attr")
