"""How a study that ends, fails or is interrupted says so, and what it leaves for the next start."""

import contextlib
import shlex
from dataclasses import replace
from pathlib import Path

import optuna
import pytest

from study import resume
from study.entry.continuation import analyses
from study.execution.cluster import ClusterError
from study.phases.session import to_report as module
from study.phases.session.begin import begin
from study.phases.state.study_in_progress import Study, StudyFailed
from tests.study.phases.session.played_session import manifest_of, pressing, raising, throw


def test_a_study_that_is_done_names_its_report_and_last_of_all_its_folder(small, play, folder, capsys) -> None:
    play(lambda study: None)
    assert begin(small, "python -m study.run", analyses()) == 0
    printed = capsys.readouterr()
    assert str(folder / "report" / "index.html") in printed.out
    assert f"  optuna-dashboard sqlite:///{folder / 'study.db'}" in printed.out.splitlines()
    assert printed.out.splitlines()[-1] == f"study: {folder}"
    assert printed.err == ""
    assert manifest_of(folder)["status"] == "done"
    assert manifest_of(folder)["ended"] is not None


@pytest.mark.parametrize("out", ["a b%41?x", "50% off? #1", "a&b=c;d", "quotes ' and \""])
def test_the_dashboard_command_opens_the_studys_own_file_whatever_its_folder_is_called(
    small, play, tmp_path: Path, capsys, out: str
) -> None:
    play(lambda study: None)
    mine = tmp_path / out / "mine"
    assert begin(replace(small, folder=mine), "...", analyses()) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  optuna-dashboard ")]
    _, url = shlex.split(line)
    assert optuna.load_study(study_name="search", storage=url).trials == []
    assert [path.name for path in (tmp_path / out).iterdir()] == ["mine"], "no other file is made"
    assert sorted(path.name for path in tmp_path.iterdir()) == [out]


def test_failed_runs_of_the_later_phases_are_named_beside_the_report(small, play, folder, capsys) -> None:
    def act(study: Study) -> None:
        for k in range(5):
            study.ledger.runs.start_rerun(f"kd-seed{k}")
            study.ledger.runs.fail_rerun(f"kd-seed{k}", "non-finite loss: it")
        study.export()

    play(act)
    assert begin(small, "...", analyses()) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "NOTE 5 of the later runs failed, listed under Study health in the report" in said
    assert "kd-seed0: non-finite loss: it; kd-seed1: non-finite loss: it; " in said
    assert "kd-seed3" not in said
    assert "and 2 more" in said


def test_an_interrupted_study_prints_the_resume_command(small, play, folder, capsys) -> None:
    play(raising(KeyboardInterrupt()))
    assert begin(small, "...", analyses()) == 130
    lines = capsys.readouterr().out.splitlines()
    assert f"  python -m study.resume {folder}" in lines
    assert lines[-1] == f"study: {folder}"
    assert manifest_of(folder)["status"] == "interrupted"


def test_ctrl_c_while_the_report_is_built_is_an_interruption_that_resuming_mends(
    small, play, folder, capsys, monkeypatch
) -> None:
    play(lambda study: None)
    with monkeypatch.context() as patch:
        patch.setattr("analysis.report.build_report", lambda path: throw(KeyboardInterrupt()))
        assert begin(small, "...", analyses()) == 130
    assert manifest_of(folder)["status"] == "interrupted"
    assert f"  python -m study.resume {folder}" in capsys.readouterr().out.splitlines()
    assert resume.main([str(folder)]) == 0
    assert manifest_of(folder)["status"] == "done"


def test_a_failed_study_says_why(small, play, folder, capsys) -> None:
    play(raising(StudyFailed("no trial completed; causes: loss became nan")))
    assert begin(small, "...", analyses()) == 1
    printed = capsys.readouterr()
    assert printed.err == (
        f"error: no trial completed; causes: loss became nan\ncontinue with: python -m study.resume {folder}\n"
    )
    assert printed.out.splitlines()[-1] == f"study: {folder}"
    assert manifest_of(folder)["status"] == "failed"


def test_an_unforeseen_error_is_one_message_and_its_trace_lies_in_the_log(small, play, folder, capsys) -> None:
    play(raising(RuntimeError("no trial fits the cluster")))
    assert begin(small, "...", analyses()) == 1
    printed = capsys.readouterr()
    assert printed.err.splitlines()[0] == "error: RuntimeError: no trial fits the cluster"
    assert f"python -m study.resume {folder}" in printed.err
    assert "Traceback" not in printed.err
    assert "Traceback" in (folder / "run.log").read_text()
    assert manifest_of(folder)["status"] == "failed"


