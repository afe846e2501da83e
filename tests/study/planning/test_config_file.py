"""A study as a YAML file: what is written starts the same study, what is read is what the flags would ask for."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from search_spaces import list_spaces
from search_spaces.from_file import file_content, read_draft
from study.planning.check import check
from study.planning.checked import Checked
from study.planning.config_file import config_text
from study.planning.parser import parse
from study.planning.plan import OPTIONS
from trainables.cckd.errors import UsageError

DIGITS = ("--data", "digits_lt", "--out", "runs")


def _checked(*argv: str) -> Checked:
    return check(*parse(argv))


def _written(tmp_path: Path, content: object) -> str:
    path = tmp_path / "study.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False))
    return str(path)


@pytest.mark.parametrize(
    "argv",
    [
        (),
        ("--space", "kd", "--trials", "9", "--seed", "3"),
        ("--space", "acckd_core", "--set", "lr=0.1", "--set", "mix_op=cutmix", "--set", "nesterov=true"),
        ("--guard", "few=1", "--guard", "medium=-0.5"),
        ("--objectives", "all,few"),
        ("--tuned-baselines",),
        ("--tuned-baselines", "kd", "--ladder", "ce,cckd", "--data-seeds", "2"),
        ("--teacher-form", "ncm", "--teacher-targets", "out_of_fold", "--teacher-folds", "3", "--teacher-views", "8"),
        ("--recipe", "quick", "--precision", "float32", "--storage", "elsewhere"),
        ("--sampler", "tpe", "--pruner", "median", "--finalists", "0", "--confirm-seeds", "0"),
        ("--augment", "cutout", "--max-failures", "0", "--trial-timeout", "0", "--verbose"),
    ],
    ids=" ".join,
)
def test_what_is_written_starts_the_same_study(tmp_path: Path, argv: tuple[str, ...]) -> None:
    first = _checked(*DIGITS, *argv)
    again = _checked("--config", _written(tmp_path, config_text(first.plan, first.space)))
    assert again.plan == first.plan
    assert again.space == first.space


OWN_SPACE = """
name: mine
purpose: Does tau matter?
method: la
trials: 8
knobs:
  tau: {range: [0.5, 2], unit: "1", reason: around one., reference: 1}
  lr: {range: [0.01, 1.0], scale: log, unit: "1", reason: two decades., reference: 0.1}
  batch_size: {choices: [32, 64], unit: images, reason: two sizes., reference: 32}
