"""Our uses of Optuna's private names: where a test fails that says so, Optuna no longer needs ours."""

import inspect
from typing import Any

import optuna
from optuna.distributions import FloatDistribution
from optuna.storages import RDBStorage
from optuna.trial import TrialState, create_trial
from sqlalchemy import event

from study.strategy.optuna_private import SingleWriterStorage, SubstituteStudy, set_number, study_id, trial_id

KNOB = FloatDistribution(0.0, 1.0)


def _created(value: float) -> optuna.trial.FrozenTrial:
    return create_trial(state=TrialState.COMPLETE, values=[value], params={"x": value}, distributions={"x": KNOB})


def test_optuna_still_writes_a_knob_by_the_name_that_we_replace() -> None:
    ours, theirs = (
        list(inspect.signature(storage._set_trial_param_without_commit).parameters)
        for storage in (SingleWriterStorage, RDBStorage)
    )
    assert ours == theirs


def _statements(storage: RDBStorage) -> list[str]:
    """The kinds of statements with which a knob of a second trial is written."""
    study = optuna.create_study(storage=storage)
    study.ask({"x": KNOB})
    trial = storage.create_new_trial(study_id(study))
    statements: list[str] = []

    def trace(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement.split()[0])

    event.listen(storage.engine, "before_cursor_execute", trace)
    storage.set_trial_param(trial, "x", 0.5, KNOB)
    return statements


def test_a_knob_is_one_inserted_row() -> None:
    assert _statements(SingleWriterStorage("sqlite://")) == ["INSERT"]


def test_optunas_own_storage_reads_before_it_writes_a_knob() -> None:
    """Where this fails, `SingleWriterStorage` has become needless."""
    assert "SELECT" in _statements(RDBStorage("sqlite://"))


def test_a_substitute_study_shows_a_sampler_its_trials() -> None:
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(n_startup_trials=1, multivariate=True, seed=0))
    substitute = SubstituteStudy(study, lambda: [_created(0.25), _created(0.75)])
    assert substitute.get_trials(states=(TrialState.FAIL,)) == []
    assert study.sampler.infer_relative_search_space(substitute, _created(0.5)) == {"x": KNOB}


def test_a_created_trial_has_no_number_of_its_own() -> None:
    """Where this fails, `set_number` has become needless."""
    one, other = _created(0.1), _created(0.2)
    assert one.number == other.number
    set_number(one, 10**6)
    assert (one.number, trial_id(one)) == (10**6, 10**6)


def test_ids_of_studies_ascend_in_the_order_of_creation() -> None:
    storage = RDBStorage("sqlite://")
    ids = [study_id(optuna.create_study(storage=storage, study_name=name)) for name in ("b", "a")]
    assert ids == sorted(ids)
