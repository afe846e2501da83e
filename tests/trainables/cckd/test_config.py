"""A flat configuration that holds a knob without effect is refused; the filled knobs take no part."""

import math
from dataclasses import astuple
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import BaseModel

from trainables.cckd.config import TrialConfig, legal_ends, mixed_per_step, step_shape, value_fault
from trainables.cckd.errors import ConfigError
from trainables.cckd.losses.inert_knobs import Inert
from trainables.cckd.methods import RESERVED


@pytest.mark.parametrize(
    ("flat", "faults"),
    [
        (
            {"method": "acckd", "mix_ratio": 0.0, "mix_alpha": 0.5},
            [
                "mix_alpha has no effect, because mix_ratio is 0 (there is no D_mix). "
                "Leave mix_alpha out, or change mix_ratio"
            ],
        ),
        (
            {"method": "la_mix", "mix_weight": 0.0, "mix_op": "mixup"},
            ["mix_op has no effect, because mix_weight is 0. Leave mix_op out, or change mix_weight"],
        ),
        (
            {"method": "cckd_prior", "cckd_weight": 0.0, "temperature": 3.0},
            [
                "temperature has no effect, because use_kd is false and cckd_weight is 0. "
                "Leave temperature out, or change use_kd or cckd_weight"
            ],
        ),
        (
            {"method": "acckd", "mix_ratio": 0.0, "mix_weight": 1.0, "mix_targets": "forward"},
            [
                f"{name} has no effect, because mix_ratio is 0 (there is no D_mix). "
                f"Leave {name} out, or change mix_ratio"
                for name in ("mix_weight", "mix_targets")
            ],
        ),
    ],
)
def test_a_knob_without_effect_is_refused_also_at_its_reference_value(flat: dict[str, Any], faults: list[str]) -> None:
    with pytest.raises(ConfigError) as refused:
        TrialConfig.build(flat)
    assert list(refused.value.faults) == faults


def test_what_switches_terms_off_is_not_without_effect() -> None:
    config = TrialConfig.build({"method": "acckd", "mix_ratio": 0.0, "mix_weight": 0.0, "cckd_mix_weight": 0.0})
    assert TrialConfig.build(config.flat()) == config


def test_filled_knobs_without_effect_are_absent_from_the_flat_configuration() -> None:
    config = TrialConfig.build({"method": "acckd", "mix_ratio": 0.0})
    assert config.mix_alpha == 0.5
    assert set(config.knobs) == {
        "tau",
        "temperature",
        "estimator",
        "cckd_weight",
        "use_kd",
        "mix_ratio",
        "feature_weight",
    }
    assert TrialConfig.build(config.flat()) == config


def test_other_faults_come_before_those_of_knobs_without_effect() -> None:
    flat = {"method": "acckd", "mix_ratio": 0.0, "mix_alpha": 0.5, "lr": -1.0}
    with pytest.raises(ConfigError, match="lr: ") as refused:
        TrialConfig.build(flat)
    assert len(refused.value.faults) == 1
    found = TrialConfig.inert_in(flat | {"lr": 0.1})
    assert found == {"mix_alpha": Inert("mix_ratio is 0 (there is no D_mix)", ("mix_ratio",))}


def test_the_names_that_no_knob_can_have_are_those_of_the_configuration() -> None:
    public = {name for name in vars(TrialConfig) if not name.startswith("_")}
    assert public - TrialConfig.model_fields.keys() - set(dir(BaseModel)) == set(RESERVED)


@pytest.mark.parametrize(("ratio", "expected"), [(0.0, 0), (0.2, 16), (0.5, 64), (0.8, 256)])
def test_the_mixed_share_of_a_step_is_the_ratio(ratio: float, expected: int) -> None:
    assert mixed_per_step(64, ratio) == expected


