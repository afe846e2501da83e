"""A plan survives study.json unchanged, and tells what all trials share from what only the searched method has."""

import json
from dataclasses import replace

import pytest

from search_spaces.acckd import ACCKD_CORE, ACCKD_FULL, ACCKD_SMOKE
from search_spaces.baselines import LA
from study.planning.plan import StudyPlan
from trainables.cckd.methods import LADDER
from trainables.cckd.teacher.spec import TeacherSpec


@pytest.fixture
def plan() -> StudyPlan:
    return StudyPlan(
        space="acckd_core",
        data="digits_lt:n_max=90,ir=20,imb_type=exp",
        data_root="/data",
        split=None,
        teacher=TeacherSpec(form="ncm", size=64),
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
        device="cpu",
        precision="float32",
        gpus_per_trial=0.0,
        max_concurrent=1,
        fallback_from="fashion_mnist_lt:n_max=200",
        fallback_reason="no network",
        tuned_baselines=("la",),
        overrides={"lr": 0.1, "tau": 1.5, "schedule": "cosine", "use_kd": True},
    )


def test_a_plan_survives_json(plan: StudyPlan) -> None:
    assert StudyPlan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


def test_a_plan_from_before_there_was_a_choice_of_rungs_has_the_default_ladder(plan: StudyPlan) -> None:
    plain = plan.to_json()
    del plain["ladder"]
    assert StudyPlan.from_json(plain).ladder == LADDER


def test_a_plan_from_before_there_were_longer_runs_has_none(plan: StudyPlan) -> None:
    known = plan.to_json()
    del known["long_seeds"], known["epochs_factor"]
    assert StudyPlan.from_json(known).n_longer_runs == {}


def test_a_plan_from_before_there_was_an_ablation_has_none(plan: StudyPlan) -> None:
    known = plan.to_json()
    del known["ablation_seeds"], known["ablation_knobs"], known["ablation_on_test"]
    older = StudyPlan.from_json(known)
    assert older.most_ablation_runs(ACCKD_CORE) == 0
    assert older.closing_cost(ACCKD_CORE) == older.confirm_cost


def test_a_plan_from_before_there_was_an_image_store_goes_on_with_the_originals(plan: StudyPlan) -> None:
    plain = plan.to_json()
    assert plain["image_store"] is None
    del plain["image_store"]
    assert StudyPlan.from_json(plain).image_store == 0


def test_the_plan_counts_the_most_runs_of_the_ablation(plan: StudyPlan) -> None:
    alone = replace(plan, confirm_seeds=0)
    assert alone.most_ablation_runs(ACCKD_FULL) == 3 * (2 + 4 + 3)
    assert alone.most_ablation_runs(ACCKD_SMOKE) == 3 * (2 + 3 + 3), "a space of three knobs"
    assert alone.most_ablation_runs(LA) == 3 * (2 + 3), "a method without parts"
    more = replace(alone, ablation_seeds=5, ablation_knobs=("tau",))
    assert more.most_ablation_runs(ACCKD_FULL) == 5 * (2 + 4 + 1 + 3)
    assert more.closing_cost(ACCKD_FULL) == more.confirm_cost + 50


@pytest.mark.parametrize(("confirmed", "left"), [(2, 4), (6, 0), (12, 0)])
def test_runs_of_best1_that_the_confirmation_trains_are_no_more_work(plan, confirmed, left) -> None:
    shared = replace(plan, ablation_seeds=3, confirm_seeds=confirmed)
    assert shared.most_ablation_runs(ACCKD_FULL) == left + 3 * (4 + 3)


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


def test_a_plan_whose_precision_is_not_decided_stays_so(plan: StudyPlan) -> None:
    plain = plan.to_json() | {"precision": None}
    assert StudyPlan.from_json(plain).precision is None
    with pytest.raises(ValueError, match="precision"):
        StudyPlan.from_json(plain | {"precision": "auto"})


def test_a_plan_of_version_0_1_has_the_fields_of_its_teacher_beside_the_others(plan: StudyPlan) -> None:
    plain = plan.to_json()
    teacher = plain.pop("teacher")
    flat = {"teacher" if key == "name" else f"teacher_{key}": value for key, value in teacher.items()}
    assert StudyPlan.from_json(json.loads(json.dumps(plain | flat))) == plan


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"colour": "red"}, "colour: "),
        ({"trials": None}, "trials: Field required"),
        ({"trials": "4"}, "trials: .*got '4'"),
        ({"trials": 0}, "trials: .*greater than or equal to 1; got 0"),
        ({"device": "tpu"}, "device: "),
        ({"teacher": {"views": 0}}, "teacher.views: .*got 0"),
        ({"teacher": {"colour": 1}}, "teacher.colour: "),
        ({"overrides": []}, "overrides: "),
    ],
)
def test_an_altered_plan_is_noticed_and_the_key_is_named(plan: StudyPlan, change, told: str) -> None:
    plain = {key: value for key, value in (plan.to_json() | change).items() if value is not None or key != "trials"}
    with pytest.raises(ValueError, match=told):
        StudyPlan.from_json(plain)


