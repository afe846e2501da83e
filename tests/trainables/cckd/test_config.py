"""A flat configuration that holds a knob without effect is refused; the filled knobs take no part."""

from typing import Any

import pytest
from pydantic import BaseModel

from trainables.cckd.config import TrialConfig
from trainables.cckd.errors import ConfigError
from trainables.cckd.losses.inert_knobs import Inert
from trainables.cckd.methods import RESERVED


@pytest.mark.parametrize(
    ("flat", "faults"),
    [
        (
            {"method": "acckd", "mix_ratio": 0.0, "mix_alpha": 0.5},
            [
                "mix_alpha has no effect, because mix_ratio is 0 (there is no D_mix); "
                "leave mix_alpha out or change mix_ratio"
            ],
        ),
        (
            {"method": "la_mix", "mix_weight": 0.0, "mix_op": "mixup"},
            ["mix_op has no effect, because mix_weight is 0; leave mix_op out or change mix_weight"],
        ),
        (
            {"method": "cckd_prior", "cckd_weight": 0.0, "temperature": 3.0},
            [
                "temperature has no effect, because use_kd is false and cckd_weight is 0; "
                "leave temperature out or change use_kd or cckd_weight"
            ],
        ),
        (
            {"method": "acckd", "mix_ratio": 0.0, "mix_weight": 1.0, "mix_targets": "forward"},
            [
                f"{name} has no effect, because mix_ratio is 0 (there is no D_mix); "
                f"leave {name} out or change mix_ratio"
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
