"""The help says everything a user may type, with its default, in 80 columns."""

import dataclasses
import json
import re
import shlex
from pathlib import Path
from typing import get_type_hints

import pytest
from pydantic import TypeAdapter, ValidationError

from study.planning.flags import Option
from study.planning.parser import build_parser, read_flags
from study.planning.plan import OPTIONS, StudyPlan
from study.run import main
from study.strategy.pruners import PRUNERS
from study.strategy.samplers import SAMPLERS
from study.terminal.command_line import command_line, resume_command
from study.terminal.faults import Faults
from trainables.cckd.files.sealed import sealed
from trainables.cckd.teacher.spec import TeacherSpec

FLAGS = [action for action in build_parser()._actions if action.dest not in ("help", "version")]


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as exit_:
        main(["--help"])
    assert exit_.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("action", FLAGS, ids=lambda action: action.dest)
def test_help_mentions_every_flag_with_its_default(printed: str, action) -> None:
    described = printed.partition("what is studied:")[2]
    (flag,) = action.option_strings
    entry = " ".join(re.split(rf"\n  {flag}\s", described)[-1].partition("\n  --")[0].split())
    assert f"\n  {flag}" in described, f"{flag} is not in the help"
    assert entry
    if action.nargs == 0:  # a switch
        return
    assert "default: " in entry
    default = OPTIONS[action.dest].default if action.dest in OPTIONS else action.default
    if isinstance(default, tuple):
        default = ", ".join(default)
    if default not in (None, "", {}) and "default: the recipe's" not in entry:
        assert f"default: {default:g}" if isinstance(default, float) else f"default: {default}" in entry


def test_the_heading_of_the_help_says_what_a_flag_is_for(printed: str) -> None:
    shown, starts = printed.partition("what is shown:")[2].split("how it starts:")
    assert re.findall(r"^  (--[a-z-]+)", shown, re.MULTILINE) == ["--verbose"]
    flags = ["--yes-long", "--config", "--write-config", "--dry-run", "--list-spaces", "--list-data"]
    assert re.findall(r"^  (--[a-z-]+)", starts, re.MULTILINE) == flags


def test_help_fits_80_columns(printed: str) -> None:
    assert [line for line in printed.splitlines() if len(line) > 80] == []


def test_help_names_the_choices_an_example_and_the_exit_codes(printed: str) -> None:
    words = " ".join(printed.split())
    for choices in (SAMPLERS, PRUNERS):
        assert ", ".join(choices) in words
    assert "python -m study.run --space acckd_full" in words
    assert "130 interrupted" in words


def test_every_example_of_the_help_is_accepted(printed: str) -> None:
    examples = [line.strip() for line in printed.splitlines() if line.startswith("  python -m study.run")]
    assert len(examples) >= 3
    for example in examples:
        _, unknown = build_parser().parse_known_args(shlex.split(example)[3:])
        assert unknown == []


def test_a_flag_is_never_abbreviated() -> None:
    _, unknown = build_parser().parse_known_args(["--trial", "3"])
    assert unknown == ["--trial", "3"]


def test_commands_can_be_pasted_whatever_they_hold() -> None:
    argv = ["--out", "my runs", "--set", "mix_op='x'"]
    assert shlex.split(command_line("run", argv)) == ["python", "-m", "study.run", *argv]
    assert shlex.split(resume_command("/a b/c'd")) == ["python", "-m", "study.resume", "/a b/c'd"]


@pytest.mark.parametrize(
    ("plan", "named"),
    [
        ({"address": "head:6379"}, ["--address", "head:6379"]),
        ({"address": "[fd00::1]:6379"}, ["--address", "[fd00::1]:6379"]),
        ({"address": "local"}, []),
        ({"address": "auto"}, []),
        ({"address": "\x1b[2J:1"}, []),
        ({"address": 7}, []),
        ({}, []),
        (None, []),
        ("local:1", []),
    ],
)
def test_the_command_names_the_cluster_at_which_a_study_ran(tmp_path: Path, plan: object, named: list[str]) -> None:
    (tmp_path / "study.json").write_text(json.dumps(sealed({"plan": plan})))
    words = shlex.split(resume_command(tmp_path, "--skip-corrupt"))[3:]
    assert words == [str(tmp_path), *named, "--skip-corrupt"]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"plan": '])
