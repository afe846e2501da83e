"""Every registered sampler and pruner is made from a study's settings, and nothing else lists their names."""

import subprocess
from pathlib import Path

import pytest

from search_spaces import SearchSpace
from study.planning.plan import OPTIONS
from study.strategy.pruners import PRUNERS
from study.strategy.samplers import SAMPLERS
from study.strategy.search_settings import make_pruner, make_sampler, most_trials

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_is_made_for_any_trial(name: str, space: SearchSpace, settings) -> None:
    for number in (0, 1, 11):
        assert make_sampler(space, settings(sampler=name), number) is not None
    assert most_trials(name, space) >= 100


@pytest.mark.parametrize("name", PRUNERS)
def test_every_pruner_is_made(name: str, settings) -> None:
    assert make_pruner(settings(pruner=name)) is not None


def test_the_command_line_offers_every_row() -> None:
    assert OPTIONS["sampler"].choices == tuple(SAMPLERS)
    assert OPTIONS["pruner"].choices == tuple(PRUNERS)


@pytest.mark.parametrize("name", ["qmc", "gp", "hyperband", "asha"])
def test_no_second_list_names_them(name: str) -> None:
    """A name in quotes, anywhere else in the product."""
    command = ["grep", "-rlF", f'"{name}"', "study", "trainables", "search_spaces", "analysis", "--include=*.py"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    assert found in (["study/strategy/samplers.py"], ["study/strategy/pruners.py"])
