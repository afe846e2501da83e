"""`--space` takes a name, a file or an object; what the method does not know is refused before anything is written."""

import importlib
from dataclasses import replace
from pathlib import Path

import pytest

from search_spaces.corners import corner_points
from search_spaces.from_file import EXAMPLE
from search_spaces.knob import SpaceError
from search_spaces.knobs import LR, TAU, TEMPERATURE
from search_spaces.registry import baseline_spaces, get_space, list_spaces
from search_spaces.space import SearchSpace
from study.confirm import main as confirm_main
from study.planning.check import check
from study.planning.checked import Checked
from study.planning.manifest import checked_again, first_manifest
from study.planning.parser import build_parser
from study.planning.plan import BASELINES, StudyPlan
from study.planning.spaces import baseline_space, check_baselines, method_faults, read_space
from study.run import main
from study.terminal.faults import Faults
from trainables.cckd.config import TrialConfig
from trainables.cckd.errors import UsageError
from trainables.cckd.methods import LADDER, METHODS

MODULE = """
from optuna.distributions import FloatDistribution
from search_spaces.knob import Knob
from search_spaces.space import SearchSpace

SPACE = SearchSpace(
    "from_code", "?", "la", (Knob("tau", FloatDistribution(0.5, 1.5), "1", "because", 1.0),), 5, {"lr": 0.1}
)
WRONG = SearchSpace("wrong", "?", "la", (Knob("temperature", FloatDistribution(1, 2), "1", "because", 1.0),), 5)
OTHER = 3
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(importlib.sys.modules, "my_spaces", raising=False)
    (tmp_path / "my_spaces.py").write_text(MODULE)
    (tmp_path / "mine.yaml").write_text(EXAMPLE.read_text())
    return tmp_path


def _check(space: str, *argv: str) -> Checked:
    return check(build_parser().parse_args(["--space", space, "--data", "digits_lt", *argv]))


def test_a_file_in_the_current_folder_is_a_space(here: Path) -> None:
    checked = _check("mine.yaml")
    assert checked.space == get_space("acckd_core")
    assert checked.folder.name.startswith("acckd_core-digits_lt-")


def test_an_object_of_a_module_in_the_current_folder_is_a_space(here: Path) -> None:
    checked = _check("my_spaces:SPACE")
    assert (checked.space.name, checked.plan.trials, checked.plan.space) == ("from_code", 5, "from_code")
    assert str(here) not in importlib.sys.path


def test_a_setting_that_the_space_fixes_holds_for_the_ladder_too_and_set_overrides_it(here: Path) -> None:
    assert _check("my_spaces:SPACE").plan.training["lr"] == 0.1
    assert _check("my_spaces:SPACE", "--set", "lr=0.3").plan.training["lr"] == 0.3


def test_a_resumed_study_has_its_space_from_the_manifest_alone(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checked = _check("my_spaces:SPACE")
    manifest = first_manifest(checked, "command")
    (here / "my_spaces.py").unlink()
    monkeypatch.delitem(importlib.sys.modules, "my_spaces")
    again = checked_again(here, manifest)
    assert again.space == checked.space
    assert "my_spaces" not in importlib.sys.modules


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nope", "must be one of acckd_core, .* a FILE.yaml or module:ATTRIBUTE; got 'nope'"),
        ("none.yaml", "none.yaml: cannot be read"),
        ("my_spaces:NONE", "my_spaces has no attribute NONE; its spaces are SPACE, WRONG"),
        ("os:nope", "os has no attribute nope; its spaces are none"),
        ("my_spaces:OTHER", "must be a SearchSpace; got int"),
        ("my_spaces:WRONG", "method la has no knob or setting 'temperature'; it takes tau, batch_size, lr"),
        ("no_such_module:SPACE", "no_such_module cannot be imported: ModuleNotFoundError"),
        ("../my_spaces:SPACE", "must name a Python module"),
        ("my_spaces:", "must name a Python module"),
    ],
)
def test_what_is_no_space_is_refused(here: Path, text: str, words: str) -> None:
    with pytest.raises(SpaceError, match=words):
        read_space(text)


def test_a_module_that_fails_is_one_fault_and_one_with_a_faulty_space_all_of_its(here: Path) -> None:
    (here / "fails.py").write_text("1 / 0\n")
    with pytest.raises(SpaceError, match="fails cannot be imported: ZeroDivisionError"):
        read_space("fails:SPACE")
    (here / "faulty.py").write_text("from search_spaces import SearchSpace\nS = SearchSpace('a b', '?', 'la', (), 0)\n")
    with pytest.raises(SpaceError) as caught:
        read_space("faulty:S")
    assert len(caught.value.faults) == 3


def test_every_fault_of_a_file_and_of_its_method_is_named_at_once_with_code_2(here: Path, capsys) -> None:
    text = EXAMPLE.read_text().replace("method: acckd ", "method: cckd ").replace("trials: 40", "trials: many")
    text = text.replace("  temperature:\n    range: [1.0, 8.0]", "  temprature:\n    range: [8.0, 1.0]")
    (here / "mine.yaml").write_text(text.replace("fixed: {}", "fixed: {tau: -1, epochs: 3}"))
    assert main(["--space", "mine.yaml", "--data", "digits_lt", "--trials", "0"]) == 2
    said = capsys.readouterr().err
    for words in (
        "--trials must be a whole number from 1",
        "mine.yaml: trials: ",
        "knobs.temprature: range must rise",
        "no knob or setting 'temprature'; it takes tau, temperature",
        "method cckd has no knob or setting 'mix_ratio'",
        "method cckd has no knob or setting 'feature_weight'",
        "tau must be a finite number >= 0",
        "'epochs' is not for a space; it is chosen with --epochs",
    ):
        assert words in said
    assert len(said.strip().splitlines()) == 8
    assert {path.name for path in here.iterdir()} == {"mine.yaml", "my_spaces.py"}


def test_an_end_of_a_range_outside_the_knobs_domain_is_refused(here: Path) -> None:
    (here / "mine.yaml").write_text(EXAMPLE.read_text().replace("[0.1, 0.7]", "[0.1, 1.0]"))
    with pytest.raises(SpaceError, match=r"mix_ratio must be in \[0, 1\).*got 1.0"):
        read_space("mine.yaml")


def test_a_switch_whose_weight_is_neither_searched_nor_fixed_is_refused(here: Path) -> None:
    switch = '  use_kd:\n    choices: [false, true]\n    unit: "1"\n    reason: because\n    reference: false\n'
    (here / "mine.yaml").write_text(EXAMPLE.read_text().replace("knobs:\n", "knobs:\n" + switch))
    with pytest.raises(UsageError, match="kd_weight must be given when use_kd is true"):
        _check("mine.yaml")


def test_a_batch_size_that_the_space_may_choose_must_fit_the_data(here: Path) -> None:
    knob = '  batch_size:\n    range: [16, 512]\n    type: int\n    unit: "1"\n    reason: because\n    reference: 64\n'
    (here / "mine.yaml").write_text(EXAMPLE.read_text().replace("knobs:\n", "knobs:\n" + knob))
    with pytest.raises(UsageError, match=r"batch_size must not exceed the 303 training images.*got 512"):
        _check("mine.yaml")


@pytest.mark.parametrize("space", list_spaces(), ids=lambda space: space.name)
def test_our_own_spaces_pass_and_their_corners_are_legal(space: SearchSpace) -> None:
    assert method_faults(space.method, space.distributions, space.tunable, space.fixed) == []
    for point in corner_points(space):
        TrialConfig.build(space.config(point))


NO_EFFECT = """name: mine
purpose: "?"
method: acckd
trials: 5
knobs:
  {cause}
  mix_alpha: {{range: [0.2, 1.0], unit: "1", reason: because, reference: 0.5{alpha}}}
