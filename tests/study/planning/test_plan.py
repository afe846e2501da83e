"""A plan survives study.json unchanged, and tells what all trials share from what only the searched method has."""

import json
from dataclasses import replace

import pytest

from study.planning.plan import StudyPlan


@pytest.fixture
def plan() -> StudyPlan:
    return StudyPlan(
        space="acckd_core",
        data="digits_lt:n_max=90,ir=20,imb_type=exp",
        data_root="/data",
        split=None,
        teacher="tf_efficientnet_lite0",
        teacher_form="linear_probe",
        teacher_size=None,
        teacher_views=8,
        student="resnet8_cifar",
        trials=12,
        epochs=40,
        sampler="sobol+tpe",
        n_sobol=6,
        pruner="median",
        finalists=4,
        finalist_seeds=2,
        confirm_top=2,
        confirm_seeds=3,
        seed=5,
        max_concurrent=1,
        fallback_from="fashion_mnist_lt:n_max=200",
        fallback_reason="no network",
        overrides={"lr": 0.1, "tau": 1.5, "schedule": "cosine", "use_kd": True},
    )


def test_a_plan_survives_json(plan: StudyPlan) -> None:
    assert StudyPlan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


def test_a_plan_from_before_there_were_cuts_has_the_studys_own(plan: StudyPlan) -> None:
    plain = plan.to_json()
    del plain["data_seeds"]
    assert StudyPlan.from_json(plain).data_seeds == 1


@pytest.mark.parametrize(("device", "precision"), [("cpu", "float32"), ("cuda", "bfloat16")])
def test_a_plan_from_before_there_was_a_choice_of_precision_has_that_of_its_device(
    plan: StudyPlan, device: str, precision: str
) -> None:
    plain = plan.to_json() | {"device": device}
    del plain["precision"]
    assert StudyPlan.from_json(plain).precision == precision


@pytest.mark.parametrize("change", [{"colour": "red"}, {"trials": None}])
def test_an_altered_plan_is_noticed(plan: StudyPlan, change) -> None:
    plain = plan.to_json() | change
    if change == {"trials": None}:
        del plain["trials"]
    with pytest.raises(TypeError):
        StudyPlan.from_json(plain)


def test_overrides_are_shared_where_they_are_training_settings_and_the_searched_methods_where_they_are_knobs(
    plan: StudyPlan,
) -> None:
    assert plan.training == {"student": "resnet8_cifar", "epochs": 40, "lr": 0.1, "schedule": "cosine"}
    assert plan.fixed_knobs == {"tau": 1.5, "use_kd": True}


def test_the_plan_counts_its_reruns(plan: StudyPlan) -> None:
    assert plan.n_selection_runs == (4 + 1) * 2
    assert replace(plan, data_seeds=4).n_confirm_runs == 4 * (6 + 2) * 3
    assert replace(plan, finalists=0).n_selection_runs == replace(plan, finalist_seeds=0).n_selection_runs == 0
    assert plan.n_confirm_runs == (6 + 2) * 3