"""


def test_a_space_of_the_users_own_is_in_the_file_and_needs_its_own_no_more(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(OWN_SPACE)
    first = _checked(*DIGITS, "--space", str(tmp_path / "mine.yaml"))
    (tmp_path / "mine.yaml").unlink()
    again = _checked("--config", _written(tmp_path, config_text(first.plan, first.space)))
    assert (again.plan, again.space) == (first.plan, first.space)


def test_points_of_the_users_own_are_in_the_file_and_need_theirs_no_more(tmp_path: Path) -> None:
    points = tmp_path / "mine.csv"
    points.write_text("temperature,mix_ratio,estimator\n3,0.25,prior\n4.5,0.3,batch\n")
    first = _checked(*DIGITS, "--space", "acckd_smoke", "--points", str(points))
    points.unlink()
    path = _written(tmp_path, config_text(first.plan, first.space))
    again = _checked("--config", path)
    assert len(again.plan.points) == 2
    assert again.plan == first.plan
    (tmp_path / "study.yaml").write_text(Path(path).read_text().replace("temperature: 4.5", "temperature: 45"))
    with pytest.raises(UsageError, match=r"study\.yaml: point 2: temperature must be a number in \[1\.0, 8\.0\]"):
        _checked("--config", path)


def test_points_may_be_a_file_beside_the_studys(tmp_path: Path) -> None:
    points = tmp_path / "mine.yaml"
    points.write_text("- {temperature: 3, mix_ratio: 0.25, estimator: prior}\n")
    path = _written(tmp_path, {"space": "acckd_smoke", "data": "digits_lt", "points": str(points)})
    assert _checked("--config", path).plan.points == ({"temperature": 3.0, "mix_ratio": 0.25, "estimator": "prior"},)


@pytest.mark.parametrize("space", list_spaces(), ids=lambda space: space.name)
def test_the_content_of_a_spaces_file_gives_the_space(tmp_path: Path, space: object) -> None:
    draft = read_draft(Path(_written(tmp_path, file_content(space))))
    assert draft.faults == ()
    assert draft.space() == space
    assert read_draft(Path(_written(tmp_path, {"space": file_content(space), "data": "x"}))).space() == space


def test_a_file_asks_for_what_the_flags_would(tmp_path: Path) -> None:
    content = {
        "space": "acckd_core",
        "data": "digits_lt:ir=10",
        "teacher": {"form": "ncm", "views": 4},
        "set": {"lr": 0.1, "mix_op": "cutmix"},
        "guard": {"few": 1},
        "ladder": ["ce", "cckd"],
        "tuned_baselines": True,
        "verbose": False,
        "augment": None,
        "trials": 12,
        "out": "runs",
        "name": "mine",
        "yes_long": True,
    }
    flags = ["--space=acckd_core", "--data=digits_lt:ir=10", "--teacher-form=ncm", "--teacher-views=4", "--set=lr=0.1"]
    flags += ["--set=mix_op=cutmix", "--guard=few=1", "--ladder=ce,cckd", "--tuned-baselines", "--trials=12"]
    by_file, unknown = parse(["--config", _written(tmp_path, content)])
    assert not unknown
    assert (by_file.yes_long, by_file.name) == (True, "mine")
    assert check(by_file).plan == _checked(*flags, "--out=runs", "--name=mine").plan


def test_a_teachers_name_may_stand_alone(tmp_path: Path) -> None:
    args, _ = parse(["--config", _written(tmp_path, {"teacher": "resnet18"})])
    assert args.teacher_name == "resnet18"


def test_a_byte_order_mark_is_no_part_of_the_first_choice(tmp_path: Path) -> None:
    plain = _checked("--config", _written(tmp_path, "data: digits_lt\ntrials: 7\n"), "--out", "runs")
    marked = _checked("--config", _written(tmp_path, "\ufeffdata: digits_lt\ntrials: 7\n"), "--out", "runs")
    assert marked.plan == plain.plan
    assert marked.plan.trials == 7


def test_flags_override_the_file_item_by_item(tmp_path: Path) -> None:
    path = _written(
        tmp_path, {"trials": 5, "set": {"lr": 0.1, "momentum": 0.8}, "teacher": {"form": "ncm", "views": 4}}
    )
    args, _ = parse(["--trials", "9", "--config", path, "--set", "lr=0.2", "--teacher-views=6"])
    assert (args.trials, args.teacher_form, args.teacher_views) == ("9", "ncm", "6")
    assert sorted(args.overrides) == ["lr=0.2", "momentum=0.8"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"trails": 3}, "got 'trails'; did you mean trials?"),
        ({"teacher": {"colour": 1}}, "a flag of study.run without its dashes; got 'teacher.colour'"),
        ({1: 2}, "got '1'"),
        ({"skip_corrupt": "yes"}, "skip_corrupt must be true or false; got 'yes'"),
        ({"skip_corrupt": 1}, "skip_corrupt must be true or false; got 1"),
        ({"ladder": {"ce": 1}}, "ladder must be a list"),
        ({"set": ["lr=0.1"]}, "set must be a mapping"),
        ({"guard": "few=1"}, "guard must be a mapping"),
        ({"trials": True}, "trials must be one value; got True"),
        ({"trials": [1, 2]}, "trials must be one value"),
        ({"data": {"name": "digits_lt"}}, "data must be one value"),
        ([1, 2], "a YAML file of keys and values"),
        ("", "a YAML file of keys and values"),
        ("a: [", "not YAML"),
        ("trials: 3\ntrials: 4\n", "'trials' is given twice"),
        ("a: &x [1]\nb: *x\n", r"aliases \(\*name\) are not taken"),
        ("\x00", "not YAML"),
    ],
)
def test_every_fault_of_a_file_is_told_with_its_name(tmp_path: Path, content: object, told: str) -> None:
    path = _written(tmp_path, content)
    with pytest.raises(UsageError, match=told) as fault:
        parse(["--config", path])
    assert all(path in line for line in fault.value.faults)


@pytest.mark.parametrize(
    ("key", "value", "wanted"),
    [
        ("out", ["a", "b"], "one value"),
        ("out", {"a": 1}, "one value"),
        ("out", False, "one value"),
        ("name", True, "one value"),
        ("name", ["mine"], "one value"),
        ("yes_long", 1, "true or false"),
        ("yes_long", 0, "true or false"),
        ("yes_long", "yes please", "true or false"),
    ],
)
def test_a_flag_that_is_no_field_of_the_plan_is_judged_too(
    tmp_path: Path, key: str, value: object, wanted: str
) -> None:
    path = _written(tmp_path, {key: value})
    with pytest.raises(UsageError, match=re.escape(f"{path}: {key} must be {wanted}; got {value!r}")):
        parse(["--config", path])


def test_such_a_flag_may_be_left_empty_or_be_a_number(tmp_path: Path) -> None:
    args, unknown = parse(["--config", _written(tmp_path, {"out": None, "name": 0, "yes_long": False})])
    assert (args.out, args.name, args.yes_long, unknown) == ("runs", "0", False, [])


def test_all_faults_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as fault:
        parse(["--config", _written(tmp_path, {"trails": 3, "set": 1, "skip_corrupt": 2})])
    assert len(fault.value.faults) == 3


def test_a_value_that_no_flag_takes_is_told_as_on_the_command_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--trials must be a whole number from 1 to \d+; got 'many'"):
        _checked("--config", _written(tmp_path, {"data": "digits_lt", "trials": "many"}))


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(UsageError, match=r"nowhere\.yaml: cannot be read"):
        parse(["--config", "nowhere.yaml"])


@pytest.mark.parametrize(
    "argv",
    [
        (),
        ("--teacher-form", "ncm", "--teacher-targets", "out_of_fold"),
        ("--objectives", "all,few", "--max-hours", "2", "--data-seeds", "2", "--split", "split_test"),
    ],
    ids=" ".join,
)
def test_the_file_starts_the_same_study_under_other_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argv: tuple[str, ...]
) -> None:
    first = _checked(*DIGITS, *argv)
    path = _written(tmp_path, config_text(first.plan, first.space))
    others = {
        "confirm_seeds": 2, "finalist_seeds": 1, "long_seeds": 1, "ablation_seeds": 0, "seed": 5, "max_retries": 0,
        "ladder": ("ce",), "stop_when": "settled", "trials_per_process": 2, "cpus_per_trial": 2.0,
        "trial_timeout": 60.0, "epochs_factor": 3, "space": "acckd_smoke", "data_path": "streamed",
        "skip_corrupt": True, "teacher_form": "ncm", "teacher_prior": "train", "teacher_prior_smoothing": 0.5,
        "teacher_folds": 2, "teacher_features": "stages", "second_objective": "all,few", "data_seeds": 3,
    }  # fmt: skip
    later = {key: replace(option, default=others.get(key, option.default)) for key, option in OPTIONS.items()}
    for module in ("check", "config_file"):
        monkeypatch.setattr(f"study.planning.{module}.OPTIONS", later)
    again = _checked("--config", path)
    # A switch has no flag that says no, and a file has no folds for a teacher without them.
    assert first.plan.teacher.targets != "out_of_fold" or again.plan.teacher.folds == first.plan.teacher.folds
    teacher = replace(again.plan.teacher, folds=first.plan.teacher.folds)
    assert replace(again.plan, skip_corrupt=False, teacher=teacher) == first.plan
    assert again.space == first.space


def test_every_flag_with_a_default_is_in_the_file() -> None:
    checked = _checked(*DIGITS)
    content = yaml.safe_load(config_text(checked.plan, checked.space))
    flat = {f"teacher_{key}": value for key, value in content.pop("teacher").items()} | content
    keys = {
        option.spelled.removeprefix("--").replace("-", "_") for option in OPTIONS.values() if option.default is not None
    }
    absent = {key for key in keys if key not in flat and f"{key}_name" not in flat}
    assert absent == {"teacher_folds", "precision"}, "the flag of out_of_fold, and what timed steps decide"


@pytest.mark.parametrize("key", ["points", "tuned_baselines"])
def test_an_empty_list_asks_for_nothing_and_is_no_default_of_another_flag(tmp_path: Path, key: str) -> None:
    plan = _checked("--config", _written(tmp_path, {"data": "digits_lt", "space": "acckd_smoke", key: []})).plan
    assert getattr(plan, key) == ()
    with pytest.raises(UsageError, match="--ladder takes a list of"):
        _checked("--config", _written(tmp_path, {"data": "digits_lt", "ladder": []}))
