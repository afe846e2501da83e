"""Which trials of another tool are evidence: the whole points of the space with a value; all others have a reason."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces import SearchSpace
from study.planning.points.foreign_trials import ForeignStudy, ForeignTrial
from study.planning.points.ingestion import VALUE_KINDS, ingest
from trainables.cckd.errors import UsageError

POINT = {"tau": 1.0, "lr": 0.1, "depth": 3, "switch": False}


def _source(*trials: Any, direction: str | None = None) -> ForeignStudy:
    """Trials as (changes of POINT, value) or (changes, value, state); a change to None leaves a knob out."""
    found = []
    for number, (changes, value, *state) in enumerate(trials):
        fields = {name: one for name, one in {**POINT, **changes}.items() if one is not None}
        found.append(ForeignTrial(number, *(state or ["COMPLETE"]), fields, value))
    return ForeignStudy("old.db", "0" * 64, "tune", direction, tuple(found))


def test_what_fits_is_evidence_and_all_else_has_its_reason(space: SearchSpace) -> None:
    source = _source(
        ({}, 0.5),
        ({"tau": 2.0}, 0.5),
        ({"tau": 7}, 0.5),
        ({"lr": None}, 0.5),
        ({}, None, "FAIL"),
        ({}, 0.5, "PRUNED"),
        ({}, 71.5),
        ({}, "nan"),
        ({"switch": True, "inner": "2"}, "0.7"),
        ({"switch": True}, 0.5),
        ({"inner": 3.0, "note": "x", "dpth": 1}, 0.25),
    )
    found = ingest(source, space, {}, "accuracy")
    assert [(one.number, one.params, one.value) for one in found.evidence] == [
        (0, POINT, 0.5),
        (8, POINT | {"switch": True, "inner": 2.0}, 0.7),
        (10, POINT, 0.25),
    ]
    assert found.reasons == {
        "tau must be a number in [0.5, 1.5]": [1, 2],
        "lr is missing; it must be a number in [0.02, 0.8], log scale": [3],
        "its state is FAIL, and only a complete trial is evidence": [4],
        "its state is PRUNED, and only a complete trial is evidence": [5],
        "its value must be from 0 to 1 (--value-is accuracy)": [6],
        "its value must be a number": [7],
        "inner is missing; it must be a number in [0.1, 10.0], log scale": [9],
    }
    assert dict(found.left_out)[2] == "tau must be a number in [0.5, 1.5]; got 7"
    assert found.ignored == {
        "note, which is no knob of the space": 1,
        "dpth, which is no knob of the space; --rename dpth=depth if it is depth": 1,
        "inner where switch is False": 1,
    }
    assert {one.number for one in found.evidence} | {number for number, _ in found.left_out} == {*range(11)}


@given(accuracy=st.floats(0, 1), kind=st.sampled_from(sorted(VALUE_KINDS)))
def test_a_value_becomes_the_accuracy_that_it_stands_for(accuracy: float, kind: str) -> None:
    fraction = accuracy if kind.startswith("accuracy") else 1 - accuracy
    given_as = 100 * fraction if kind.endswith("percent") else fraction
    space = _toy()
    (one,) = ingest(_source(({}, given_as)), space, {}, kind).evidence
    assert one.value == pytest.approx(accuracy, abs=1e-12)
    assert one.val is None


def _toy() -> SearchSpace:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    from search_spaces import Knob

    return SearchSpace(
        name="toy",
        purpose="?",
        method="la",
        tunable=(
            Knob("tau", FloatDistribution(0.5, 1.5), "1", "toy", 1.0),
            Knob("lr", FloatDistribution(0.02, 0.8), "1", "toy", 0.2),
            Knob("depth", IntDistribution(1, 4), "1", "toy", 2),
            Knob("switch", CategoricalDistribution((False, True)), "1", "toy", False),
        ),
        default_trials=8,
    )


@pytest.mark.parametrize(
    ("direction", "kind", "fitting"),
    [("minimize", "accuracy", "error, error_percent"), ("maximize", "error", "accuracy, accuracy_percent")],
)
def test_the_direction_of_a_source_must_be_that_of_its_values(space, direction, kind, fitting) -> None:
    with pytest.raises(UsageError) as caught:
        ingest(_source(({}, 0.5), direction=direction), space, {}, kind)
    said = f"--value-is must be one of {fitting}, for old.db, study 'tune' is to {direction}; got {kind!r}"
    assert [*caught.value.faults] == [said]
    other = fitting.partition(",")[0]
    assert ingest(_source(({}, 0.5), direction=direction), space, {}, other).evidence


def test_a_knob_that_the_source_does_not_have_is_set_for_all_its_trials(space: SearchSpace) -> None:
    source = _source(({"lr": None, "switch": True}, 0.5), ({"lr": None}, 0.5))
    found = ingest(source, space, {"lr": "0.3", "inner": "2"}, "accuracy")
    assert [one.params["lr"] for one in found.evidence] == [0.3, 0.3]
    assert [one.params.get("inner") for one in found.evidence] == [2.0, None]
    assert found.ignored == {}


@pytest.mark.parametrize(
    ("fixed", "fault"),
    [
        ({"lr": "0.3"}, "--set lr: old.db, study 'tune' has lr itself; drop --set"),
        ({"inner": "99"}, "--set inner: it must be a number in [0.1, 10.0], log scale; got '99'"),
        ({"colour": "1"}, "--set colour: space toy searches tau, lr, depth, switch, inner; got 'colour'"),
    ],
)
def test_a_set_knob_is_judged_as_the_others_are(space: SearchSpace, fixed: dict[str, str], fault: str) -> None:
    with pytest.raises(UsageError) as caught:
        ingest(_source(({}, 0.5)), space, fixed, "accuracy")
    assert [*caught.value.faults] == [fault]