def test_the_command_of_a_damaged_study_names_its_folder_alone(tmp_path: Path, content: str) -> None:
    (tmp_path / "study.json").write_text(content)
    assert shlex.split(resume_command(tmp_path))[3:] == [str(tmp_path)]


def _fields(model: type) -> set[str]:
    return {item.name for item in dataclasses.fields(model)}


def test_every_choice_of_the_plan_has_a_flag_with_help_and_bounds() -> None:
    without = {"n_sobol", "recipe_settings", "fallback_from", "fallback_reason", "teacher"}
    without |= {"ablation_knobs", "ablation_on_test"}  # flags of study.ablate alone, which knows best1
    asked = (_fields(StudyPlan) - without) | {f"teacher_{name}" for name in _fields(TeacherSpec)}
    assert set(OPTIONS) == asked
    for option in OPTIONS.values():
        assert option.flag.help
        bounds = (option.flag.ge, option.flag.gt)
        assert (bounds != (None, None)) == (option.is_kind(int) or option.is_kind(float)), option.key


@pytest.mark.parametrize("option", OPTIONS.values(), ids=lambda option: option.key)
def test_a_text_is_read_or_refused_by_its_flag(option: Option) -> None:
    faults = Faults()
    if option.choices:
        assert [option.read(word, faults) for word in option.choices] == list(option.choices)
        assert option.read("frobnicate", faults) is None
        assert faults.found == [f"{option.spelled} must be one of {', '.join(option.choices)}; got 'frobnicate'"]
    elif option.is_kind(int) or option.is_kind(float):
        good = 40 if option.flag.lt is None else option.flag.lt / 2
        assert option.read(str(good), faults) == good
        for text in ("-1", "nan", "x", str(2**32)):
            assert option.read(text, faults) is None
        assert all(fault.startswith(f"{option.spelled} must be a") for fault in faults.found)
        assert len(faults.found) == 4
    else:
        assert option.read(["kept"], faults) == ["kept"]
        assert faults.found == []


def test_a_word_stands_for_a_number() -> None:
    faults = Faults()
    option = OPTIONS["image_store"]
    assert [option.read(text, faults) for text in ("none", "0", "256")] == [0, 0, 256]
    assert option.read("original", faults) is None
    assert faults.found == ["--image-store must be a whole number from 0 to 4294967295, or none; got 'original'"]


def test_what_is_not_given_is_not_read() -> None:
    assert read_flags(build_parser().parse_args([]), OPTIONS, Faults()) == {}


@pytest.mark.parametrize(
    ("key", "rule", "good", "bad"),
    [
        ("max_hours", "a number above 0 and at most 4294967295", ("0.1", "4294967295"), ("0", "-0.0", "4294967296")),
        ("trial_timeout", "a number from 0 to 4294967295", ("0", "1.5"), ("-0.1", "inf")),
        ("teacher_prior_smoothing", "a number from 0 to below 1", ("0", "0.999"), ("1", "-0.1")),
        ("epochs", "a whole number from 1 to 4294967295", ("1",), ("0", "1.5")),
    ],
)
def test_a_bound_is_told_as_it_is_held(key: str, rule: str, good: tuple[str, ...], bad: tuple[str, ...]) -> None:
    faults = Faults()
    option = OPTIONS[key]
    assert [option.read(text, faults) for text in good] == [float(text) for text in good]
    assert faults.found == []
    assert [option.read(text, faults) for text in bad] == [None] * len(bad)
    assert faults.found == [f"{option.spelled} must be {rule}; got {text!r}" for text in bad]


def test_the_plan_holds_the_bound_too() -> None:
    hints = get_type_hints(StudyPlan, include_extras=True)
    hours = TypeAdapter(hints["max_hours"])
    assert hours.validate_python(0.5) == 0.5
    for wrong in (0, -1.0):
        with pytest.raises(ValidationError, match="greater than 0"):
            hours.validate_python(wrong)
