"""The laws of a search space: it refuses contradictions, suggests what it declares, and survives JSON."""

import json
import pickle

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from search_spaces.faults import contains
from search_spaces.knob import Condition, Knob, SpaceError
from search_spaces.registry import get_space, list_spaces
from search_spaces.space import SearchSpace


def _knob(name: str, distribution=None, reference=0.5) -> Knob:
    return Knob(name, distribution or FloatDistribution(0.0, 1.0), "1", "because", reference)


def _space(*tunable: Knob, **changes) -> SearchSpace:
    parts = {"name": "toy", "purpose": "?", "method": "la", "tunable": tunable, "default_trials": 4}
    return SearchSpace(**(parts | changes))


SWITCH = _knob("switch", CategoricalDistribution((False, True)), False)
CONDITIONAL = _space(SWITCH, _knob("inner"), conditions=(Condition("inner", "switch", (True,)),))


@pytest.mark.parametrize(
    ("tunable", "changes", "words"),
    [
        ((_knob("a", reference=2.0),), {}, "reference value of knob 'a'"),
        ((_knob("a", IntDistribution(1, 9), 1.0),), {}, "be of its type"),
        ((_knob("a", CategoricalDistribution((1, 2)), True),), {}, "be of its type"),
        ((_knob("a", FloatDistribution(0.0, 1.0, step=0.25), 0.3),), {}, "reference value of knob 'a'"),
        ((_knob("a", CategoricalDistribution((1, 1.0, 2)), 1),), {}, "choices of knob 'a' must differ in value"),
        ((_knob("a", CategoricalDistribution((0, False)), 0),), {}, "choices of knob 'a' must differ in value"),
        ((_knob("a"), _knob("a")), {}, "searched 2 times"),
        ((_knob("a"),), {"fixed": {"a": 0.1}}, "both searched and fixed"),
        ((_knob("a"),), {"fixed": {"method": "kd"}}, "not among the fixed values"),
        ((_knob("a"),), {"conditions": (Condition("a", "b", (1,)),)}, "'b', which is not searched"),
        ((_knob("a"), SWITCH), {"conditions": (Condition("a", "switch", (True,)),)}, "must stand before"),
        ((SWITCH,), {"conditions": (Condition("switch", "switch", (True,)),)}, "must stand before"),
        ((SWITCH, _knob("a")), {"conditions": (Condition("a", "switch", ("on",)),)}, "which it never is"),
        ((SWITCH, _knob("a")), {"conditions": (Condition("a", "switch", ()),)}, "could never hold"),
        ((_knob("a", CategoricalDistribution((None, "x")), "x"),), {}, "must be numbers, strings"),
        ((Knob("a", FloatDistribution(0, 1), "", "", 0.5),), {}, "needs a unit and a reason"),
        ((), {}, "at least one knob"),
        ((_knob("a"),), {"name": "a b"}, "a name is 1 to 64"),
        ((_knob("a"),), {"default_trials": 0}, "default_trials must be at least 1"),
    ],
)
def test_a_space_that_contradicts_itself_is_refused_with_the_rule(tunable, changes, words) -> None:
    with pytest.raises(SpaceError, match=words):
        _space(*tunable, **changes)


def test_all_faults_are_named_at_once_and_survive_pickling() -> None:
    with pytest.raises(SpaceError) as caught:
        _space(_knob("a", reference=2.0), _knob("b", reference=3.0), default_trials=0)
    assert len(caught.value.faults) == 3
    assert pickle.loads(pickle.dumps(caught.value)).faults == caught.value.faults


def test_an_inactive_knob_is_absent_from_reference_suggestion_and_configuration() -> None:
    assert CONDITIONAL.reference_point() == {"switch": False}
    off, on = optuna.trial.FixedTrial({"switch": False}), optuna.trial.FixedTrial({"switch": True, "inner": 0.2})
    assert CONDITIONAL.suggest(off) == {"switch": False}
    assert CONDITIONAL.config(CONDITIONAL.suggest(on)) == {"method": "la", "switch": True, "inner": 0.2}


def test_a_knob_below_an_inactive_knob_is_inactive_too() -> None:
    space = _space(
        SWITCH,
        _knob("middle", CategoricalDistribution((False, True)), True),
        _knob("leaf"),
        conditions=(Condition("middle", "switch", (True,)), Condition("leaf", "middle", (True,))),
    )
    assert space.reference_point() == {"switch": False}


def test_the_fixed_values_do_not_follow_the_callers_mapping() -> None:
    fixed = {"epochs": 3}
    space = _space(_knob("a"), fixed=fixed)
    fixed["epochs"] = 9
    assert space.config({"a": 0.5}) == {"method": "la", "epochs": 3, "a": 0.5}


@pytest.mark.parametrize("space", [*list_spaces(), CONDITIONAL], ids=lambda space: space.name)
def test_a_space_survives_json(space: SearchSpace) -> None:
    assert SearchSpace.from_json(json.loads(json.dumps(space.to_json()))) == space


def test_an_unknown_space_is_refused_with_the_names_of_all() -> None:
    with pytest.raises(SpaceError, match=r"acckd_core.*acckd_no_fi.*cbd; got 'nope'"):
        get_space("nope")


DISTRIBUTIONS = st.one_of(
    st.tuples(st.floats(1e-3, 10), st.floats(0, 10)).map(lambda t: FloatDistribution(t[0], t[0] + t[1], log=True)),
    st.tuples(st.integers(1, 20), st.integers(0, 20), st.integers(1, 3)).map(
        lambda t: IntDistribution(t[0], t[0] + t[1] * t[2], step=t[2])
    ),
    st.lists(st.one_of(st.booleans(), st.integers(2, 9), st.text(max_size=3)), min_size=1, unique=True).map(
        CategoricalDistribution
    ),
)


@given(DISTRIBUTIONS, st.integers(0, 2**32 - 1))
def test_every_value_optuna_draws_is_contained(distribution, seed: int) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
    value = study.ask({"x": distribution}).params["x"]
    assert contains(distribution, value)
