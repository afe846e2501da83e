"""`study.run_study` asks for the same study as the command line, and tells its end by a value or an error."""

import shlex
from pathlib import Path
from typing import Any

import pytest

import study
from study.phases.state.study_in_progress import StudyFailed
from study.planning.check import check
from study.planning.checked import Checked
from study.planning.parser import build_parser
from trainables.cckd.errors import UsageError

CHOICES: dict[str, Any] = {
    "space": "acckd_smoke",
    "data": "digits_lt",
    "trials": 5,
    "teacher": {"form": "ncm", "views": 2},
    "overrides": {"lr": 0.1, "schedule": "cosine", "use_kd": False},
    "guards": {"few": 1.5},
    "tuned_baselines": ("kd", "la"),
    "verbose": True,
    "device": "cpu",
    "trial_timeout": 0,
}


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[Checked, str]]:
    monkeypatch.chdir(tmp_path)
    found: list[tuple[Checked, str]] = []
    monkeypatch.setattr("study.phases.session.begin.begin", lambda *given: found.append(given[:2]) or 0)
    return found


def test_choices_are_fields_of_the_plan(begun) -> None:
    folder = study.run_study(**CHOICES, out="kept", name="mine")
    ((checked, _),) = begun
    plan = checked.plan
    assert folder == checked.folder == Path.cwd() / "kept" / "mine"
    assert (plan.space, plan.trials, plan.teacher.form, plan.teacher.views) == ("acckd_smoke", 5, "ncm", 2)
    assert plan.overrides == CHOICES["overrides"]
    assert (plan.guards, plan.tuned_baselines, plan.verbose) == ({"few": 1.5}, ("kd", "la"), True)
    assert (plan.skip_corrupt, plan.trial_timeout) == (False, 0.0)


def test_two_objectives_are_asked_for_by_the_second(begun) -> None:
    study.run_study(space="acckd_smoke", data="digits_lt", second_objective="few")
    assert begun[0][0].plan.second_objective == "few"


def test_a_plan_asks_for_itself_and_its_command_line_for_the_same(begun) -> None:
    study.run_study(**CHOICES)
    (first, _) = begun[0]
    study.run_study(first.plan)
    second, command = begun[1]
    assert second.plan == first.plan
    words = shlex.split(command)
    assert words[:3] == ["python", "-m", "study.run"]
    assert check(build_parser().parse_args([*words[3:], "--name", "again"])).plan == first.plan
    study.run_study(first.plan, trials=7)
    assert begun[2][0].plan.trials == 7


def test_every_fault_of_the_choices_is_told_at_once(begun) -> None:
    with pytest.raises(UsageError) as caught:
        study.run_study(data="digits_lt", trials=0, sampler="luck")
    assert [fault.split()[0] for fault in caught.value.faults] == ["--trials", "--sampler"]
    with pytest.raises(UsageError, match=r"there is no choice 'trails'; choices: space, own_method, data, .*trials"):
        study.run_study(trails=3)
    with pytest.raises(TypeError, match="colour"):
        study.run_study(teacher={"colour": "red"})
    assert begun == []


@pytest.mark.parametrize(
    ("choices", "faults"),
    [
        ({"data": ["digits_lt"]}, ["--data must be one value; got ['digits_lt']"]),
        ({"guards": "many=1"}, ["--guard must be a mapping; got 'many=1'"]),
        ({"overrides": "lr=0.1"}, ["--set must be a mapping; got 'lr=0.1'"]),
        ({"skip_corrupt": 1}, ["--skip-corrupt must be true or false; got 1"]),
        ({"trials": True}, ["--trials must be one value; got True"]),
        ({"ladder": {"ce": 1}}, ["--ladder must be a list; got {'ce': 1}"]),
        ({"teacher": ["resnet50"]}, ["--teacher must be one value; got ['resnet50']"]),
        ({"teacher": {"views": [8]}}, ["--teacher-views must be one value; got [8]"]),
        (
            {"space": {"name": "mine"}, "verbose": "yes"},
            ["--space must be one value; got {'name': 'mine'}", "--verbose must be true or false; got 'yes'"],
        ),
    ],
    ids=str,
)
def test_a_value_of_a_kind_that_no_flag_takes_is_refused_not_dropped(
    begun, choices: dict[str, Any], faults: list[str]
) -> None:
    with pytest.raises(UsageError) as caught:
        study.run_study(**{"space": "acckd_smoke", "data": "digits_lt"} | choices)
    assert list(caught.value.faults) == faults
    assert begun == []


def test_a_teachers_name_stands_for_the_teacher(begun) -> None:
    with pytest.raises(UsageError, match=r"^teacher must be a model of timm, e\.g\. resnet50, .*; got 'resnet50x'$"):
        study.run_study(space="acckd_smoke", data="digits_lt", teacher="resnet50x")
    study.run_study(space="acckd_smoke", data="digits_lt", teacher="tf_efficientnet_lite0")
    assert begun[0][0].plan.teacher.name == "tf_efficientnet_lite0"
    study.run_study(space="acckd_smoke", data="digits_lt", teacher=None)
    assert begun[1][0].plan.teacher == begun[0][0].plan.teacher


@pytest.mark.parametrize(("code", "error"), [(1, StudyFailed), (130, KeyboardInterrupt)])
def test_another_end_is_an_error(begun, monkeypatch: pytest.MonkeyPatch, code: int, error: type[BaseException]) -> None:
    monkeypatch.setattr("study.phases.session.begin.begin", lambda *_: code)
    with pytest.raises(error):
        study.run_study(**CHOICES)