@given(st.integers(2, 512), st.floats(0, 0.9))
def test_the_mixed_share_is_the_ratio_up_to_half_a_sample(batch_size: int, ratio: float) -> None:
    wanted = batch_size * ratio / (1 - ratio)
    assume(ratio == 0 or wanted > 0.5)
    assert abs(mixed_per_step(batch_size, ratio) - wanted) <= 0.5


@pytest.mark.parametrize(("batch_size", "least"), [(64, 0.0078), (32, 0.0154), (7, 0.0667)])
def test_a_ratio_that_mixes_no_sample_is_refused_with_the_least_that_does(batch_size: int, least: float) -> None:
    flat = {"method": "la_mix", "batch_size": batch_size}
    assert TrialConfig.build({**flat, "mix_ratio": least}).n_mixed == 1
    with pytest.raises(ConfigError, match=rf"one mixed sample \({least:.4f} or more\); got {least - 2e-4:.4f}"):
        TrialConfig.build({**flat, "mix_ratio": round(least - 2e-4, 4)})
    assert TrialConfig.build({**flat, "mix_ratio": least}).without_mixing.n_mixed == 0


@pytest.mark.parametrize(
    ("flat", "expected"),
    [
        ({"method": "acckd"}, (64, 64, "separate")),
        ({"method": "acckd", "batch_size": 32, "mix_ratio": 0.2}, (32, 8, "separate")),
        ({"method": "la_mix", "mix_statistics": "joint"}, (64, 64, "joint")),
        ({"method": "acckd", "mix_ratio": 0.0}, (64, 0, "separate")),
        ({"method": "kd"}, (64, 0, "separate")),
    ],
)
def test_a_steps_shape_has_both_sets_and_their_statistics(flat: dict[str, Any], expected: tuple[int, int, str]) -> None:
    found = step_shape(TrialConfig.build({**flat, "student": "resnet20_cifar"}), 7, (3, 32, 32))
    assert astuple(found) == ("resnet20_cifar", 7, 3, 32, *expected)
    assert found.n_samples == sum(expected[:2])


@pytest.mark.parametrize(
    ("name", "ends"),
    [
        ("mix_balance", (0.0, 1.0)),
        ("mix_until", (-math.inf, 1.0)),  # above 0: no value is the least
        ("tau", (0.0, math.inf)),
        ("batch_size", (2, math.inf)),
        ("mix_op", (-math.inf, math.inf)),
        ("a_knob_of_another_program", (-math.inf, math.inf)),
    ],
)
def test_the_legal_ends_are_those_of_the_configuration(name: str, ends: tuple[float, float]) -> None:
    assert legal_ends(name) == ends


@pytest.mark.parametrize("flat", [{}, {"use_kd": False}, {"use_kd": False, "tau": 1.0}])
def test_a_kd_weight_needs_its_switch_not_another_method(flat: dict[str, Any]) -> None:
    for method in ("cckd", "acckd"):
        with pytest.raises(ConfigError, match="kd_weight acts only where use_kd is true; give use_kd=true too"):
            TrialConfig.build({"method": method, "kd_weight": 1.0, **flat})
    with pytest.raises(ConfigError, match="method la does not use 'kd_weight'; its knobs are tau"):
        TrialConfig.build({"method": "la", "kd_weight": 1.0})


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("lr", "abc", "lr: Input should be a valid number; got 'abc'"),
        ("batch_size", 1.5, "batch_size: Input should be a valid integer; got 1.5"),
        ("tau", -1, "tau must be a finite number >= 0 (strength of logit adjustment); got -1"),
        ("margin", 0.5, "method acckd does not use 'margin'"),
        ("lrr", 0.5, "unknown key 'lrr'; method acckd takes tau"),
        ("kd_weight", 2.0, None),
        ("cckd_weight", 0.0, None),
        ("lr", 1, None),
        ("augment", "cutout", None),
    ],
)
def test_a_value_is_judged_by_itself(key: str, value: object, told: str | None) -> None:
    fault = value_fault("acckd", key, value)
    assert fault is None if told is None else (fault or "").startswith(told)