fixed: {{{fixed}}}
"""
NO_D_MIX = "has no effect where mix_ratio is 0 (there is no D_mix)"
CONDITION = "a condition on mix_ratio (only_where in a file), or do not search that value"
RATIO = 'mix_ratio: {range: [0.0, 0.5], unit: "1", reason: because, reference: 0.5}'
TAU_RANGE = 'tau: {range: [0.5, 1.5], unit: "1", reason: because, reference: 1.0}'


@pytest.mark.parametrize(
    ("cause", "fixed", "argv", "faults"),
    [
        (
            RATIO,
            "",
            [],
            [f"mix_alpha {NO_D_MIX}. Give mix_alpha {CONDITION}"],
        ),
        (
            RATIO,
            "mix_op: cutmix",
            [],
            [f"{name} {NO_D_MIX}. Give {name} {CONDITION}" for name in ("mix_op", "mix_alpha")],
        ),
        (
            TAU_RANGE,
            "mix_ratio: 0.0",
            [],
            [f"mix_alpha {NO_D_MIX}. Do not search mix_alpha, or change mix_ratio"],
        ),
        (
            TAU_RANGE,
            "",
            ["--set", "mix_ratio=0"],
            [f"mix_alpha {NO_D_MIX}. Do not search mix_alpha, or change mix_ratio"],
        ),
        (
            'feature_weight: {choices: [0.0, 1.0], unit: "1", reason: because, reference: 1.0}',
            "mix_weight: 0.0, cckd_mix_weight: 0.0",
            [],
            [
                "mix_alpha has no effect where mix_weight is 0, cckd_mix_weight is 0 and feature_weight is 0. "
                "Do not search mix_alpha, or change mix_weight, cckd_mix_weight or feature_weight"
            ],
        ),
    ],
    ids=["range", "fixed too", "fixed cause", "set", "weights"],
)
def test_a_knob_that_may_have_no_effect_in_a_space_is_one_fault(
    here: Path, cause: str, fixed: str, argv: list[str], faults: list[str]
) -> None:
    (here / "mine.yaml").write_text(NO_EFFECT.format(cause=cause, fixed=fixed, alpha=""))
    with pytest.raises(UsageError) as refused:
        _check("mine.yaml", *argv)
    assert list(refused.value.faults) == [f"mine.yaml: {fault}" for fault in faults]


SEARCHED = "only_where: {use_kd: true}"
USE_KD = 'use_kd: {choices: [false, true], unit: "1", reason: because, reference: false}'
KD_WEIGHT = 'kd_weight: {range: [0.5, 2.0], unit: "1", reason: because, reference: 1.0}'


@pytest.mark.parametrize(
    ("knobs", "fixed", "remedy"),
    [
        ([KD_WEIGHT], "", f"fix use_kd: true, or search use_kd and give kd_weight {SEARCHED}"),
        ([TAU_RANGE], "kd_weight: 1.0", f"fix use_kd: true, or search use_kd and give kd_weight {SEARCHED}"),
        ([KD_WEIGHT, USE_KD], "", f"give kd_weight {SEARCHED}"),
    ],
)
def test_a_kd_weight_without_its_switch_is_told_with_the_file_and_the_remedy(
    here: Path, knobs: list[str], fixed: str, remedy: str
) -> None:
    head = 'name: mine\npurpose: "?"\nmethod: acckd\ntrials: 5\nknobs:\n'
    (here / "mine.yaml").write_text(head + "".join(f"  {knob}\n" for knob in knobs) + f"fixed: {{{fixed}}}\n")
    with pytest.raises(UsageError) as refused:
        _check("mine.yaml")
    assert list(refused.value.faults) == [f"mine.yaml: kd_weight acts only where use_kd is true; {remedy}"]


def test_the_remedies_for_a_kd_weight_are_taken(here: Path) -> None:
    head = 'name: mine\npurpose: "?"\nmethod: acckd\ntrials: 5\nknobs:\n'
    (here / "mine.yaml").write_text(f"{head}  {KD_WEIGHT}\n")
    assert _check("mine.yaml", "--set", "use_kd=true").space.name == "mine"
    (here / "mine.yaml").write_text(f"{head}  {KD_WEIGHT}\nfixed: {{use_kd: true}}\n")
    assert _check("mine.yaml").space.name == "mine"
    (here / "mine.yaml").write_text(f"{head}  {USE_KD}\n  {KD_WEIGHT[:-1]}, {SEARCHED}}}\n")
    assert _check("mine.yaml").space.name == "mine"


def test_a_condition_is_the_remedy(here: Path) -> None:
    cause = 'mix_ratio: {choices: [0.0, 0.5], unit: "1", reason: because, reference: 0.5}'
    only_where = ", only_where: {mix_ratio: [0.5]}"
    (here / "mine.yaml").write_text(NO_EFFECT.format(cause=cause, fixed="", alpha=only_where))
    assert _check("mine.yaml").space.name == "mine"


RUN = ("--space", "acckd_smoke", "--data", "digits_lt", "--trials", "4", "--confirm-seeds", "2")


def _tuned(tmp_path, *more: str) -> StudyPlan:
    return check(build_parser().parse_args([*RUN, "--out", str(tmp_path), *more])).plan


@pytest.mark.parametrize(
    ("given", "tuned"),
    [
        ([], ()),
        (["--tuned-baselines"], ("la", "kd")),
        (["--tuned-baselines", "kd"], ("kd",)),
        (["--tuned-baselines=cckd,ce,cckd"], ("cckd", "ce")),
    ],
)
def test_the_flag_stands_alone_or_with_a_list(tmp_path, given: list[str], tuned: tuple[str, ...]) -> None:
    plan = _tuned(tmp_path, *given)
    assert plan.tuned_baselines == tuned
    alone = _tuned(tmp_path)
    assert plan.n_confirm_runs - alone.n_confirm_runs == 2 * len(tuned)
    assert plan.n_tuning_runs == 4 + 4 * 3


@pytest.mark.parametrize(
    ("given", "ladder"),
    [
        ([], LADDER),
        (["--ladder", "acckd"], ("la", "kd", "acckd")),
        (["--ladder=cckd,ce,cckd"], ("ce", "la", "kd", "cckd")),
        (["--ladder", "la,kd"], ("la", "kd")),
    ],
)
def test_the_ladder_is_what_was_named_and_both_compared_baselines_in_the_order_of_methods(
    tmp_path, given: list[str], ladder: tuple[str, ...]
) -> None:
    plan = _tuned(tmp_path, *given)
    assert plan.ladder == ladder
    assert plan.n_confirm_runs == 2 * (1 + len(ladder))
    assert StudyPlan.from_json(plan.to_json()) == plan


@pytest.mark.parametrize("method", METHODS)
def test_every_method_can_be_a_rung(tmp_path, method: str) -> None:
    assert method in _tuned(tmp_path, "--ladder", method).ladder


@pytest.mark.parametrize("given", ["best1", "ce,", "la kd"])
def test_a_rung_that_is_no_method_is_refused_before_anything_runs(tmp_path, given: str) -> None:
    with pytest.raises(UsageError) as refused:
        _tuned(tmp_path, "--ladder", given)
    (fault,) = refused.value.faults
    assert fault == f"--ladder takes a list of {', '.join(METHODS)}; got {given.split(',')[-1]!r}"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            ["--tuned-baselines", "acckd"],
            f"takes a list of {', '.join(space.name for space in baseline_spaces())}, or nothing; got 'acckd'",
        ),
        (["--tuned-baselines", ""], "got ''"),
        (["--space", "kd", "--tuned-baselines"], "--tuned-baselines kd is what space kd tunes already"),
        (
            ["--tuned-baselines", "ce", "--set", "lr=0.1", "--set", "weight_decay=0.001"],
            "--tuned-baselines ce has nothing to tune: lr, weight_decay are fixed; leave ce out",
        ),
        (
            ["--tuned-baselines", "ce", "--sampler", "grid", "--trials", "10"],
            "--tuned-baselines ce has 9 points on its grid, too few for the 10 trials of an equal budget",
        ),
    ],
)
def test_what_cannot_be_tuned_is_refused_before_anything_runs(tmp_path, given: list[str], told: str) -> None:
    with pytest.raises(UsageError) as refused:
        _tuned(tmp_path, *given)
    (fault,) = refused.value.faults
    assert told in fault


def test_the_flags_help_names_every_method_that_has_a_space_for_a_baseline() -> None:
    assert sorted(BASELINES) == sorted(space.name for space in baseline_spaces())


def test_a_folder_after_the_flag_is_not_taken_for_a_study(capsys) -> None:
    with pytest.raises(SystemExit):
        confirm_main(["--tuned-baselines", "runs/mine"])
    assert "DIR" in capsys.readouterr().err


def test_a_warm_start_is_no_equal_budget(tmp_path) -> None:
    plan = _tuned(tmp_path, "--tuned-baselines")
    faults = Faults()
    check_baselines(replace(plan, warm_start="/other"), get_space("acckd_smoke"), faults)
    (fault,) = faults.found
    assert "--tuned-baselines promises an equal budget" in fault


def test_a_baseline_searches_its_own_knobs_but_for_those_that_hold_for_every_run(tmp_path) -> None:
    plan = _tuned(tmp_path, "--set", "lr=0.1")
    studied = get_space("acckd_smoke")
    assert list(baseline_space("la", studied, plan).distributions) == ["tau", "weight_decay"]
    assert baseline_space("kd", studied, plan) == get_space("kd")


def test_training_settings_that_the_studied_method_tunes_are_the_baselines_to_tune_too(tmp_path) -> None:
    studied = SearchSpace("mine", "?", "acckd", (TEMPERATURE, TAU, LR), default_trials=4)
    space = baseline_space("kd", studied, _tuned(tmp_path))
    assert list(space.distributions) == ["tau", "temperature", "kd_weight", "lr"]
    assert baseline_space("la", studied, _tuned(tmp_path)).distributions == get_space("la").distributions
