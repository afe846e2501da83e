"""How long a study takes, said before it starts; a study of days needs the user's word."""

from dataclasses import replace
from pathlib import Path

import pytest

from study.measured.machine import this_machine
from study.measured.step_times import StepTimeFile
from study.planning.check import check
from study.planning.checked import Checked
from study.planning.cores import Cores
from study.planning.parser import build_parser
from study.planning.preview.dry_run import dry_run
from study.planning.preview.estimate import (
    Work,
    estimate_lines,
    expected,
    limit_note,
    n_passes,
    refuse_long,
    refuse_short_limit,
    whole_work,
    workers_here,
)
from study.run import main, run_study
from study.terminal.home import CACHE_VARIABLE
from trainables.cckd.errors import UsageError
from trainables.cckd.precision import StepTime
from trainables.cckd.teacher.fit.fit_cost import fit_products

N_TRAIN, N_VAL, N_TEST = 303, 400, 400
DIGITS = ["--space", "acckd_smoke", "--data", "digits_lt", "--recipe", "quick"]


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for module in ("cores", "preview.estimate"):
        monkeypatch.setattr(f"study.planning.{module}.allotted_cores", lambda: Cores(4, ""))

    def build(*flags: str) -> Checked:
        return check(build_parser().parse_args([*DIGITS, "--out", str(tmp_path), *flags]))

    return build


def test_further_cuts_cost_their_training_views_only(asked) -> None:
    assert n_passes(asked("--teacher-views", "2")) == (2 * N_TRAIN + N_VAL + N_TEST, 2 * N_TRAIN)
    assert n_passes(asked("--teacher-views", "2", "--confirm-seeds", "0"))[0] == 2 * N_TRAIN + N_VAL


def test_the_estimate_grows_with_the_cuts(asked, monkeypatch) -> None:
    shown: list[float] = []
    monkeypatch.setattr("study.planning.preview.estimate.duration", lambda seconds: shown.append(seconds) or "x")
    for flags in ((), ("--data-seeds", "2")):
        assert len(estimate_lines(asked("--confirm-seeds", "2", "--trials", "8", *flags))) == 2
    (whole, student, teacher), (_, more_student, more_teacher) = shown[:3], shown[3:]
    # best1, la and kd on two seeds, each at twice the epochs; then the ablation without the confirmation's two runs
    longer = 2 * 2 * 3 + 3 * (2 + 3 + 3) - 2
    assert more_student / student == pytest.approx((8 + 18 + 28 + longer) / (8 + 18 + 14 + longer))
    assert more_teacher / teacher == pytest.approx((2 * 8 * N_TRAIN + 800) / (8 * N_TRAIN + 800))
    assert whole == pytest.approx((student + teacher) / 4)


def test_a_deeper_student_and_more_epochs_take_longer(asked, monkeypatch) -> None:
    shown: list[float] = []
    monkeypatch.setattr("study.planning.preview.estimate.duration", lambda seconds: shown.append(seconds) or "x")
    for flags in ((), ("--epochs", "80"), ("--student", "resnet32_cifar")):
        estimate_lines(asked(*flags))
    once, twice, deep = shown[1::3]
    assert twice == pytest.approx(2 * once)
    assert 3 < deep / once < 9, "on 8x8 pixels a part of a step does not grow with the depth"


