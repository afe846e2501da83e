"""A knob that no term reads at the values of the others is named, with the reason."""

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from trainables.cckd.config import TrialConfig
from trainables.cckd.errors import ConfigError
from trainables.cckd.losses.inert_knobs import inert_knobs
from trainables.cckd.losses.terms import TERMS, terms_on
from trainables.cckd.methods import METHODS, Knobs, used_knobs

OFF = {"cckd_weight": 0.0, "mix_weight": 0.0, "cckd_mix_weight": 0.0, "feature_weight": 0.0}
HOW_TO_MIX = ("mix_alpha", "mix_op", "mix_balance", "mix_until", "mix_statistics")
NO_D_MIX = "mix_ratio is 0 (there is no D_mix)"


def _inert(method: str, **changes: Any) -> dict[str, str]:
    config = TrialConfig.build({"method": method, **changes})
    used = used_knobs(method, config.use_kd)
    return {name: inert.because for name, inert in inert_knobs(config, used, used).items()}


@pytest.mark.parametrize("method", METHODS)
def test_no_knob_of_a_reference_point_is_inert(method: str) -> None:
    assert _inert(method) == {}


@pytest.mark.parametrize(
    ("method", "changes", "expected"),
    [
        (
            "acckd",
            {"mix_ratio": 0.0},
            dict.fromkeys(["mix_weight", *HOW_TO_MIX, "mix_targets", "cckd_mix_weight"], NO_D_MIX),
        ),
        ("la_mix", {"mix_ratio": 0.0}, dict.fromkeys(["mix_weight", *HOW_TO_MIX], NO_D_MIX)),
        ("la_mix", {"mix_weight": 0.0}, dict.fromkeys(["mix_ratio", *HOW_TO_MIX], "mix_weight is 0")),
        ("kd", {"kd_weight": 0.0}, {"temperature": "kd_weight is 0"}),
        ("kd_mix", {"kd_mix_weight": 0.0}, {"mix_targets": "kd_mix_weight is 0"}),
        (
            "cckd",
            {"cckd_weight": 0.0},
            {"temperature": "use_kd is false and cckd_weight is 0", "estimator": "cckd_weight is 0"},
        ),
        (
            "cckd",
            {"cckd_weight": 0.0, "use_kd": True, "kd_weight": 0.0},
            {"temperature": "kd_weight is 0 and cckd_weight is 0", "estimator": "cckd_weight is 0"},
        ),
        ("vs", {"vs_weight": 0.0, "sup_weight": 1.0}, {"gamma": "vs_weight is 0"}),
        ("dive", {"sup_weight": 0.0}, {"tau": "sup_weight is 0"}),
        ("cbd", {"sup_weight": 0.0}, {}),
        (
            "acckd",
            {"feature_weight": 0.0, "cckd_mix_weight": 0.0},
            {"mix_targets": "cckd_mix_weight is 0 and feature_weight is 0"},
        ),
        (
            "acckd",
            {"cckd_weight": 0.0, "mix_ratio": 0.0},
            {
                "temperature": f"use_kd is false, cckd_weight is 0 and {NO_D_MIX}",
                "estimator": f"cckd_weight is 0 and {NO_D_MIX}",
                **dict.fromkeys(["mix_weight", *HOW_TO_MIX, "mix_targets", "cckd_mix_weight"], NO_D_MIX),
            },
        ),
    ],
)
def test_what_nothing_reads_is_named_with_the_reason(
    method: str, changes: dict[str, Any], expected: dict[str, str]
) -> None:
    assert _inert(method, **changes) == expected


def test_how_to_mix_is_inert_without_a_mixed_set_whatever_its_value() -> None:
    with pytest.raises(ConfigError, match="mix_balance has no effect, because mix_ratio is 0"):
        TrialConfig.build({"method": "la_mix", "mix_ratio": 0.0, "mix_balance": 0.0})


def test_imitation_alone_reads_the_mixed_set() -> None:
    assert set(_inert("acckd", **OFF | {"feature_weight": 1.0})) == {"temperature", "estimator"}
    assert set(_inert("acckd", **OFF)) == {
        "temperature",
        "estimator",
        "mix_ratio",
        *HOW_TO_MIX,
        "mix_targets",
    }


@given(
    method=st.sampled_from(list(METHODS)),
    off=st.sets(st.sampled_from(["mix_ratio", *dict.fromkeys(knob for term in TERMS for knob in term.weighed_by)])),
)
def test_a_knob_is_inert_exactly_where_no_term_that_is_on_reads_it(method: str, off: set[str]) -> None:
    zeros = {name: 0.0 for name in METHODS[method] if name in off}
    assume(terms_on(Knobs(**{**METHODS[method], **zeros})))
    config = TrialConfig.build({"method": method, **zeros})
    inert = _inert(method, **zeros)
    read = {knob for term in TERMS if term.weight(config) > 0 for knob in term.knobs}
    if config.mix_ratio == 0:
        read -= {*HOW_TO_MIX, "mix_targets"}
    assert set(inert) == set(METHODS[method]) - read - {"use_kd"} - {
        name for name in METHODS[method] if getattr(config, name) == 0 and name not in HOW_TO_MIX
    }
    assert all(inert.values())
    assert TrialConfig.build(config.flat()) == config