@pytest.mark.parametrize(
    "error",
    [
        Exception("The current node timed out during startup. This\ncould happen because"),
        TimeoutError("Timed out after 30 seconds while waiting for node to startup."),
        RuntimeError("Failed to start GCS. Last 0 lines of error files:"),
    ],
)
def test_a_ray_that_does_not_start_is_tried_once_more_and_told_in_one_line(
    small, folder, capsys, monkeypatch, error: Exception
) -> None:
    asked: list[object] = []
    monkeypatch.setattr("ray.init", lambda **options: asked.append(options) or throw(error))
    assert begin(small, "...", analyses()) == 1
    printed = capsys.readouterr()
    assert len(asked) == 2
    line, last = printed.err.splitlines()
    assert last == f"continue with: python -m study.resume {folder}"
    assert line.startswith("error: Ray must start on this machine; it did not, twice (load average ")
    assert "resume the study when the machine has room" in line
    assert len([line for line in printed.out.splitlines() if "it is started once more" in line]) == 1
    assert manifest_of(folder)["status"] == "failed"


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied", "/x/ray"), ValueError("no such\noption")])
def test_a_ray_that_can_never_start_is_asked_once_and_its_fault_told(
    small, folder, capsys, monkeypatch, error: Exception
) -> None:
    asked: list[object] = []
    monkeypatch.setattr("ray.init", lambda **options: asked.append(options) or throw(error))
    assert begin(small, "...", analyses()) == 1
    printed = capsys.readouterr()
    assert len(asked) == 1
    fault = " ".join(str(error).split())
    assert printed.err.splitlines() == [
        f"error: Ray must start on this machine; {fault}",
        f"continue with: python -m study.resume {folder}",
    ]


@pytest.mark.parametrize(("error", "code"), [(RuntimeError("no word"), 1), (KeyboardInterrupt(), 130)])
def test_an_error_in_the_first_lines_leaves_no_folder_that_says_running(
    small, play, folder, capsys, monkeypatch, error: BaseException, code: int
) -> None:
    play(lambda study: None)
    monkeypatch.setattr(module, "say_plan", lambda *_: throw(error))
    assert begin(small, "...", analyses()) == code
    assert manifest_of(folder)["status"] == {1: "failed", 130: "interrupted"}[code]
    assert capsys.readouterr().out.splitlines()[-1] == f"study: {folder}"


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize("what", ["_record_end", "finish", "resume_command"])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), StudyFailed("no trial completed"), RuntimeError("no word")])
def test_a_second_ctrl_c_while_the_end_is_recorded_leaves_no_folder_that_says_running(
    small, play, folder, monkeypatch, capsys, what: str, error: BaseException
) -> None:
    def act(study: Study) -> None:
        study.store.update_manifest(status="running", phase="search")
        raise error

    play(act)
    done = getattr(module, what)
    monkeypatch.setattr(module, what, lambda *args: pressing() or done(*args))
    with contextlib.suppress(KeyboardInterrupt):
        begin(small, "...", analyses())
    assert manifest_of(folder)["status"] in ("interrupted", "failed")
    monkeypatch.undo()
    assert "Traceback" not in capsys.readouterr().err


def test_a_full_disk_is_two_messages_and_no_trace(small, play, folder, capsys, monkeypatch) -> None:
    full = OSError(28, "No space left on device")
    play(raising(full))
    monkeypatch.setattr(module, "finish", lambda *_: throw(full))
    assert begin(small, "python -m study.run", analyses()) == 1
    printed = capsys.readouterr()
    assert f"error: {folder} cannot be written" in printed.err
    assert "make room, then continue it" in printed.err
    assert f"python -m study.resume {folder}" in printed.err
    assert "Traceback" not in printed.err


def test_a_fallback_is_noted_before_anything_else(small, play, capsys) -> None:
    from dataclasses import replace

    plan = replace(small.plan, fallback_from="fashion_mnist_lt:n_max=200", fallback_reason="no network " * 20)
    play(lambda study: None)
    begin(replace(small, plan=plan), "...", analyses())
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("NOTE     fashion_mnist_lt:n_max=200 cannot be had here")
    assert [line for line in lines if len(line) > 80 and "mine" not in line] == []


@pytest.mark.parametrize(("address", "named"), [("head:6379", ["--address", "head:6379"]), ("auto", []), ("local", [])])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), StudyFailed("no trial completed")])
def test_the_printed_command_names_the_cluster_again(
    small, play, folder, capsys, error: BaseException, address: str, named: list[str]
) -> None:
    play(raising(error))
    begin(replace(small, plan=replace(small.plan, address=address)), "...", analyses())
    printed = capsys.readouterr()
    command = " ".join(["python -m study.resume", str(folder), *named])
    assert command in [
        line.removeprefix("continue with: ").strip() for line in (printed.out + printed.err).splitlines()
    ]


def test_a_cluster_that_cannot_be_used_is_said_fault_by_fault(small, play, folder, capsys) -> None:
    play(raising(ClusterError(["node a differs", "node b lacks data"])))
    assert begin(small, "...", analyses()) == 1
    printed = capsys.readouterr()
    *faults, last = printed.err.splitlines()
    assert faults == ["error: node a differs", "error: node b lacks data"]
    assert last == f"continue with: python -m study.resume {folder}"
    assert printed.out.splitlines()[-1] == f"study: {folder}"