def test_a_changed_plan_is_judged_too(plan: StudyPlan) -> None:
    with pytest.raises(ValueError, match="trials"):
        replace(plan, trials=0)


def test_overrides_are_shared_where_they_are_training_settings_and_the_searched_methods_where_they_are_knobs(
    plan: StudyPlan,
) -> None:
    assert plan.training == {"student": "resnet8_cifar", "epochs": 40, "lr": 0.1, "schedule": "cosine"}
    assert plan.fixed_knobs == {"tau": 1.5, "use_kd": True}


def test_the_plan_counts_its_reruns(plan: StudyPlan) -> None:
    assert plan.n_selection_runs == (4 + 1) * 2
    assert replace(plan, confirm_top=7).n_selection_runs == (7 + 1) * 2  # what is confirmed is trained again first
    assert replace(plan, data_seeds=4).n_confirm_runs == 4 * (6 + 2 + 1) * 3
    assert replace(plan, finalists=0).n_selection_runs == replace(plan, finalist_seeds=0).n_selection_runs == 0
    assert plan.n_confirm_runs == (6 + 2 + 1) * 3


@pytest.mark.parametrize(
    ("changes", "candidates", "selecting", "confirmed"),
    [
        ({"trials": 1}, 1, 1, 1),
        ({"trials": 1, "points": ({"tau": 1.0},), "sampler": "grid"}, 1, 1, 1),
        ({"trials": 10, "finalists": 100}, 10, 10, 2),
        ({"trials": 10, "finalists": 10}, 10, 10, 2),
        ({"trials": 10, "finalists": 9}, 9, 10, 2),
        ({"trials": 10, "finalists": 9, "sampler": "grid"}, 9, 9, 2),
        ({"trials": 10, "finalists": 9, "points": ({"tau": 1.0},)}, 9, 10, 2),
        ({"trials": 10, "finalists": 9, "warm_start": "/other"}, 9, 10, 2),
        ({"trials": 50, "confirm_top": 60}, 50, 50, 50),
        ({"trials": 50, "confirm_top": 60, "finalists": 0}, 0, 0, 50),
    ],
)
def test_no_run_of_a_trial_that_cannot_exist_is_counted(
    plan: StudyPlan, changes, candidates: int, selecting: int, confirmed: int
) -> None:
    small = replace(plan, **changes)
    assert (small.n_candidates, small.n_confirmed) == (candidates, confirmed)
    assert small.n_selection_runs == selecting * small.finalist_seeds
    assert small.n_confirm_runs == (len(small.ladder) + confirmed + 1) * small.confirm_seeds
    assert small.n_tuning_runs == small.trials + small.n_selection_runs
    assert small.planned_runs(ACCKD_CORE).get("selection", 0) == small.n_selection_runs


def test_the_reference_point_alone_has_no_knob_to_put_back(plan: StudyPlan) -> None:
    alone = replace(plan, trials=1, ablation_knobs=("temperature",))
    n_knobs = 4 + 1
    more = replace(alone, trials=2).most_ablation_runs(ACCKD_CORE) - alone.most_ablation_runs(ACCKD_CORE)
    assert more == n_knobs * plan.ablation_seeds
    without = replace(alone, sampler="grid")
    assert without.most_ablation_runs(ACCKD_CORE) == replace(without, trials=2).most_ablation_runs(ACCKD_CORE)


def test_the_plan_counts_the_runs_at_a_longer_training_and_what_they_cost(plan: StudyPlan) -> None:
    assert plan.n_longer_runs == {2: 3 * 4}, "best1, la, kd and la_tuned"
    assert replace(plan, epochs_factor=2).n_longer_runs == {2: 27}
    assert replace(plan, confirm_seeds=1).n_longer_runs == {2: 4}
    assert replace(plan, epochs_factor=3).n_longer_runs == {2: 3 * 4, 3: 27}
    assert replace(plan, epochs_factor=3).confirm_cost == 27 + 2 * 12 + 3 * 27
