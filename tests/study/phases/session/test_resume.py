"""A study that goes on: what may change, what stays, and what is refused."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from study import ablate, confirm, replay, resume
from study.entry.continuation import analyses
from study.phases.session import resume as module
from study.phases.session.begin import begin
from study.phases.state.study_in_progress import Study, StudyFailed
from study.planning.check import check
from study.planning.cores import Cores
from study.planning.parser import build_parser
from study.records.ledger import Ledger
from study.records.store import StudyStore
from tests.study.phases.session.played_session import manifest_of, pressing, raising


def _end_trials(study: Study, n: int) -> None:
    for number in range(n):
        study.ledger.ask(lambda params, replicate: 1)
        study.ledger.fail(number, "non-finite loss: it")
    study.export()


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize("status", ["running", "done", "failed"])
def test_ctrl_c_before_a_resumed_study_goes_on_keeps_its_state_but_none_that_a_dead_driver_has_left(
    small, play, folder, monkeypatch, status: str
) -> None:
    play(lambda study: None)
    assert begin(small, "...", analyses()) == 0
    StudyStore(folder).update_manifest(status=status)
    monkeypatch.setattr(module, "_open_ledger", pressing)
    assert resume.main([str(folder)]) == 130
    assert manifest_of(folder)["status"] == {"running": "interrupted"}.get(status, status)


def test_resume_tries_what_failed_again_and_says_how_much(small, play, folder, capsys) -> None:
    def act(study: Study) -> None:
        for number, cause in enumerate(("hung: no report", "non-finite loss: nan")):
            study.ledger.ask(lambda *_: 1)
            study.ledger.fail(number, cause)
        study.ledger.runs.start_rerun("kd-seed1")
        study.ledger.runs.fail_rerun("kd-seed1", "hung: no report")

    play(act)
    begin(small, "...", analyses())
    play(lambda study: None)
    assert resume.main([str(folder)]) == 0
    assert "tried again" not in capsys.readouterr().out
    seen: list[dict[str, int]] = []
    play(lambda study: seen.append(study.ledger.counts()))
    assert resume.main([str(folder), "--retry-failed"]) == 0
    told = "NOTE     1 failed trials and 1 later runs are tried again; 1 would fail again and stay failed"
    assert told in capsys.readouterr().out.splitlines()
    assert (seen[0]["running"], seen[0]["fail"]) == (1, 1)


def test_a_second_driver_is_refused_and_told_who_is_at_work(small, play, folder, capsys) -> None:
    codes = []
    play(lambda study: codes.append(resume.main([str(folder)])))
    assert begin(small, "...", analyses()) == 0
    assert codes == [2]
    assert "is held by process" in capsys.readouterr().err


def test_resuming_drives_the_same_study_again(small, play, folder) -> None:
    play(raising(KeyboardInterrupt()))
    begin(small, "first", analyses())
    driven = []
    play(driven.append)
    assert resume.main([str(folder)]) == 0
    assert driven[0].checked.plan == small.plan
    assert driven[0].store.path == folder
    commands = [start["command"] for start in manifest_of(folder)["starts"]]
    assert commands == ["first", f"python -m study.resume {folder}"]


def test_resume_changes_what_it_was_given(small, play, folder, tmp_path: Path) -> None:
    play(lambda study: None)
    begin(replace(small, plan=replace(small.plan, trials_per_process=2)), "...", analyses())
    driven = []
    play(lambda study: driven.append((study.checked.plan, study.ledger.settings)))
    flags = ("--trials", "6", "--address", "auto", "--device", "cuda", "--max-concurrent", "3", "--storage", "~/x")
    assert resume.main([str(folder), *flags]) == 0
    ((plan, settings),) = driven
    assert (plan.trials, settings.trials, manifest_of(folder)["plan"]["trials"]) == (6, 6, 6)
    assert (plan.address, plan.device, plan.gpus_per_trial, plan.max_concurrent) == ("auto", "cuda", 1.0, 3)
    assert plan.trials_per_process == 1, "a trial that takes a whole GPU shares it with none"
    assert plan.storage == str(Path("~/x").expanduser())
    assert settings.n_sobol == 3, "an extended study keeps its evenly spread points"


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--device", "cuda"), "--device cuda needs a CUDA device, and torch sees none; without one give --device cpu"),
        (("--max-hours", "0"), "--max-hours must be a number above 0 and at most 4294967295; got '0'"),
        (
            ("--device", "cuda", "--max-hours", "0"),
            "--max-hours must be a number above 0 and at most 4294967295; got '0'",
        ),
    ],
)
def test_resume_judges_the_plan_that_the_flags_make_and_changes_nothing(
    small, play, folder, capsys, monkeypatch, flags, told: str
) -> None:
    play(raising(KeyboardInterrupt()))
    begin(small, "...", analyses())
    monkeypatch.setattr("study.planning.readers._has_cuda", lambda: False)
    before = [(folder / name).read_bytes() for name in ("study.json", "study.yaml")]
    capsys.readouterr()
    assert resume.main([str(folder), *flags]) == 2
    assert told in capsys.readouterr().err
    assert [(folder / name).read_bytes() for name in ("study.json", "study.yaml")] == before


@pytest.mark.parametrize(
    ("device", "share", "together", "kept"),
    [("cuda", 0.25, 1, (0.25, 1)), ("cuda", 0.25, 4, (0.25, 4)), ("cpu", 0.25, 4, (0.0, 1))],
)
def test_a_device_that_is_named_again_keeps_the_share_of_a_gpu(
    small, play, folder, monkeypatch, device: str, share: float, together: int, kept: tuple[float, int]
) -> None:
    monkeypatch.setattr("study.planning.readers._has_cuda", lambda: True)
    monkeypatch.setattr("study.planning.cores.allotted_cores", lambda: Cores(4, ""))
    play(lambda study: None)
    on_gpu = {"device": "cuda", "gpus_per_trial": share, "trials_per_process": together, "precision": "bfloat16"}
    begin(replace(small, plan=replace(small.plan, **on_gpu)), "...", analyses())
    driven = []
    play(lambda study: driven.append(study.checked.plan))
    assert resume.main([str(folder), "--device", device]) == 0
    assert (driven[0].device, driven[0].gpus_per_trial, driven[0].trials_per_process) == (device, *kept)


def test_a_cluster_is_asked_behind_every_other_check(small, play, folder, monkeypatch) -> None:
    play(lambda study: None)
    assert begin(small, "...", analyses()) == 0
    monkeypatch.setattr("study.phases.session.begin.try_to_join", lambda address: pytest.fail("it takes seconds"))
    for flags in (["--max-hours", "0"], ["--storage", "s3://b"], ["--trials", "0"]):
        monkeypatch.setattr("study.phases.session.begin.probe", lambda storage: "there is no such bucket")
        assert resume.main([str(folder), "--address", "head:6379", *flags]) == 2


@pytest.mark.parametrize("flags", [("--address", "ray://head:10001"), ("--storage", "ftp://x"), ("--trials", "0")])
def test_resume_refuses_what_run_refuses(tmp_path: Path, capsys, flags) -> None:
    assert resume.main([str(tmp_path), *flags]) == 2
    assert capsys.readouterr().err.startswith(f"error: {flags[0]} ")


def test_confirm_changes_finalists_and_seeds(small, play, folder) -> None:
    play(lambda study: None)
    begin(small, "...", analyses())
    driven = []
    play(lambda study: driven.append(study.checked.plan))
    assert confirm.main([str(folder), "--top", "3", "--seeds", "4"]) == 0
    assert (driven[0].confirm_top, driven[0].confirm_seeds, driven[0].trials) == (3, 4, 4)


@pytest.mark.parametrize(
    ("flag", "field", "begun"), [("--seeds", "confirm_seeds", 6), ("--data-seeds", "data_seeds", 3)]
)
def test_fewer_seeds_or_cuts_than_a_confirmation_was_begun_with_are_refused(
    small, play, folder, capsys, flag: str, field: str, begun: int
) -> None:
    """Who may stop at any seed may stop at a lucky one; before the test set is opened nobody knows a lucky one."""
    play(lambda study: None)
    begin(replace(small, plan=replace(small.plan, confirm_seeds=6, data_seeds=3)), "...", analyses())
    assert confirm.main([str(folder), flag, str(begun - 1)]) == 0
    assert manifest_of(folder)["plan"][field] == begun - 1
    play(lambda study: study.ledger.runs.add_confirm_run("la", 1, None, {}))
    assert confirm.main([str(folder), flag, str(begun)]) == 0
    play(lambda study: pytest.fail("it must not go on"))
    before = (folder / "study.json").read_bytes()
    capsys.readouterr()
    assert confirm.main([str(folder), flag, str(begun - 1)]) == 2
    said = f"{flag} is a total and must not be below the {begun} that the confirmation was begun with; got {begun - 1}"
    assert capsys.readouterr().err == f"error: {said}\n"
    assert (folder / "study.json").read_bytes() == before
    play(lambda study: None)
    assert confirm.main([str(folder), flag, str(begun + 1)]) == 0


def test_confirm_adds_rungs_to_the_ladder_and_takes_none_away(folder, play, tmp_path) -> None:
    what = ["--space", "acckd_smoke", "--data", "digits_lt", "--out", str(tmp_path), "--name", "mine"]
    play(lambda study: None)
    few = check(build_parser().parse_args([*what, "--trials", "4", "--confirm-seeds", "0", "--ladder", "acckd"]))
    begin(few, "...", analyses())
    assert confirm.main([str(folder), "--ladder", "cckd"]) == 0
    assert manifest_of(folder)["plan"]["ladder"] == ["la", "kd", "cckd", "acckd"]
    before = (folder / "study.json").read_bytes()
    assert confirm.main([str(folder), "--ladder", "cckd,none"]) == 2
    assert (folder / "study.json").read_bytes() == before


def test_confirm_at_a_longer_training_is_remembered_by_the_folder(small, play, folder) -> None:
    driven = []
    play(lambda study: driven.append(study.checked.plan.n_longer_runs))
    begin(small, "...", analyses())
    assert confirm.main([str(folder), "--seeds", "2", "--epochs-factor", "3"]) == 0
    assert resume.main([str(folder)]) == 0
    assert [list(runs) for runs in driven[1:]] == [[2, 3], [2, 3]]


def test_ablate_is_remembered_by_the_folder_and_takes_no_knob_away(small, play, folder) -> None:
    plans = []
    play(lambda study: plans.append(study.checked.plan))
    begin(small, "...", analyses())
    assert ablate.main([str(folder), "--seeds", "5", "--knobs", "mix_ratio"]) == 0
    assert ablate.main([str(folder), "--knobs", "temperature,mix_ratio", "--test"]) == 0
    assert resume.main([str(folder)]) == 0
    assert ablate.main([str(folder)]) == 0
    asked = [(plan.ablation_seeds, plan.ablation_knobs, plan.ablation_on_test) for plan in plans]
    both = ("mix_ratio", "temperature")
    assert asked[:4] == [(3, (), False), (5, ("mix_ratio",), False), (5, both, True), (5, both, True)]
    assert asked[4:] == [(5, both, False)], "the test set is opened where it is asked for"


@pytest.mark.parametrize(("flags", "seeds"), [([], 3), (["--seeds", "2"], 2)])
def test_ablate_asks_for_what_a_study_without_an_ablation_did_not_plan(small, play, folder, flags, seeds) -> None:
    plans = []
    play(lambda study: plans.append(study.checked.plan))
    begin(replace(small, plan=replace(small.plan, ablation_seeds=0)), "...", analyses())
    assert resume.main([str(folder)]) == 0
    assert ablate.main([str(folder), *flags]) == 0
    assert [plan.ablation_seeds for plan in plans] == [0, 0, seeds]


def test_a_knob_that_is_not_searched_is_refused_and_changes_nothing(small, play, folder, capsys) -> None:
    play(lambda study: None)
    begin(small, "...", analyses())
    before = (folder / "study.json").read_bytes()
    capsys.readouterr()
    assert ablate.main([str(folder), "--knobs", "tau,temperature,colour"]) == 2
    said = "--knobs must each be a searched knob (temperature, mix_ratio, estimator); got tau, colour\n"
    assert capsys.readouterr().err == f"error: {said}"
    assert (folder / "study.json").read_bytes() == before


@pytest.mark.parametrize(
    ("command", "flags"),
    [
        (confirm, ["--seeds", "6", "--epochs-factor", "900000"]),
        (confirm, ["--seeds", "900000"]),
        (ablate, ["--seeds", "900000"]),
    ],
)
def test_a_continuation_of_days_needs_a_word_once(small, play, folder, capsys, command, flags) -> None:
    driven = []
    play(lambda study: driven.append(study.checked.plan))
    begin(small, "...", analyses())
    before = [(folder / name).read_bytes() for name in ("study.json", "study.yaml", "study.db")]
    capsys.readouterr()
    assert command.main([str(folder), *flags]) == 2
    said = "error: a study of more than 24 hours needs --yes-long; what is missing of this one takes about "
    assert capsys.readouterr().err.startswith(said)
    assert [(folder / name).read_bytes() for name in ("study.json", "study.yaml", "study.db")] == before
    assert command.main([str(folder), *flags, "--yes-long"]) == 0
    assert resume.main([str(folder)]) == 0, "what was accepted is not asked about again"
    (begun, accepted, resumed) = driven
    assert begun != accepted == resumed
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("time ")]
    assert len(told) == 2
    assert all("for what is missing on" in line for line in told)


def test_more_trials_of_days_need_a_word_and_more_of_minutes_none(small, play, folder, capsys) -> None:
    play(lambda study: None)
    begin(small, "...", analyses())
    before = (folder / "study.json").read_bytes()
    assert resume.main([str(folder), "--trials", "900000"]) == 2
    assert "needs --yes-long; what is missing of this one takes about " in capsys.readouterr().err
    assert (folder / "study.json").read_bytes() == before
    ledger = Ledger.open(folder / "study.db")
    assert ledger.settings.trials == 4
    ledger.close()
    assert resume.main([str(folder), "--trials", "5"]) == 0
    assert resume.main([str(folder), "--trials", "900000", "--yes-long"]) == 0
    assert resume.main([str(folder), "--max-retries", "3"]) == 0, "it asks for no more"
    assert confirm.main([str(folder)]) == 2, "a confirmation asks whatever the plan was"


def test_hours_are_judged_where_they_are_asked_for_and_end_what_they_can(small, play, folder, capsys) -> None:
    driven = []
    play(lambda study: driven.append(study.checked.plan.max_hours))
    begin(small, "...", analyses())
    before = [(folder / name).read_bytes() for name in ("study.json", "study.yaml", "study.db")]
    capsys.readouterr()
    for command in (resume, confirm, ablate):
        assert command.main([str(folder), "--max-hours", "0.0001"]) == 2
        said = capsys.readouterr().err
        assert said.startswith(
            "error: --max-hours must leave room for selection and confirmation, which are never left "
        )
        assert said.endswith("; got 0.0001; choices: more hours, fewer runs\n")
    assert [(folder / name).read_bytes() for name in ("study.json", "study.yaml", "study.db")] == before
    assert resume.main([str(folder), "--trials", "900000", "--max-hours", "12"]) == 0, "it ends within a day"
    assert "NOTE     --max-hours 12 never leaves out selection and confirmation" in capsys.readouterr().out
    assert resume.main([str(folder), "--max-hours", "200"]) == 2, "it no longer does"
    assert "needs --yes-long; what is missing of this one takes about " in capsys.readouterr().err
    assert resume.main([str(folder), "--max-hours", "6"]) == 0
    assert ablate.main([str(folder), "--seeds", "900000"]) == 0, "an ablation that does not fit is left out"
    assert confirm.main([str(folder), "--seeds", "900000"]) == 2, "a confirmation is not"
    assert "needs --yes-long" in capsys.readouterr().err
    assert driven == [None, 12, 6, 6]


def test_a_study_that_goes_on_as_planned_is_not_refused_for_its_hours(small, play, folder, capsys) -> None:
    play(lambda study: None)
    begin(replace(small, plan=replace(small.plan, max_hours=0.0001)), "...", analyses())
    capsys.readouterr()
    assert resume.main([str(folder)]) == 0
    assert ", more than these hours (an estimate)" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("top", ["5", "60", "4294967295"])
def test_more_trials_to_confirm_than_there_are_are_refused(small, play, folder, capsys, top: str) -> None:
    play(lambda study: None)
    begin(small, "...", analyses())
    before = (folder / "study.json").read_bytes()
    capsys.readouterr()
    assert confirm.main([str(folder), "--top", top]) == 2
    assert capsys.readouterr().err == f"error: --top must not exceed the number of trials, 4; got {top}\n"
    assert (folder / "study.json").read_bytes() == before
    assert confirm.main([str(folder), "--top", "4"]) == 0


def test_a_study_that_an_earlier_version_began_with_odd_shares_goes_on(small, play, folder) -> None:
    plans = []
    play(lambda study: plans.append(study.checked.plan))
    plan = replace(small.plan, cpus_per_trial=0.01, confirm_top=60)
    begin(replace(small, plan=plan), "...", analyses())
    assert resume.main([str(folder)]) == 0
    assert (plans[1].cpus_per_trial, plans[1].confirm_top, plans[1].n_confirmed) == (0.01, 60, 4)


@pytest.mark.parametrize(("cpus", "together"), [(64.0, 1), (3.0, 1), (1.0, 3)])
def test_a_study_that_fits_no_core_of_this_machine_is_refused_and_left_alone(
    small, play, folder, capsys, monkeypatch, cpus: float, together: int
) -> None:
    monkeypatch.setattr("study.planning.cores.allotted_cores", lambda: Cores(2, "SLURM"))
    play(lambda study: None)
    plan = replace(small.plan, cpus_per_trial=cpus, trials_per_process=together)
    begin(replace(small, plan=plan), "...", analyses())
    before = (folder / "study.json").read_bytes()
    capsys.readouterr()
    play(lambda study: pytest.fail("it fits no core"))
    assert resume.main([str(folder)]) == 2
    said = capsys.readouterr().err
    assert " must be at most 2, what SLURM allots of this machine; got " in said
    assert said.endswith("a larger one is for a cluster (--address)\n")
    assert (folder / "study.json").read_bytes() == before
    play(lambda study: None)
    assert resume.main([str(folder), "--address", "auto"]) == 0


def test_a_study_without_a_database_lacks_all_of_it(small, play, folder, capsys) -> None:
    play(lambda study: None)
    begin(small, "...", analyses())
    (folder / "study.db").unlink()
    assert confirm.main([str(folder), "--seeds", "900000"]) == 2
    assert "needs --yes-long" in capsys.readouterr().err
    assert not (folder / "study.db").exists()
    assert confirm.main([str(folder), "--seeds", "2"]) == 0


def test_images_that_cuts_share_are_told_when_the_cuts_are_asked_for(small, play, folder, monkeypatch, capsys) -> None:
    play(lambda study: None)
    begin(small, "...", analyses())
    monkeypatch.setattr("study.planning.tail_subsets.SharedImages.in_training", lambda self, train: {"test": 3})

    def told() -> list[str]:
        return [row["text"][:5] for row in manifest_of(folder)["cautions"] if row["reason"] == "shared_images"]

    assert told() == []
    assert confirm.main([str(folder), "--seeds", "2", "--data-seeds", "3"]) == 0
    assert told() == ["cut 1", "cut 2"]
    assert "NOTE     cut 2 of the long tail (--data-seeds) trains on 3 of the test images," in capsys.readouterr().out
    assert resume.main([str(folder)]) == 0
    assert "trains on" not in capsys.readouterr().out
    assert confirm.main([str(folder), "--data-seeds", "4"]) == 0
    assert told() == ["cut 1", "cut 2", "cut 3"]


@pytest.mark.parametrize("factor", ["1", "0", "-2", "1.5", "x"])
def test_a_factor_that_is_no_whole_number_from_2_is_refused(small, play, folder, capsys, factor: str) -> None:
    play(lambda study: None)
    begin(small, "...", analyses())
    capsys.readouterr()
    assert confirm.main([str(folder), "--epochs-factor", factor]) == 2
    assert f"--epochs-factor must be a whole number from 2 to 4294967295; got '{factor}'" in capsys.readouterr().err


def test_a_factor_without_a_confirmation_is_refused_and_changes_nothing(small, play, folder, capsys) -> None:
    play(lambda study: None)
    plan = replace(small.plan, confirm_seeds=0)
    begin(replace(small, plan=plan), "...", analyses())
    before = (folder / "study.json").read_bytes()
    capsys.readouterr()
    assert confirm.main([str(folder), "--epochs-factor", "2"]) == 2
    said = "--epochs-factor above 1 is for the confirmation, which --confirm-seeds 0 skips; got 2"
    assert said in capsys.readouterr().err
    assert (folder / "study.json").read_bytes() == before


def test_a_total_below_the_trials_already_run_is_refused_and_changes_nothing(small, play, folder, capsys) -> None:
    def act(study: Study) -> None:
        for _ in range(3):
            study.ledger.ask(lambda params, replicate: 1)

    play(act)
    begin(small, "...", analyses())
    before = (folder / "study.json").read_bytes()
    assert resume.main([str(folder), "--trials", "2"]) == 2
    assert "must not be below the 3 trials already run; got 2" in capsys.readouterr().err
    assert (folder / "study.json").read_bytes() == before
    ledger = Ledger.open(folder / "study.db")
    assert ledger.settings.trials == 4
    ledger.close()


def test_a_study_killed_before_it_had_a_database_is_begun_on_resume(small, play, folder) -> None:
    play(lambda study: None)
    begin(small, "...", analyses())
    (folder / "study.db").unlink()
    assert resume.main([str(folder)]) == 0
    ledger = Ledger.open(folder / "study.db")
    assert (ledger.settings.trials, ledger.n_asked) == (4, 0)
    ledger.close()


@pytest.mark.parametrize("command", [resume, confirm, ablate])
@pytest.mark.parametrize("ended", ["done", "interrupted", "failed", "killed"])
@pytest.mark.parametrize("harm", [Path.unlink, lambda database: database.write_bytes(b"")])
def test_a_study_that_has_lost_its_trials_is_refused_and_keeps_what_is_left(
    small, play, folder, capsys, command, ended: str, harm: Callable[[Path], object]
) -> None:
    def act(study: Study) -> None:
        _end_trials(study, 3)
        if ended != "done":
            raise {"interrupted": KeyboardInterrupt(), "failed": StudyFailed("it"), "killed": RuntimeError()}[ended]

    play(act)
    begin(small, "...", analyses())
    if ended == "killed":
        StudyStore(folder).update_manifest(status="running", phase="search")
    harm(folder / "study.db")
    play(lambda study: pytest.fail("its trials would be run again"))
    kept = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}
    assert folder / "trials.csv" in kept
    capsys.readouterr()
    assert command.main([str(folder)]) == 2
    said = capsys.readouterr()
    what = "missing" if harm is Path.unlink else "empty"
    assert said.err == (
        f"error: {folder / 'study.db'} must hold the trials of the study; it is {what}, and 3 trials have ended; "
        "choices: restore it from a copy, or start a new study by another --name\n"
    )
    assert said.out == ""
    assert {path: path.read_bytes() for path in kept} == kept
    assert (folder / "study.db").exists() == (harm is not Path.unlink)


def test_a_study_whose_first_trial_has_not_ended_has_lost_none(small, play, folder) -> None:
    def act(study: Study) -> None:
        study.ledger.ask(lambda params, replicate: 1)
        study.export()
        raise KeyboardInterrupt

    play(act)
    assert begin(small, "...", analyses()) == 130
    assert manifest_of(folder)["counts"]["running"] == 1
    (folder / "study.db").unlink()
    play(lambda study: None)
    assert resume.main([str(folder)]) == 0


@pytest.mark.parametrize(
    ("command", "argv", "faults"),
    [
        (resume, ["--trials", "0", "--max-concurrent", "-1"], ["--trials", "--max-concurrent"]),
        (confirm, ["--top", "0", "--data-seeds", "0"], ["--top", "--data-seeds"]),
        (ablate, ["--seeds", "0"], ["--seeds"]),
    ],
)
def test_numbers_below_one_are_refused_all_at_once(tmp_path: Path, capsys, command, argv, faults) -> None:
    assert command.main([str(tmp_path), *argv]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == len(faults)
    for line, flag, value in zip(lines, faults, argv[1::2], strict=True):
        assert line == f"error: {flag} must be a whole number from 1 to 4294967295; got {value!r}"


def test_a_confirmation_on_no_seed_is_refused(tmp_path: Path, capsys) -> None:
    assert confirm.main([str(tmp_path), "--seeds", "0"]) == 2
    assert "--seeds must be a whole number from 1 to" in capsys.readouterr().err


@pytest.mark.parametrize(("command", "more"), [(resume, []), (confirm, []), (ablate, []), (replay, ["0"])])
def test_a_folder_without_a_study_is_refused_and_left_alone(tmp_path: Path, capsys, command, more) -> None:
    assert command.main([str(tmp_path), *more]) == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert list(tmp_path.iterdir()) == []


def test_an_altered_manifest_is_refused_by_name_not_with_a_trace(small, play, folder, capsys) -> None:
    play(lambda study: None)
    begin(small, "...", analyses())
    manifest = manifest_of(folder)
    del manifest["plan"]["epochs"]
    StudyStore(folder).write_manifest(manifest)  # as another version might have written it
    assert resume.main([str(folder)]) == 2
    assert str(folder / "study.json") in capsys.readouterr().err


def test_only_a_trial_with_epochs_can_be_replayed(small, play, folder, capsys) -> None:
    play(lambda study: None)
    begin(small, "...", analyses())
    assert replay.main([str(folder), "3"]) == 2
    assert "TRIAL must be a trial with recorded epochs (none); got 3" in capsys.readouterr().err
