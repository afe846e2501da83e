"""The named spaces agree with the methods they search."""

import optuna
import pytest

from search_spaces.registry import get_space, list_spaces
from search_spaces.space import SearchSpace
from trainables.cckd.config import TrialConfig
from trainables.cckd.methods import METHODS

SPACES = list_spaces()


def test_names_are_unique_and_every_rung_has_a_space() -> None:
    names = [space.name for space in SPACES]
    assert len(set(names)) == len(names)
    assert {space.method for space in SPACES} == set(METHODS)


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)
def test_the_reference_point_and_random_points_are_valid_configurations(space: SearchSpace) -> None:
    reference = TrialConfig.build(space.config(space.reference_point()))
    assert reference == TrialConfig.build({"method": space.method})
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    for _ in range(20):
        params = space.suggest(study.ask())
        config = TrialConfig.build(space.config(params)).flat()
        assert {name: config[name] for name in params} == params


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)
def test_both_ends_of_every_range_are_legal(space: SearchSpace) -> None:
    for knob in space.tunable:
        ends = getattr(knob.distribution, "choices", None) or (knob.distribution.low, knob.distribution.high)
        for end in ends:
            params = space.reference_point() | {knob.name: end}
            if knob.name == "kd_weight" and "use_kd" in space.distributions:
                params["use_kd"] = True
            if params.get("use_kd"):
                params.setdefault("kd_weight", 1.0)
            TrialConfig.build(space.config(params))


def test_budgets_are_as_documented() -> None:
    budgets = {space.name: space.default_trials for space in SPACES}
    assert budgets == {"acckd_full": 50, "acckd_full_lr": 50, "acckd_core": 40, "acckd_smoke": 8} | dict.fromkeys(
        METHODS.keys() - {"acckd"}, 24
    )


def test_the_full_space_searches_every_knob_of_the_method() -> None:
    assert set(get_space("acckd_full").distributions) == {*METHODS["acckd"], "kd_weight"} - {
        "mix_targets",
        "mix_statistics",
    }
    assert get_space("acckd_full_lr").distributions.keys() - get_space("acckd_full").distributions.keys() == {"lr"}
    core = [knob.name for knob in get_space("acckd_core").tunable]
    assert core == ["temperature", "cckd_weight", "mix_ratio", "feature_weight"]
