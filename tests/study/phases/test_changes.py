"""Which changes of a configuration there are, and what each of them trains."""

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from search_spaces.acckd import ACCKD_CORE, ACCKD_FULL
from search_spaces.knob import Condition, Knob
from search_spaces.space import SearchSpace
from study.phases.changes import changed_knobs, put_back, without_parts
from trainables.cckd.config import TrialConfig
from trainables.cckd.losses.terms import terms_on
from trainables.cckd.methods import KNOBS, METHODS, PARTS, parts_of

LR = {"lr": 0.1}


def _terms(config: dict) -> set[str]:
    return {term.name for term in terms_on(TrialConfig.build(config))}


def test_only_values_that_differ_from_the_reference_are_changed_knobs() -> None:
    params = ACCKD_CORE.reference_point() | {"temperature": 3.5, "mix_ratio": 0.2}
    assert changed_knobs(ACCKD_CORE, ACCKD_CORE.reference_point()) == ()
    assert changed_knobs(ACCKD_CORE, params) == ("temperature", "mix_ratio")


def test_one_knob_is_put_back_and_nothing_else() -> None:
    params = ACCKD_CORE.reference_point() | {"temperature": 3.5, "mix_ratio": 0.2}
    change = put_back(ACCKD_CORE, params, LR, "temperature")
    assert (change.kind, change.name, change.value) == ("knob", "temperature", 3.5)
    assert change.reference == KNOBS["temperature"]
    assert change.config == {**ACCKD_CORE.config(params), **LR, "temperature": change.reference}


def test_a_switch_that_is_put_back_takes_its_knob_along_and_the_knob_alone_leaves_the_switch() -> None:
    params = ACCKD_FULL.reference_point() | {"use_kd": True, "kd_weight": 0.3}
    assert changed_knobs(ACCKD_FULL, params) == ("use_kd", "kd_weight")
    switched = put_back(ACCKD_FULL, params, {}, "use_kd")
    assert (switched.value, switched.reference) == (True, False)
    assert "kd_weight" not in switched.config
    weight = put_back(ACCKD_FULL, params, {}, "kd_weight")
    assert (weight.config["use_kd"], weight.config["kd_weight"]) == (True, weight.reference)
    assert all(TrialConfig.build(change.config) for change in (switched, weight))


def test_a_knob_that_exists_only_after_the_change_has_its_reference_value() -> None:
    space = SearchSpace(
        name="switched",
        purpose="?",
        method="acckd",
        tunable=(
            Knob("use_kd", CategoricalDistribution((False, True)), "1", "switched on at first", True),
            Knob("kd_weight", FloatDistribution(0.1, 2.0), "1", "only then", 0.7),
        ),
        conditions=(Condition("kd_weight", "use_kd", (True,)),),
        default_trials=4,
    )
    assert changed_knobs(space, {"use_kd": False}) == ("use_kd",), "kd_weight has no value that could differ"
    assert put_back(space, {"use_kd": False}, {}, "use_kd").config["kd_weight"] == 0.7


def test_each_part_of_acckd_goes_alone() -> None:
    config = {**ACCKD_FULL.config(ACCKD_FULL.reference_point()), **LR}
    left = {change.name: _terms(change.config) for change in without_parts(config)}
    assert left == {
        "imitation": {"sup", "cckd", "sup_mix", "cckd_mix"},
        "mixing": {"sup", "cckd", "imitation"},
        "class_conditional": {"sup", "sup_mix", "imitation"},
    }
    for change in without_parts(config):
        assert (change.kind, change.value, change.reference) == ("part", None, None)
        assert change.config.items() >= {"method": "acckd", **LR}.items()
        assert TrialConfig.build(change.config).flat().items() >= change.config.items(), "every knob is read"


def test_acckd_without_imitation_is_the_rung_of_that_name() -> None:
    (change, *_) = without_parts({"method": "acckd", "tau": 1.5})
    rung = TrialConfig.build({"method": "acckd_no_fi", "tau": 1.5})
    assert terms_on(TrialConfig.build(change.config)) == terms_on(rung)


@pytest.mark.parametrize(
    ("config", "parts"),
    [
        ({"method": "cckd"}, ["class_conditional"]),
        ({"method": "la_mix"}, ["mixing"]),
        ({"method": "kd_mix"}, ["mixing"]),
        ({"method": "cbd"}, ["imitation"]),
        ({"method": "cbd", "sup_weight": 0.0}, []),  # nothing would be left to train
        ({"method": "la"}, []),
        ({"method": "acckd", "feature_weight": 0.0}, ["mixing", "class_conditional"]),
        ({"method": "acckd", "mix_ratio": 0.0}, ["imitation", "class_conditional"]),
        ({"method": "acckd", "cckd_weight": 0.0}, ["imitation", "mixing", "class_conditional"]),
        ({"method": "acckd", "cckd_weight": 0.0, "mix_ratio": 0.0}, ["imitation"]),
    ],
    ids=str,
)
def test_only_parts_that_the_configuration_has_are_taken_out(config: dict, parts: list[str]) -> None:
    changes = without_parts(TrialConfig.build(config).flat())
    assert [change.name for change in changes] == parts
    assert all(_terms(change.config) < _terms(config) for change in changes)


@pytest.mark.parametrize("method", METHODS)
def test_every_part_of_a_method_can_be_taken_out_of_its_reference_point(method: str) -> None:
    changes = without_parts(TrialConfig.build({"method": method}).flat())
    assert [change.name for change in changes] == [part.name for part in parts_of(method)]


def test_no_part_has_the_name_of_a_knob_and_an_own_method_has_none() -> None:
    assert not {part.name for part in PARTS} & KNOBS.keys()
    assert {knob for part in PARTS for knob in part.off} <= KNOBS.keys()
    assert parts_of("focal_kd") == ()
