"""The space of an own method searches its own knobs, its weight, and the used knobs for which a range fits."""

from collections.abc import Mapping
from typing import Any

import pytest
from optuna.distributions import FloatDistribution

from search_spaces import SearchSpace, SpaceError, baselines, knobs, own
from trainables.cckd.methods import METHODS
from trainables.own_method import OwnKnob, OwnMethod

FOCUS = OwnKnob("focus", reference=1, low=0.5, high=2.0, text="Which samples count.", log=True)


def space_of(monkeypatch: pytest.MonkeyPatch, name: str = "mine", **uses: Any) -> SearchSpace:
    row: Mapping[str, Any] = {**uses, f"{name}_weight": 2.0, "focus": 1.0}
    for module in (own, baselines):
        monkeypatch.setattr(module, "METHODS", {**METHODS, name: row})
    return own.own_space(OwnMethod(name, "A loss.", print, knobs=(FOCUS,), uses=uses, weight=2))


def test_own_knobs_and_the_weight_are_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    space = space_of(monkeypatch)
    assert (space.name, space.method) == ("mine", "mine")
    assert space.distributions == {
        "mine_weight": FloatDistribution(0.2, 20.0, log=True),
        "focus": FloatDistribution(0.5, 2.0, log=True),
    }
    assert space.reference_point() == {"mine_weight": 2.0, "focus": 1.0}


def test_a_used_knob_has_the_first_range_that_holds_its_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    used = {"tau": 0.0, "feature_weight": 40.0, "beta": 0.999, "sup_weight": 0.0, "use_kd": False, "mix_ratio": 0.6}
    found = space_of(monkeypatch, **used).distributions
    assert list(found) == ["tau", "feature_weight", "beta", "mix_ratio", "mine_weight", "focus"]
    assert found["tau"] == knobs.TAU_FROM_0.distribution
    assert found["feature_weight"] == knobs.CBD_FEATURE_WEIGHT.distribution
    assert space_of(monkeypatch, tau=1.0).distributions["tau"] == knobs.TAU.distribution


@pytest.mark.parametrize("name", ["acckd_core", "acckd_smoke"])
def test_the_name_of_a_built_in_space_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SpaceError, match=f"own method: name must not be that of a built-in space; got '{name}'"):
        space_of(monkeypatch, name)
