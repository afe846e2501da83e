"""What a good command line becomes: a resolved plan, its space, its data and a folder that is not made yet."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from search_spaces import get_space
from study.planning.check import check
from study.planning.checked import Checked
from study.planning.cores import Cores
from study.planning.parser import build_parser
from study.schema import CautionReason
from trainables.cckd.config import TrialConfig, training_settings
from trainables.cckd.data.images.sets import DataUnavailableError
from trainables.cckd.data.registry import DATA_SETS
from trainables.cckd.errors import UsageError
from trainables.cckd.methods import LADDER
from trainables.cckd.precision import PRECISIONS


@pytest.fixture
def checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)

    def run(*argv: str) -> Checked:
        return check(build_parser().parse_args(["--space", "acckd_smoke", "--data", "digits_lt", *argv]))

    return run


def test_defaults_come_from_the_space_and_the_data_set(checked) -> None:
    plan = checked().plan
    assert (plan.trials, plan.epochs) == (get_space("acckd_smoke").default_trials, 120)
    assert plan.n_sobol == plan.trials - 1
    assert (plan.sampler, plan.pruner, plan.confirm_top, plan.confirm_seeds) == ("lhs", "none", 1, 6)
    assert (plan.device, plan.gpus_per_trial, plan.cpus_per_trial) == ("cpu", 0.0, 1.0)
    assert plan.fallback_from is None


def test_every_flag_reaches_the_plan(checked, tmp_path: Path) -> None:
    plan = checked(
        "--data-root", "root", "--split", "split_test", "--teacher-size", "64", "--teacher-views", "3",
        "--student", "resnet20_cifar", "--trials", "7", "--epochs", "9", "--sampler", "random", "--pruner", "none",
        "--confirm-top", "2", "--confirm-seeds", "4", "--seed", "11", "--device", "cpu", "--address", "auto",
        "--cpus-per-trial", "0.5", "--max-concurrent", "3", "--storage", "shared", "--verbose",
    ).plan  # fmt: skip
    assert (plan.data_root, plan.storage) == (str(tmp_path / "root"), str(tmp_path / "shared"))
    assert (plan.split, plan.teacher.size, plan.teacher.views, plan.student) == ("split_test", 64, 3, "resnet20_cifar")
    assert (plan.trials, plan.epochs, plan.sampler, plan.n_sobol, plan.pruner) == (7, 9, "random", 0, "none")
    assert (plan.confirm_top, plan.confirm_seeds, plan.seed) == (2, 4, 11)
    assert (plan.address, plan.cpus_per_trial, plan.max_concurrent, plan.verbose) == ("auto", 0.5, 3, True)


@pytest.mark.parametrize(
    ("flags", "sampler", "pruner", "n_spread"),
    [
        ((), "lhs", "none", 7),
        (("--trials", "1"), "lhs", "none", 0),
        (("--guard", "few=2"), "lhs+tpe", "median", 4),
        (("--pruner", "asha"), "lhs+tpe", "asha", 4),
        (("--pruner", "none"), "lhs", "none", 7),
        (("--objectives", "all,few"), "lhs+tpe", "none", 4),
        (("--sampler", "qmc"), "qmc", "median", 0),
    ],
)
def test_the_sampler_spreads_all_trials_unless_the_study_asks_for_one_that_learns(
    checked, flags: tuple[str, ...], sampler: str, pruner: str, n_spread: int
) -> None:
    plan = checked(*flags).plan
    assert (plan.sampler, plan.pruner, plan.n_sobol) == (sampler, pruner, n_spread)


@pytest.mark.parametrize("pruner", ["median", "hyperband"])
def test_a_pruner_is_refused_where_no_trial_may_be_stopped(checked, pruner: str) -> None:
    with pytest.raises(UsageError, match=f"--pruner must be none with --sampler lhs, .*; got '{pruner}'"):
        checked("--sampler", "lhs", "--pruner", pruner)


@pytest.mark.parametrize("address", ["local", "auto", "head:6379", "10.0.0.1:6379", "[fd00::1]:6379"])
def test_an_address_of_each_form_is_taken(checked, address: str) -> None:
    assert checked("--address", address).plan.address == address


def test_a_uri_for_storage_stays_one(checked) -> None:
    assert checked("--storage", "s3://bucket/studies/").plan.storage == "s3://bucket/studies"


def test_the_data_set_is_kept_with_every_option(checked) -> None:
    found = checked("--data", "digits_lt:ir=10")
    assert found.plan.data == "digits_lt:n_max=90,ir=10,imb_type=exp"
    assert found.data.counts[0] == 90
    assert found.data.counts[-1] == 9


def test_the_folder_is_named_after_space_data_and_time_and_not_made(checked, tmp_path: Path) -> None:
    folder = checked().folder
    assert folder.parent == tmp_path / "runs"
    space, data, day, time = folder.name.rsplit("-", 3)
    assert (space, data, len(day), len(time)) == ("acckd_smoke", "digits_lt", 8, 6)
    assert not folder.parent.exists()


def test_set_reads_numbers_truth_and_words(checked) -> None:
    plan = checked("--set", "lr=0.1", "--set", "batch_size=32", "--set", "mix_op=cutmix", "--set", "tau=1").plan
    assert plan.overrides == {"lr": 0.1, "batch_size": 32, "mix_op": "cutmix", "tau": 1}
    assert [type(value) for value in plan.overrides.values()] == [float, int, str, int]


def test_a_flag_outranks_the_space_and_the_space_outranks_the_recipe(checked, tmp_path: Path) -> None:
    space = tmp_path / "mine.yaml"
    space.write_text(
        "name: mine\npurpose: Which tau?\nmethod: la\ntrials: 4\nfixed: {batch_size: 16, momentum: 0.8, lr: 0.3}\n"
        "knobs:\n  tau: {range: [0.5, 1.5], unit: '1', reason: Half either way., reference: 1.0}\n"
    )
    found = checked("--space", str(space), "--recipe", "field", "--set", "lr=0.02", "--epochs", "3")
    training = found.plan.training
    assert (training["lr"], training["batch_size"], training["momentum"]) == (0.02, 16, 0.8)
    assert (training["epochs"], training["schedule"], found.plan.teacher.views) == (3, "one_cycle", 30)
    origins = {key: found.origins[key].partition(":")[0] for key in ("lr", "batch_size", "epochs", "schedule")}
    assert origins == {"lr": "--set", "batch_size": "space mine", "epochs": "--epochs", "schedule": "recipe"}
    assert set(found.origins) == {*training_settings(), "teacher_views", "teacher_size"} - {"seed", "prediction_prior"}


def test_the_recipe_decides_what_nothing_else_does(checked) -> None:
    recipe = DATA_SETS["digits_lt"].recipe("field")
    plan = checked("--recipe", "field").plan
    assert plan.training == recipe.training
    assert (plan.teacher.views, plan.teacher.size) == (recipe.teacher_views, recipe.teacher_size)
    assert checked("--recipe", "field", "--teacher-views", "8").plan.teacher.views == 8
    assert checked().plan.recipe == DATA_SETS["digits_lt"].recipe().name


@pytest.mark.parametrize("name", ["slow", "Quick"])
def test_a_recipe_that_the_data_set_lacks_is_refused(checked, name: str) -> None:
    with pytest.raises(UsageError, match=f"--recipe of digits_lt must be one of field, quick; got '{name}'"):
        checked("--recipe", name)


def test_augment_is_one_more_setting(checked, tmp_path: Path) -> None:
    assert checked().plan.training["augment"] == "none"
    for flags in (
        ("--augment", "cutout"),
        ("--set", "augment=cutout"),
        ("--augment", "cutout", "--set", "augment=cutout"),
    ):
        assert checked(*flags).plan.training["augment"] == "cutout"
    assert checked("--augment", "cutout").origins["augment"] == "--augment"
    with pytest.raises(UsageError, match=r"--augment must be one of none, cutout, .*; got 'flips'"):
        checked("--augment", "flips")
    with pytest.raises(UsageError, match="must agree; got 'cutout' and 'none'"):
        checked("--augment", "cutout", "--set", "augment=none")


def test_a_space_may_search_the_augmentation_which_then_has_no_flag(checked, tmp_path: Path) -> None:
    space = tmp_path / "mine.yaml"
    space.write_text(
        "name: mine\npurpose: Which one?\nmethod: la\ntrials: 4\nknobs:\n"
        "  augment: {choices: [none, cutout], unit: choice, reason: Two kinds., reference: none}\n"
    )
    assert checked("--space", str(space)).space.reference_point() == {"augment": "none"}
    with pytest.raises(UsageError, match="--augment: space mine searches augment"):
        checked("--space", str(space), "--augment", "cutout")


@pytest.mark.parametrize(
    ("flags", "rule"),
    [
        ((), None),
        (("--set", "mix_statistics=separate"), None),
        (("--set", "mix_statistics=joint"), "mix_statistics=joint"),
        (("--space", "{fixed}"), "mix_statistics=joint"),
        (("--space", "{searched}"), "mix_statistics, which space searched searches,"),
    ],
)
def test_a_student_is_tried_with_the_rule_for_statistics_that_a_study_chooses(
    checked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...], rule: str | None
) -> None:
    head = "purpose: Together?\nmethod: acckd\ntrials: 4\nknobs:\n"
    tau = "  tau: {range: [0.5, 1.5], unit: '1', reason: A knob., reference: 1.0}\n"
    both = "  mix_statistics: {choices: [joint, separate], unit: choice, reason: Two kinds., reference: separate}\n"
    (tmp_path / "fixed.yaml").write_text(f"name: fixed\n{head}{tau}fixed: {{mix_statistics: joint}}\n")
    (tmp_path / "searched.yaml").write_text(f"name: searched\n{head}{both}")
    tried: list[Any] = []
    monkeypatch.setattr(
        "trainables.cckd.students.build.try_student", lambda *_, statistics_rule, **__: tried.append(statistics_rule)
    )
    spaces = {name: str(tmp_path / f"{name}.yaml") for name in ("fixed", "searched")}
    checked("--student", "resnet10t", *(flag.format(**spaces) for flag in flags))
    assert tried == [rule]


def test_a_rule_for_statistics_that_a_student_has_not_is_refused(checked, tmp_path: Path) -> None:
    data = ("--data", _photographs(tmp_path / "pets", side=40), "--set", "batch_size=6")
    student = ("--student", "convnext_atto")
    checked(*data, *student)
    with pytest.raises(UsageError, match=r"mix_statistics=joint acts through BatchNorm .* 'convnext_atto' has none"):
        checked(*data, *student, "--set", "mix_statistics=joint")


def _photographs(folder: Path, *, side: int = 16) -> str:
    """An image folder of two classes; its first test image is a copy of a training image."""
    random = np.random.default_rng(0)
    for part in ("train", "val", "test"):
        for name in ("cat", "dog"):
            (folder / part / name).mkdir(parents=True)
            for number in range(3):
                pixels = random.integers(0, 256, (24, 24, 3), np.uint8)
                Image.fromarray(pixels).save(folder / part / name / f"{number}.png")
    shutil.copy(folder / "train" / "cat" / "0.png", folder / "test" / "cat" / "0.png")
    return f"image_folder:path={folder},size={side}"


def test_a_teacher_that_has_learned_the_answers_needs_a_word(checked, tmp_path: Path) -> None:
    data = ("--data", _photographs(tmp_path / "ImageNet-subset"), "--set", "batch_size=6")
    with pytest.raises(UsageError, match=r"must not have learned .* tf_efficientnet_lite0 \(in1k\) .*--allow-contam"):
        checked(*data)
    found = checked(*data, "--allow-contaminated-teacher")
    assert found.contaminated_by == "ImageNet (tf_efficientnet_lite0, in1k)"
    assert [caution.reason for caution in found.cautions] == ["shared_images", "contaminated_teacher"]


@pytest.mark.parametrize("data", ["imagenet_lt", "imagenet_lt:size=64", "image_list:root=imagenet,train=a,test=b"])
def test_a_contaminated_teacher_is_refused_before_the_data_are_looked_for(checked, data: str) -> None:
    with pytest.raises(UsageError, match="--allow-contaminated-teacher, which stamps every table") as error:
        checked("--data", data)
    assert len(error.value.faults) == 1


def test_a_set_of_other_images_takes_any_teacher_and_its_shared_images_are_told(checked, tmp_path: Path) -> None:
    found = checked("--data", _photographs(tmp_path / "pets"), "--set", "batch_size=6")
    assert found.contaminated_by is None
    assert found.shared == {("train", "test"): 1}
    (caution,) = found.cautions
    assert caution == (CautionReason.SHARED_IMAGES, "1 of the test images are also in train, pixel by pixel")


def test_split_paper_says_what_of_the_teacher_is_fitted_on_test_labels(checked) -> None:
    cautions = checked("--split", "paper").cautions
    assert [caution.reason for caution in cautions] == ["selected_on_test", "teacher_fitted_on_test"]
    assert cautions[-1].text == "of the teacher, strength and prior come from test labels too"
    uniform = ("--teacher-form", "ncm", "--teacher-prior", "uniform")
    assert checked("--split", "paper", *uniform).cautions[-1].text == "of the teacher, scale come from test labels too"
    assert checked().cautions == ()


def test_a_class_order_that_too_few_images_show_is_a_caution(checked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("study.planning.check.check_order", lambda *_: "too few images show it")
    assert checked().cautions == ((CautionReason.UNSURE_CLASS_ORDER, "too few images show it"),)


def test_a_searched_setting_starts_from_the_recipes_value(checked) -> None:
    found = checked("--space", "la", "--recipe", "field")
    assert found.space.reference_point()["lr"] == 0.15
    searched = found.space.config(found.space.reference_point() | {"lr": 0.5}) | found.plan.training_in(found.space)
    assert (searched["lr"], searched["batch_size"]) == (0.5, 32)


@pytest.mark.parametrize(("space", "knob"), [("la", "lr"), ("ce", "lr"), ("la", "weight_decay")])
def test_a_fallback_has_the_references_of_its_own_recipe(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, space: str, knob: str
) -> None:
    def absent(*_: object) -> None:
        raise DataUnavailableError("no network, no files")

    monkeypatch.chdir(tmp_path)
    fashion = DATA_SETS["fashion_mnist_lt"]
    # Other settings than those of digits_lt, whatever the two recipes have in common.
    other = replace(fashion.recipes[0], lr=0.77, weight_decay=0.077)
    without = dict(DATA_SETS) | {"fashion_mnist_lt": replace(fashion, recipes=(other,), read=absent)}
    monkeypatch.setattr("trainables.cckd.data.spec.DATA_SETS", without)
    fallback = check(build_parser().parse_args(["--space", space]))
    named = check(build_parser().parse_args(["--space", space, "--data", "digits_lt"]))
    assert fallback.plan.fallback_from.startswith("fashion_mnist_lt")
    assert fallback.space.reference_point()[knob] == named.space.reference_point()[knob]
    assert fallback.space == named.space


def test_a_set_knob_reaches_the_searched_method_and_settings_reach_every_rung(checked) -> None:
    found = checked("--set", "lr=0.07", "--set", "feature_weight=0.3")
    plan, space = found.plan, found.space
    searched = TrialConfig.build(space.config(space.reference_point()) | plan.training | plan.fixed_knobs)
    assert (searched.lr, searched.feature_weight) == (0.07, 0.3)
    for rung in LADDER:
        assert TrialConfig.build({"method": rung, **plan.training}).lr == 0.07


def test_a_knob_that_needs_another_is_accepted_with_it_and_refused_without(checked) -> None:
    assert checked("--set", "use_kd=true", "--set", "kd_weight=2").plan.fixed_knobs == {"use_kd": True, "kd_weight": 2}
    with pytest.raises(UsageError, match="kd_weight must be given"):
        checked("--set", "use_kd=true")


@pytest.mark.parametrize("where", [(), ("--address", "auto")])
def test_precision_is_left_to_timed_steps_except_where_a_flag_decides_it(checked, where: tuple[str, ...]) -> None:
    assert checked(*where).plan.precision is None
    assert checked(*where, "--precision", "auto").plan.precision is None
    for named in PRECISIONS:
        assert checked(*where, "--precision", named).plan.precision == named


def test_a_gpu_needs_no_timed_steps(checked) -> None:
    flags = ("--address", "auto", "--device", "cuda")
    assert checked(*flags).plan.precision == "bfloat16"
    assert checked(*flags, "--precision", "float32").plan.precision == "float32"


def test_a_precision_that_there_is_not_is_told_with_the_choices(checked) -> None:
    for wrong in ("half", "", "BFLOAT16"):
        told = f"--precision must be one of auto, float32, bfloat16; got {wrong!r}"
        with pytest.raises(UsageError, match=told):
            checked("--precision", wrong)


def test_a_cluster_may_have_the_gpu_that_the_driver_lacks(checked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("study.planning.readers._has_cuda", lambda: False)
    plan = checked("--address", "auto", "--gpus-per-trial", "0.5").plan
    assert (plan.device, plan.gpus_per_trial) == ("cuda", 0.5)


@pytest.mark.parametrize("trials", [1, 2, 3])
def test_the_default_number_of_confirmed_trials_is_cut_to_those_that_there_are(checked, trials: int) -> None:
    plan = checked("--objectives", "all,few", "--trials", str(trials)).plan
    assert (plan.confirm_top, plan.n_confirmed) == (3, trials)
    assert checked("--trials", str(trials), "--confirm-top", str(trials)).plan.n_confirmed == trials


def test_trials_of_one_process_share_a_gpu_unless_told_otherwise(checked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("study.planning.cores.allotted_cores", lambda: Cores(4, ""))
    gpu = ("--address", "auto", "--device", "cuda", "--trials-per-process", "4")
    assert checked(*gpu).plan.gpus_per_trial == 0.25
    plan = checked(*gpu, "--gpus-per-trial", "0.1").plan
    assert (plan.gpus_per_trial, plan.trials_per_process) == (0.1, 4)
    assert checked("--device", "cpu", "--trials-per-process", "4").plan.gpus_per_trial == 0.0


@pytest.mark.parametrize(
    ("flags", "needed"),
    [
        ((), {"cosine_scale": 0.0, "needs_bias": False}),
        (("--ladder", "la,ldam_drw", "--set", "prediction_prior=uniform"), {"cosine_scale": 30.0, "needs_bias": True}),
    ],
)
def test_a_student_of_timm_is_tried_with_all_that_the_study_needs_of_it(
    checked, monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...], needed: dict[str, Any]
) -> None:
    tried: list[dict[str, Any]] = []
    monkeypatch.setattr("trainables.cckd.students.build.try_student", lambda *_, **needed: tried.append(needed))
    checked("--student", "resnet18", *flags)
    assert tried == [needed | {"statistics_rule": None}]


@pytest.mark.parametrize("space", ["acckd_smoke", "acckd_full", "la_mix"])
@pytest.mark.parametrize("batch_size", [2, 4])
def test_a_step_that_would_mix_no_sample_is_refused_before_anything_is_made(checked, space, batch_size) -> None:
    with pytest.raises(UsageError, match=rf"mix_ratio must be 0 or give a batch of {batch_size} at least one mixed"):
        checked("--space", space, "--set", f"batch_size={batch_size}")
