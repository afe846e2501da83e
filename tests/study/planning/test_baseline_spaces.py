"""Which rivals can be tuned, over which space, and what is refused in one message."""

import pytest

from search_spaces import SearchSpace, get_space
from search_spaces.knobs import LR, TAU, TEMPERATURE
from study.confirm import main as confirm_main
from study.planning.check import check
from study.planning.parser import baseline_names, build_parser
from study.planning.plan import StudyPlan
from study.planning.spaces import baseline_space, check_baselines
from study.terminal.faults import Faults
from trainables.cckd.errors import UsageError

RUN = ("--space", "acckd_smoke", "--data", "digits_lt", "--trials", "4", "--confirm-seeds", "2")


def _plan(tmp_path, *more: str) -> StudyPlan:
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
    plan = _plan(tmp_path, *given)
    assert plan.tuned_baselines == tuned
    alone = _plan(tmp_path)
    assert plan.n_confirm_runs - alone.n_confirm_runs == 2 * len(tuned)
    assert plan.n_tuning_runs == 4 + 6 * 3


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--tuned-baselines", "acckd"], "takes a list of ce, la, kd, cckd, acckd_no_fi, or nothing; got 'acckd'"),
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
        _plan(tmp_path, *given)
    (fault,) = refused.value.faults
    assert told in fault


def test_a_folder_after_the_flag_is_not_taken_for_a_study(capsys) -> None:
    with pytest.raises(SystemExit):
        confirm_main(["--tuned-baselines", "runs/mine"])
    assert "DIR" in capsys.readouterr().err


def test_a_warm_start_is_no_equal_budget(tmp_path) -> None:
    plan = _plan(tmp_path, "--tuned-baselines")
    faults = Faults()
    check_baselines(StudyPlan(**{**vars(plan), "warm_start": "/other"}), get_space("acckd_smoke"), faults)
    (fault,) = faults.found
    assert "--tuned-baselines promises an equal budget" in fault


def test_a_baseline_searches_its_own_knobs_but_for_those_that_hold_for_every_run(tmp_path) -> None:
    plan = _plan(tmp_path, "--set", "lr=0.1")
    studied = get_space("acckd_smoke")
    assert list(baseline_space("la", studied, plan).distributions) == ["tau", "weight_decay"]
    assert baseline_space("kd", studied, plan) == get_space("kd")


def test_training_settings_that_the_studied_method_tunes_are_the_baselines_to_tune_too(tmp_path) -> None:
    studied = SearchSpace("mine", "?", "acckd", (TEMPERATURE, TAU, LR), default_trials=4)
    space = baseline_space("kd", studied, _plan(tmp_path))
    assert list(space.distributions) == ["tau", "temperature", "kd_weight", "lr"]
    assert baseline_space("la", studied, _plan(tmp_path)) == get_space("la")


def test_names_are_read_once_each() -> None:
    assert baseline_names("kd,la,kd") == ("kd", "la")
    assert baseline_names(None) == ()
