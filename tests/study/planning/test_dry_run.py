"""The lists name everything that can be chosen, in 80 columns."""

import re

import pytest

from search_spaces.registry import list_spaces
from study.run import main
from trainables.cckd.data.registry import list_data


@pytest.fixture
def listed(capsys: pytest.CaptureFixture[str]):
    def run(flag: str) -> str:
        assert main([flag]) == 0
        return capsys.readouterr().out

    return run


def test_list_spaces_names_every_space_with_each_knob_and_its_reference(listed) -> None:
    blocks = {block.partition(":")[0]: block for block in listed("--list-spaces").split("\n\n")}
    assert list(blocks) == [*(space.name for space in list_spaces()), "your own"]
    assert "FILE.yaml" in blocks["your own"]
    assert "module:ATTRIBUTE" in blocks["your own"]
    for space in list_spaces():
        rows = blocks[space.name].splitlines()
        assert f"method {space.method}, {space.default_trials} trials" in rows[0]
        for knob in space.tunable:
            (row,) = (row for row in rows if row.startswith(f"  {knob.name} "))
            assert f"reference {knob.reference}" in row


def test_a_conditional_knob_is_listed_with_its_condition(listed) -> None:
    assert "only where use_kd is True" in " ".join(listed("--list-spaces").split())


def test_list_data_names_every_set_with_its_options_and_splits(listed) -> None:
    blocks = listed("--list-data").strip().split("\n\n")
    for block, info in zip(blocks, list_data(), strict=True):
        call, *described = re.split(r"\n  (?=\S)", block)  # a full line of the call goes on further to the right
        name, _, given = "".join(call.split()).partition(":")
        assert name == info.name
        assert given.split(",") == [f"{option}=..." for option in info.required] + [
            f"{option}={default}" for option, default in info.options.items() if default != ""
        ]
        without_default = {option for option, default in info.options.items() if default == ""} - set(info.required)
        also = [line.removeprefix("also ") for line in described if line.startswith("also ")]
        assert also == (
            [", ".join(option for option in info.options if option in without_default)] * bool(without_default)
        )
        assert f"{info.default_epochs} epochs" in block
        assert all(split in block for split in info.splits)


@pytest.mark.parametrize("flag", ["--list-spaces", "--list-data"])
def test_the_lists_fit_80_columns(listed, flag) -> None:
    assert [line for line in listed(flag).splitlines() if len(line) > 80] == []
