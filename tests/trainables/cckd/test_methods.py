"""The rows of the knobs agree with each other, and their rules are told in words."""

import pytest

from trainables.cckd.config import TrialConfig, reference_of
from trainables.cckd.losses.terms import TERMS
from trainables.cckd.methods import KNOBS, LADDER, METHODS, Knobs, knob_fault, used_knobs


@pytest.mark.parametrize("name", KNOBS)
def test_reference_and_inert_value_are_legal(name: str) -> None:
    assert knob_fault(name, KNOBS[name]) is None
    assert knob_fault(name, Knobs.model_fields[name].default) is None
    assert reference_of(name) == KNOBS[name]


def test_a_weight_is_inert_at_0_and_other_knobs_change_nothing_without_it() -> None:
    weights = {knob for term in TERMS for knob in term.weighed_by}
    inert = {name for name, field in Knobs.model_fields.items() if field.default != KNOBS[name]}
    # The supervised loss is on unless a method replaces it or weighs it anew.
    assert inert == weights - {"sup_weight"} | {"tau", "mix_ratio", "cosine_scale"}
    assert {Knobs.model_fields[name].default for name in inert} == {0.0}
    assert Knobs.model_fields["sup_weight"].default == 1.0


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("tau", -0.1, "tau must be a finite number >= 0 (strength of logit adjustment); got -0.1"),
        ("temperature", 0, "temperature must be a finite number > 0; got 0"),
        ("temperature", True, "temperature must be a finite number > 0; got True"),
        ("estimator", "mean", "estimator must be 'batch', 'batch_mass', 'prior' or 'prior_uniform'; got 'mean'"),
        ("use_kd", 1, "use_kd must be true or false; got 1"),
        ("mix_ratio", 1.0, "mix_ratio must be in [0, 1): the share of mixed samples in a step; got 1.0"),
        ("kd_weight", float("nan"), "kd_weight must be a finite number >= 0; got nan"),
    ],
)
def test_a_fault_names_the_rule_and_the_value(name: str, value: object, fault: str) -> None:
    assert knob_fault(name, value) == fault


def test_every_knob_belongs_to_a_rung_and_higher_rungs_keep_the_lower_ones() -> None:
    assert {knob for knobs in METHODS.values() for knob in knobs} == set(KNOBS)
    for lower, higher in (
        ("ce", "la"),
        ("la", "la_mix"),
        ("la", "kd"),
        ("la_mix", "kd_mix"),
        ("kd", "kd_mix"),
        ("la", "cckd"),
        ("cckd", "acckd_no_fi"),
        ("acckd_no_fi", "acckd"),
    ):
        assert METHODS[lower].items() <= METHODS[higher].items()


def test_cckd_prior_is_cckd_with_another_estimator() -> None:
    assert METHODS["cckd_prior"] == {**METHODS["cckd"], "estimator": "prior"}


def test_the_ladder_is_some_of_the_methods_in_their_order() -> None:
    assert [method for method in METHODS if method in LADDER] == list(LADDER)


@pytest.mark.parametrize("method", METHODS)
def test_the_reference_configuration_has_exactly_the_methods_knobs(method: str) -> None:
    config = TrialConfig.build({"method": method})
    assert config.knobs == METHODS[method]
    assert TrialConfig.build(config.flat()) == config


def test_kd_weight_joins_where_use_kd_is_true_and_has_to_be_given() -> None:
    assert used_knobs("acckd", use_kd=True)[-1] == "kd_weight"
    assert "kd_weight" not in used_knobs("acckd", use_kd=False)
    with pytest.raises(ValueError, match="kd_weight must be given when use_kd is true"):
        TrialConfig.build({"method": "acckd", "use_kd": True})