@pytest.fixture
def slow_fit(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A machine whose speed is sampled for the smallest fit: 1e5 multiply-adds per second."""
    sampled: list[float] = []
    monkeypatch.setattr("study.planning.preview.estimate._SAMPLED_PRODUCTS", 0.0)
    monkeypatch.setattr("study.planning.preview.estimate._products_per_second", lambda *size: sampled.append(0) or 1e5)
    return sampled


def test_a_fit_of_minutes_is_named_at_the_speed_that_was_sampled(asked, slow_fit, monkeypatch) -> None:
    shown: list[float] = []
    monkeypatch.setattr("study.planning.preview.estimate.duration", lambda seconds: shown.append(seconds) or "x")
    assert "of the teacher's fit at this machine's speed" in estimate_lines(asked("--teacher-views", "8"))[-1]
    assert shown[-1] == pytest.approx(fit_products(N_TRAIN, 8, 1280, 10) / 1e5)
    folds = "--teacher-targets", "out_of_fold", "--teacher-folds", "3"
    estimate_lines(asked("--teacher-views", "8", *folds))
    assert shown[-1] == pytest.approx(fit_products(N_TRAIN, 8, 1280, 10, n_folds=3) / 1e5)
    assert "teacher's fit" not in "".join(estimate_lines(asked("--teacher-form", "ncm")))


def test_each_cut_has_a_fit_of_its_own(asked, slow_fit, monkeypatch) -> None:
    shown: list[float] = []
    monkeypatch.setattr("study.planning.preview.estimate.duration", lambda seconds: shown.append(seconds) or "x")
    line = estimate_lines(asked("--teacher-views", "8", "--data-seeds", "3"))[-1]
    assert line == "about x of the teacher's fits, one per cut, at this machine's speed, none where it is cached"
    assert shown[-1] == pytest.approx(3 * fit_products(N_TRAIN, 8, 1280, 10) / 1e5)


def test_the_time_of_a_fit_on_a_gpu_is_not_known_and_not_named(asked, slow_fit) -> None:
    checked = asked("--teacher-views", "24")
    on_gpu = replace(checked, plan=replace(checked.plan, device="cuda", gpus_per_trial=1.0))
    assert "teacher's fit" not in "".join(estimate_lines(on_gpu))
    refuse_long(on_gpu)
    long = replace(checked, plan=replace(on_gpu.plan, trials=10**8))
    with pytest.raises(UsageError, match="needs --yes-long") as error:
        refuse_long(long)
    assert "the fit of the teacher" not in error.value.faults[0]
    assert not slow_fit, "no speed is sampled"


def test_a_fit_of_seconds_is_neither_sampled_nor_named(asked, monkeypatch) -> None:
    monkeypatch.setattr("study.planning.preview.estimate._products_per_second", lambda *size: pytest.fail("sampled"))
    assert "teacher's fit" not in "".join(estimate_lines(asked()))


def test_a_fit_of_days_needs_a_word_and_another_form_none(asked, slow_fit) -> None:
    views = "--teacher-views", "24"
    with pytest.raises(UsageError, match=r"needs --yes-long; .*; the fit of the teacher takes \d+ h") as error:
        refuse_long(asked(*views))
    assert error.value.faults[0].endswith("of it, none with --teacher-form ncm")
    refuse_long(asked(*views, "--teacher-form", "ncm"))
    refuse_long(asked(*views, "--address", "auto"))


def test_workers_are_the_trials_that_fit_this_machine(asked) -> None:
    assert workers_here(asked().plan) == 4
    assert workers_here(asked("--cpus-per-trial", "3").plan) == 1
    assert workers_here(asked("--cpus-per-trial", "4").plan) == 1
    assert workers_here(asked("--max-concurrent", "2").plan) == 2
    assert workers_here(asked("--address", "auto").plan) is None
    assert workers_here(asked("--address", "auto", "--max-concurrent", "9").plan) == 9


def test_trials_that_share_a_core_take_turns_which_their_own_pace_knows(asked) -> None:
    for share in ("0.5", "0.25", "0.1"):
        checked = asked("--cpus-per-trial", share)
        assert workers_here(checked.plan) == 4
        assert "on 4 workers, an estimate" in expected(checked)
        at_once = round(4 / float(share))
        paced = Work(100, own_cut=False, further_cuts=0, epoch_s=3.0)
        assert f"on {at_once} workers, by the pace" in expected(checked, paced)
    assert workers_here(asked("--cpus-per-trial", "0.5", "--max-concurrent", "3").plan) == 3


def test_the_expected_time_names_a_shorter_recipe_unless_it_is_that(asked) -> None:
    assert "on 4 workers, an estimate" in expected(asked())
    assert "--recipe quick" not in expected(asked())
    assert "--recipe quick is for a first look" in expected(asked("--recipe", "field"))
    assert "one worker's training" in expected(asked("--address", "auto"))


@pytest.mark.parametrize(
    ("flags", "choices"),
    [
        (("--epochs", "500000"), "--yes-long, fewer --trials"),
        (("--trials", "900000"), "--yes-long, --max-hours 24, fewer --trials"),
        (("--recipe", "field", "--trials", "300000"), "--yes-long, --max-hours 24, --recipe quick or fewer --trials"),
        (("--student", "resnet32_cifar", "--epochs", "99999"), "--yes-long, fewer --trials"),
    ],
)
def test_a_study_of_days_needs_a_word(asked, flags: tuple[str, ...], choices: str) -> None:
    with pytest.raises(UsageError, match=r"more than 24 hours needs --yes-long; .* on 4 workers") as error:
        refuse_long(asked(*flags))
    assert error.value.faults[0].endswith(f"choices: {choices}")


@pytest.mark.parametrize(
    "flags",
    [("--trials", "900000"), ("--ablation-seeds", "90000"), ("--trials", "99999", "--student", "resnet32_cifar")],
)
def test_hours_that_end_a_study_within_a_day_need_no_word_and_others_do(asked, flags: tuple[str, ...]) -> None:
    slow = asked(*flags)
    with pytest.raises(UsageError, match="choices: --yes-long, --max-hours 24, "):
        refuse_long(slow)
    for hours in (12.0, 24.0):
        refuse_long(replace(slow, plan=replace(slow.plan, max_hours=hours)))
    with pytest.raises(UsageError, match=r"an estimate, of which --max-hours allows 24\.5; choices: --yes-long, "):
        refuse_long(replace(slow, plan=replace(slow.plan, max_hours=24.5)))


@pytest.mark.parametrize(
    "flags", [("--confirm-seeds", "900000"), ("--finalist-seeds", "900000"), ("--epochs", "900000")]
)
def test_hours_do_not_end_a_study_whose_selection_and_confirmation_take_days(asked, flags: tuple[str, ...]) -> None:
    checked = asked(*flags, "--max-hours", "12")
    with pytest.raises(UsageError, match="needs --yes-long") as error:
        refuse_long(checked)
    assert "--max-hours 24" not in error.value.faults[0]


def test_a_teachers_fit_of_days_is_not_ended_by_hours(asked, slow_fit) -> None:
    with pytest.raises(UsageError, match=r"choices: --yes-long, fewer --trials; the fit of the teacher takes"):
        refuse_long(asked("--teacher-views", "24", "--max-hours", "12"))


def _share(checked: Checked) -> float:
    """The hours of selection and confirmation by the note, in minutes or seconds as it has them."""
    note = limit_note(checked)
    assert note is not None
    return float(note.partition(" take about ")[2].split()[0])


def test_what_hours_never_leave_out_is_told_before_a_study_starts(asked, monkeypatch) -> None:
    monkeypatch.setattr("study.planning.preview.estimate.duration", lambda seconds: f"{seconds} s")
    assert limit_note(asked()) is None
    assert limit_note(asked("--address", "auto", "--max-hours", "9")) is None, "its workers are not known"
    assert limit_note(asked("--finalists", "0", "--confirm-seeds", "0", "--max-hours", "9")) is None
    checked = asked("--max-hours", "9")
    plan, work = checked.plan, whole_work(checked)
    n_kept = plan.n_selection_runs + plan.n_confirm_runs
    assert work.kept_epochs == n_kept * plan.epochs < work.epochs
    note = limit_note(checked)
    assert note is not None
    assert note.startswith("--max-hours 9 never leaves out selection and confirmation; they take about ")
    assert note.endswith(" s (an estimate)")
    assert note in " ".join(dry_run(checked).split())
    assert "--max-hours" not in dry_run(asked())
    tuned = asked("--max-hours", "9", "--tuned-baselines", "la")
    n_tuned = 2 * tuned.plan.n_selection_runs + tuned.plan.n_confirm_runs
    assert _share(tuned) / _share(checked) == pytest.approx(n_tuned / n_kept)
    assert ", more than these hours (" in str(limit_note(asked("--max-hours", "0.0002")))


@pytest.mark.parametrize(
    ("flags", "choices"),
    [
        ((), "more hours, --finalists 0, fewer --confirm-seeds"),
        (("--recipe", "field"), "more hours, --finalists 0, fewer --confirm-seeds, --recipe quick"),
        (("--finalists", "0"), "more hours, fewer --confirm-seeds"),
        (("--confirm-seeds", "0"), "more hours, --finalists 0"),
    ],
)
def test_hours_that_selection_and_confirmation_exceed_are_refused(asked, flags: tuple[str, ...], choices: str) -> None:
    second = ("--max-hours", str(1 / 3600))
    with pytest.raises(UsageError) as error:
        refuse_short_limit(asked(*flags, *second))
    (fault,) = error.value.faults
    assert fault.startswith("--max-hours must leave room for selection and confirmation, which are never left out and ")
    assert fault.endswith(f"; got 0.000277778; choices: {choices}")
    refuse_short_limit(asked(*flags, "--max-hours", "100"))
    refuse_short_limit(asked(*flags))
    refuse_short_limit(asked(*flags, "--address", "auto", *second))
    refuse_short_limit(asked("--finalists", "0", "--confirm-seeds", "0", *second))


@pytest.mark.parametrize("word", [(), ("--yes-long",)])
def test_such_hours_are_refused_before_anything_is_made(tmp_path: Path, monkeypatch, capsys, word) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*DIGITS, "--max-hours", "0.0002", *word]) == 2
    assert "--max-hours must leave room for selection and confirmation" in capsys.readouterr().err
    with pytest.raises(UsageError, match="--max-hours must leave room"):
        run_study(space="acckd_smoke", data="digits_lt", recipe="quick", max_hours=0.0002, yes_long=bool(word))
    assert list(tmp_path.iterdir()) == []


def test_a_short_study_needs_none_and_neither_does_a_cluster_of_unknown_size(asked) -> None:
    refuse_long(asked())
    refuse_long(asked("--address", "auto", "--epochs", "500000"))


def test_the_refusal_comes_before_anything_is_made(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*DIGITS, "--epochs", "900000"]) == 2
    assert "needs --yes-long" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_yes_long_starts_it(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    begun: list[Checked] = []
    monkeypatch.setattr("study.phases.session.begin.begin", lambda checked, *_: begun.append(checked) or 0)
    assert main([*DIGITS, "--epochs", "900000", "--yes-long"]) == 0
    assert begun[0].plan.epochs == 900000


def test_a_step_that_was_timed_here_says_how_long_the_students_train(asked, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    shown: list[float] = []
    monkeypatch.setattr("study.planning.preview.estimate.duration", lambda seconds: shown.append(seconds) or "x")
    checked = asked()
    assert "an estimate" in expected(checked)
    StepTimeFile(this_machine(), checked.step_shape).keep(StepTime(0.08, 1.6))
    assert "by a step that was timed here" in expected(checked)
    for precision, by in ((None, 1.6), ("bfloat16", 1.6), ("float32", 1.0)):
        shown.clear()
        estimate_lines(replace(checked, plan=replace(checked.plan, precision=precision)))
        batch = checked.plan.training["batch_size"]
        assert checked.step_shape.n_samples == 2 * batch, "a step that mixes has as many mixed samples"
        n_steps = checked.plan.epochs * (N_TRAIN // batch)
        n_trials = checked.plan.n_tuning_runs + checked.plan.closing_cost(checked.space)
        mean_samples = batch * (1 + 0.75)  # the last quarter of the epochs mixes nothing
        assert shown[1] == pytest.approx(n_trials * n_steps * 0.08 / by * mean_samples / (2 * batch))
    # On other machines other steps count.
    for elsewhere in ({"address": "auto", "max_concurrent": 2}, {"device": "cuda", "gpus_per_trial": 1.0}):
        monkeypatch.setattr("study.planning.preview.estimate.workers_here", lambda plan: 2)
        assert "an estimate" in expected(replace(checked, plan=replace(checked.plan, **elsewhere)))
