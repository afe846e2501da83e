"""The help says everything a user may type, with its default, in 80 columns."""

import shlex

import pytest

from study.planning.parser import build_parser, command_line, resume_command
from study.planning.plan import PRUNERS, SAMPLERS
from study.run import main

FLAGS = [action for action in build_parser()._actions if action.dest != "help"]


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
    entry = " ".join(described.partition(f"\n  {flag} ")[2].partition("\n  --")[0].split())
    assert entry, f"{flag} is not in the help"
    if action.nargs == 0 or action.default == []:  # a switch, or a list that starts empty
        return
    assert "default: " in entry
    if action.default is not None:
        assert f"default: {action.default}" in entry


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
    assert shlex.split(command_line(argv)) == ["python", "-m", "study.run", *argv]
    assert shlex.split(resume_command("/a b/c'd")) == ["python", "-m", "study.resume", "/a b/c'd"]
