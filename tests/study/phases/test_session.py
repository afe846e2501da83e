"""From a command to an exit code: how a study that ends, fails or is interrupted says so, and how it is resumed."""

import contextlib
import errno
import json
import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest

from study import ablate, confirm, ingest, replay, resume
from study.entry.continuation import analyses
from study.execution.cluster import ClusterError, _short_temporary_folder, private_token
from study.phases import session
from study.phases.state.study_in_progress import Study, StudyFailed
from study.planning.check import check
from study.planning.checked import Checked
from study.planning.cores import Cores
from study.planning.parser import build_parser
from study.records.ledger import Ledger
from study.records.store import StudyStore
from trainables.cckd.errors import UsageError

Play = Callable[[Callable[[Study], None]], None]


@pytest.fixture
def checked(tmp_path: Path) -> Checked:
    what = ["--space", "acckd_smoke", "--data", "digits_lt", "--out", str(tmp_path), "--name", "mine"]
    return check(build_parser().parse_args([*what, "--trials", "4", "--confirm-seeds", "0"]))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "mine"


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Play:
    """Replace the walk through the phases, the report, and the question to a cluster."""
    monkeypatch.setattr("analysis.report.build_report", lambda path: path / "report" / "index.html")
    monkeypatch.setattr(session, "try_to_join", lambda address: None)
    return lambda act: monkeypatch.setattr(session, "drive", act)


def _raising(error: BaseException) -> Callable[[Study], None]:
    def act(study: Study) -> None:
        raise error

    return act


def _manifest(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "study.json").read_text())


def test_a_study_that_is_done_names_its_report_and_last_of_all_its_folder(checked, play, folder, capsys) -> None:
    play(lambda study: None)
    assert session.begin(checked, "python -m study.run", analyses()) == 0
    printed = capsys.readouterr()
    assert str(folder / "report" / "index.html") in printed.out
    assert f"  optuna-dashboard sqlite:///{folder / 'study.db'}" in printed.out.splitlines()
    assert printed.out.splitlines()[-1] == f"study: {folder}"
    assert printed.err == ""
    assert _manifest(folder)["status"] == "done"
    assert _manifest(folder)["ended"] is not None


@pytest.mark.parametrize("out", ["a b%41?x", "50% off? #1", "a&b=c;d", "quotes ' and \""])
def test_the_dashboard_command_opens_the_studys_own_file_whatever_its_folder_is_called(
    checked, play, tmp_path: Path, capsys, out: str
) -> None:
    play(lambda study: None)
    mine = tmp_path / out / "mine"
    assert session.begin(replace(checked, folder=mine), "...", analyses()) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  optuna-dashboard ")]
    _, url = shlex.split(line)
    assert optuna.load_study(study_name="search", storage=url).trials == []
    assert [path.name for path in (tmp_path / out).iterdir()] == ["mine"], "no other file is made"
    assert sorted(path.name for path in tmp_path.iterdir()) == [out]


def test_failed_runs_of_the_later_phases_are_named_beside_the_report(checked, play, folder, capsys) -> None:
    def act(study: Study) -> None:
        for k in range(5):
            study.ledger.runs.start_rerun(f"kd-seed{k}")
            study.ledger.runs.fail_rerun(f"kd-seed{k}", "non-finite loss: it")
        study.export()

    play(act)
    assert session.begin(checked, "...", analyses()) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "NOTE 5 of the later runs failed, listed under Study health in the report" in said
    assert "kd-seed0: non-finite loss: it; kd-seed1: non-finite loss: it; " in said
    assert "kd-seed3" not in said
    assert "and 2 more" in said


def test_an_interrupted_study_prints_the_resume_command(checked, play, folder, capsys) -> None:
    play(_raising(KeyboardInterrupt()))
    assert session.begin(checked, "...", analyses()) == 130
    lines = capsys.readouterr().out.splitlines()
    assert f"  python -m study.resume {folder}" in lines
    assert lines[-1] == f"study: {folder}"
    assert _manifest(folder)["status"] == "interrupted"


def test_ctrl_c_while_the_report_is_built_is_an_interruption_that_resuming_mends(
    checked, play, folder, capsys, monkeypatch
) -> None:
    play(lambda study: None)
    with monkeypatch.context() as patch:
        patch.setattr("analysis.report.build_report", lambda path: _raise(KeyboardInterrupt()))
        assert session.begin(checked, "...", analyses()) == 130
    assert _manifest(folder)["status"] == "interrupted"
    assert f"  python -m study.resume {folder}" in capsys.readouterr().out.splitlines()
    assert resume.main([str(folder)]) == 0
    assert _manifest(folder)["status"] == "done"


def test_a_failed_study_says_why(checked, play, folder, capsys) -> None:
    play(_raising(StudyFailed("no trial completed; causes: loss became nan")))
    assert session.begin(checked, "...", analyses()) == 1
    printed = capsys.readouterr()
    assert printed.err == (
        f"error: no trial completed; causes: loss became nan\ncontinue with: python -m study.resume {folder}\n"
    )
    assert printed.out.splitlines()[-1] == f"study: {folder}"
    assert _manifest(folder)["status"] == "failed"


def test_an_unforeseen_error_is_one_message_and_its_trace_lies_in_the_log(checked, play, folder, capsys) -> None:
    play(_raising(RuntimeError("no trial fits the cluster")))
    assert session.begin(checked, "...", analyses()) == 1
    printed = capsys.readouterr()
    assert printed.err.splitlines()[0] == "error: RuntimeError: no trial fits the cluster"
    assert f"python -m study.resume {folder}" in printed.err
    assert "Traceback" not in printed.err
    assert "Traceback" in (folder / "run.log").read_text()
    assert _manifest(folder)["status"] == "failed"


@pytest.mark.parametrize(
    ("writable", "named", "given"),
    [
        (True, {}, False),
        (False, {}, True),
        (False, {"RAY_AUTH_MODE": "token"}, True),
        (False, {"RAY_AUTH_TOKEN": "mine"}, False),
        (False, {"RAY_AUTH_TOKEN_PATH": "/mine"}, False),
    ],
)
def test_a_private_ray_is_given_a_token_where_it_could_not_write_one(
    monkeypatch, tmp_path: Path, writable: bool, named: dict[str, str], given: bool
) -> None:
    before = {"HOME": str(tmp_path), **named}
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.setenv(name, "")  # so that it is restored
        monkeypatch.delenv(name)
    for name, value in before.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("study.execution.cluster.home_is_writable", lambda: writable)
    with private_token("local"):
        found = os.environ.get("RAY_AUTH_TOKEN")
    assert os.environ.get("RAY_AUTH_TOKEN") == named.get("RAY_AUTH_TOKEN"), "a cluster is not offered it later"
    with private_token("head:6379"):
        assert os.environ.get("RAY_AUTH_TOKEN") == named.get("RAY_AUTH_TOKEN")
    assert (found is not None and len(found) == 64) == given
    assert given or found == named.get("RAY_AUTH_TOKEN")


@pytest.mark.parametrize(
    "error",
    [
        Exception("The current node timed out during startup. This\ncould happen because"),
        TimeoutError("Timed out after 30 seconds while waiting for node to startup."),
        RuntimeError("Failed to start GCS. Last 0 lines of error files:"),
    ],
)
def test_a_ray_that_does_not_start_is_tried_once_more_and_told_in_one_line(
    checked, folder, capsys, monkeypatch, error: Exception
) -> None:
    asked: list[object] = []
    monkeypatch.setattr("ray.init", lambda **options: asked.append(options) or _raise(error))
    assert session.begin(checked, "...", analyses()) == 1
    printed = capsys.readouterr()
    assert len(asked) == 2
    line, last = printed.err.splitlines()
    assert last == f"continue with: python -m study.resume {folder}"
    assert line.startswith("error: Ray must start on this machine; it did not, twice (load average ")
    assert "resume the study when the machine has room" in line
    assert len([line for line in printed.out.splitlines() if "it is started once more" in line]) == 1
    assert _manifest(folder)["status"] == "failed"


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied", "/x/ray"), ValueError("no such\noption")])
def test_a_ray_that_can_never_start_is_asked_once_and_its_fault_told(
    checked, folder, capsys, monkeypatch, error: Exception
) -> None:
    asked: list[object] = []
    monkeypatch.setattr("ray.init", lambda **options: asked.append(options) or _raise(error))
    assert session.begin(checked, "...", analyses()) == 1
    printed = capsys.readouterr()
    assert len(asked) == 1
    fault = " ".join(str(error).split())
    assert printed.err.splitlines() == [
        f"error: Ray must start on this machine; {fault}",
        f"continue with: python -m study.resume {folder}",
    ]


@pytest.mark.parametrize(("error", "code"), [(RuntimeError("no word"), 1), (KeyboardInterrupt(), 130)])
def test_an_error_in_the_first_lines_leaves_no_folder_that_says_running(
    checked, play, folder, capsys, monkeypatch, error: BaseException, code: int
) -> None:
    play(lambda study: None)
    monkeypatch.setattr(session, "say_plan", lambda *_: _raise(error))
    assert session.begin(checked, "...", analyses()) == code
    assert _manifest(folder)["status"] == {1: "failed", 130: "interrupted"}[code]
    assert capsys.readouterr().out.splitlines()[-1] == f"study: {folder}"


def _pressing(*_: Any, **__: Any) -> Any:
    signal.raise_signal(signal.SIGINT)


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize("what", ["_record_end", "finish", "resume_command"])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), StudyFailed("no trial completed"), RuntimeError("no word")])
def test_a_second_ctrl_c_while_the_end_is_recorded_leaves_no_folder_that_says_running(
    checked, play, folder, monkeypatch, capsys, what: str, error: BaseException
) -> None:
    def act(study: Study) -> None:
        study.store.update_manifest(status="running", phase="search")
        raise error

    play(act)
    done = getattr(session, what)
    monkeypatch.setattr(session, what, lambda *args: _pressing() or done(*args))
    with contextlib.suppress(KeyboardInterrupt):
        session.begin(checked, "...", analyses())
    assert _manifest(folder)["status"] in ("interrupted", "failed")
    monkeypatch.undo()
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize("what", ["write_record", "config_text", "_create_ledger", "Ledger.create"])
def test_ctrl_c_before_the_first_phase_leaves_no_folder_that_says_running(
    checked, play, folder, monkeypatch, capsys, what: str
) -> None:
    play(lambda study: None)
    with monkeypatch.context() as patch:
        patch.setattr(f"study.phases.session.{what}", _pressing)
        with pytest.raises(KeyboardInterrupt):
            session.begin(checked, "...", analyses())
    assert (_manifest(folder)["status"], _manifest(folder)["phase"]) == ("interrupted", None)
    assert resume.main([str(folder)]) == 0
    assert _manifest(folder)["status"] == "done"


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize("what", ["StudyStore.lock", "StudyStore.write_manifest", "logging_to"])
def test_ctrl_c_before_there_is_a_manifest_leaves_no_folder(checked, play, folder, monkeypatch, what: str) -> None:
    monkeypatch.setattr(f"study.phases.session.{what}", _pressing)
    with pytest.raises(KeyboardInterrupt):
        session.begin(checked, "...", analyses())
    assert not folder.exists()


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize("before", [True, False])
def test_ctrl_c_while_the_folder_is_made_leaves_none(checked, folder, monkeypatch, before: bool) -> None:
    mkdir = Path.mkdir

    def pressed(path: Path, *args: Any, **how: Any) -> None:
        if path == folder and before:
            _pressing()
        mkdir(path, *args, **how)
        if path == folder and not before:
            _pressing()

    monkeypatch.setattr(Path, "mkdir", pressed)
    with pytest.raises(KeyboardInterrupt):
        session.begin(checked, "...", analyses())
    assert not folder.exists()


def test_an_error_before_the_first_phase_leaves_no_folder_that_says_running(checked, play, folder, monkeypatch) -> None:
    play(lambda study: None)
    with monkeypatch.context() as patch:
        full = OSError(28, "No space left on device")
        patch.setattr(session, "_create_ledger", lambda *_: _raise(full))
        with pytest.raises(UsageError, match="make room"):
            session.begin(checked, "...", analyses())
    assert _manifest(folder)["status"] == "failed"
    assert resume.main([str(folder)]) == 0


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize("status", ["running", "done", "failed"])
def test_ctrl_c_before_a_resumed_study_goes_on_keeps_its_state_but_none_that_a_dead_driver_has_left(
    checked, play, folder, monkeypatch, status: str
) -> None:
    play(lambda study: None)
    assert session.begin(checked, "...", analyses()) == 0
    StudyStore(folder).update_manifest(status=status)
    monkeypatch.setattr(session, "_open_ledger", _pressing)
    assert resume.main([str(folder)]) == 130
    assert _manifest(folder)["status"] == {"running": "interrupted"}.get(status, status)


def test_a_full_disk_is_two_messages_and_no_trace(checked, play, folder, capsys, monkeypatch) -> None:
    full = OSError(28, "No space left on device")
    play(_raising(full))
    monkeypatch.setattr(session, "finish", lambda *_: _raise(full))
    assert session.begin(checked, "python -m study.run", analyses()) == 1
    printed = capsys.readouterr()
    assert f"error: {folder} cannot be written" in printed.err
    assert "make room, then continue it" in printed.err
    assert f"python -m study.resume {folder}" in printed.err
    assert "Traceback" not in printed.err


def _raise(error: BaseException) -> None:
    raise error


def test_a_fallback_is_noted_before_anything_else(checked, play, capsys) -> None:
    from dataclasses import replace

    plan = replace(checked.plan, fallback_from="fashion_mnist_lt:n_max=200", fallback_reason="no network " * 20)
    play(lambda study: None)
    session.begin(replace(checked, plan=plan), "...", analyses())
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("NOTE     fashion_mnist_lt:n_max=200 cannot be had here")
    assert [line for line in lines if len(line) > 80 and "mine" not in line] == []


def test_a_folder_that_appeared_meanwhile_is_refused(checked, folder: Path) -> None:
    folder.mkdir()
    with pytest.raises(UsageError, match=r"study\.resume"):
        session.begin(checked, "...", analyses())
    assert list(folder.iterdir()) == []


def test_resume_tries_what_failed_again_and_says_how_much(checked, play, folder, capsys) -> None:
    def act(study: Study) -> None:
        for number, cause in enumerate(("hung: no report", "non-finite loss: nan")):
            study.ledger.ask(lambda *_: 1)
            study.ledger.fail(number, cause)
        study.ledger.runs.start_rerun("kd-seed1")
        study.ledger.runs.fail_rerun("kd-seed1", "hung: no report")

    play(act)
    session.begin(checked, "...", analyses())
    play(lambda study: None)
    assert resume.main([str(folder)]) == 0
    assert "tried again" not in capsys.readouterr().out
    seen: list[dict[str, int]] = []
    play(lambda study: seen.append(study.ledger.counts()))
    assert resume.main([str(folder), "--retry-failed"]) == 0
    told = "NOTE     1 failed trials and 1 later runs are tried again; 1 would fail again and stay failed"
    assert told in capsys.readouterr().out.splitlines()
    assert (seen[0]["running"], seen[0]["fail"]) == (1, 1)


@pytest.mark.parametrize(
    "command",
    [lambda checked: session.begin(checked, "...", analyses()), lambda checked: resume.main([str(checked.folder)])],
)
def test_a_thread_is_refused_before_anything_is_made(checked, play, folder, command) -> None:
    told: list[str] = []

    def work() -> None:
        try:
            command(checked)
        except UsageError as error:
            told.extend(error.faults)

    play(lambda study: pytest.fail("it must not begin"))
    thread = threading.Thread(target=work, name="of a notebook")
    thread.start()
    thread.join()
    assert not folder.exists()
    assert all("in the main thread of its process" in fault and "'of a notebook'" in fault for fault in told)


def test_a_process_with_a_ray_of_its_own_is_refused_before_anything_is_made(checked, play, folder, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(is_initialized=lambda: True))
    with pytest.raises(UsageError, match=r"connected to a Ray already; call ray\.shutdown\(\) first"):
        session.begin(checked, "...", analyses())
    assert not folder.exists()


@pytest.mark.parametrize("name", ["TMPDIR", "RAY_TMPDIR"])
def test_a_temporary_folder_that_is_none_is_refused_before_anything_is_made(
    checked, play, folder, tmp_path: Path, monkeypatch, name: str
) -> None:
    (tmp_path / "file").touch()
    for where in (tmp_path / "file", tmp_path / "gone"):
        monkeypatch.setenv(name, str(where))
        with pytest.raises(UsageError, match=rf"^{name} must name a folder that can be written, for Ray's files; got"):
            session.begin(checked, "...", analyses())
    assert not folder.exists()


def test_a_temporary_folder_too_long_for_rays_sockets_is_refused_if_it_was_named_for_ray(
    checked, play, folder, tmp_path: Path, monkeypatch
) -> None:
    long = tmp_path / ("x" * 60)
    long.mkdir()
    monkeypatch.setenv("RAY_TMPDIR", str(long))
    with pytest.raises(UsageError, match=r"RAY_TMPDIR must have at most \d+ letters, because Ray puts sockets there"):
        session.begin(checked, "...", analyses())
    assert not folder.exists()
    monkeypatch.delenv("RAY_TMPDIR")
    monkeypatch.setenv("TMPDIR", str(long))
    play(lambda study: None)
    assert session.begin(checked, "...", analyses()) == 0, "Ray gets a shorter one"


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, "/tmp"),
        ({"TMPDIR": ""}, "/tmp"),
        ({"TMPDIR": "/var/tmp"}, None),
        ({"TMPDIR": "/" + "x" * 60}, "/tmp"),
        ({"TMPDIR": "/" + "x" * 60, "RAY_TMPDIR": "/var/tmp"}, "/var/tmp"),
        ({"RAY_TMPDIR": ""}, "/tmp"),
    ],
)
def test_a_private_ray_gets_a_folder_short_enough_for_its_sockets(monkeypatch, variables, expected) -> None:
    for name in ("TMPDIR", "RAY_TMPDIR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with _short_temporary_folder():
        assert os.environ.get("RAY_TMPDIR") == expected
    assert os.environ.get("RAY_TMPDIR") == variables.get("RAY_TMPDIR")


def test_a_file_system_without_locks_leaves_no_folder(checked, play, folder, monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("study.lock.fcntl.flock", refuse)
    with pytest.raises(UsageError, match="a file system with locks"):
        session.begin(checked, "...", analyses())
    assert not folder.exists()


def test_the_folder_keeps_the_evidence_of_another_tool_and_goes_on_with_it(folder, play, tmp_path: Path) -> None:
    (tmp_path / "old.csv").write_text("temperature,mix_ratio,estimator,value\n2,0.2,prior,0.5\n3,0.3,batch,0.6\n")
    evidence = tmp_path / "old.json"
    assert ingest.main([str(tmp_path / "old.csv"), "--space", "acckd_smoke", "--out", str(evidence)]) == 0
    content = evidence.read_bytes()
    what = ["--space", "acckd_smoke", "--data", "digits_lt", "--out", str(tmp_path), "--name", "mine"]
    flags = ["--trials", "4", "--confirm-seeds", "0", "--warm-start", str(evidence)]
    warm = check(build_parser().parse_args([*what, *flags]))
    known = []
    play(lambda study: known.append(study.ledger._evidence))
    assert session.begin(warm, "...", analyses()) == 0
    evidence.unlink()
    assert (folder / "evidence.json").read_bytes() == content
    assert _manifest(folder)["warm_start"]["source"]["file"] == "old.csv"
    (folder / "study.db").unlink()  # as if the driver had died before it made it
    assert resume.main([str(folder)]) == 0
    assert [[one.value for one in evidence] for evidence in known] == [[0.5, 0.6]] * 2


def test_a_second_driver_is_refused_and_told_who_is_at_work(checked, play, folder, capsys) -> None:
    codes = []
    play(lambda study: codes.append(resume.main([str(folder)])))
    assert session.begin(checked, "...", analyses()) == 0
    assert codes == [2]
    assert "is held by process" in capsys.readouterr().err


def test_resuming_drives_the_same_study_again(checked, play, folder) -> None:
    play(_raising(KeyboardInterrupt()))
    session.begin(checked, "first", analyses())
    driven = []
    play(driven.append)
    assert resume.main([str(folder)]) == 0
    assert driven[0].checked.plan == checked.plan
    assert driven[0].store.path == folder
    commands = [start["command"] for start in _manifest(folder)["starts"]]
    assert commands == ["first", f"python -m study.resume {folder}"]


def test_resume_changes_what_it_was_given(checked, play, folder, tmp_path: Path) -> None:
    play(lambda study: None)
    session.begin(replace(checked, plan=replace(checked.plan, trials_per_process=2)), "...", analyses())
    driven = []
    play(lambda study: driven.append((study.checked.plan, study.ledger.settings)))
    flags = ("--trials", "6", "--address", "auto", "--device", "cuda", "--max-concurrent", "3", "--storage", "~/x")
    assert resume.main([str(folder), *flags]) == 0
    ((plan, settings),) = driven
    assert (plan.trials, settings.trials, _manifest(folder)["plan"]["trials"]) == (6, 6, 6)
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
    checked, play, folder, capsys, monkeypatch, flags, told: str
) -> None:
    play(_raising(KeyboardInterrupt()))
    session.begin(checked, "...", analyses())
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
    checked, play, folder, monkeypatch, device: str, share: float, together: int, kept: tuple[float, int]
) -> None:
    monkeypatch.setattr("study.planning.readers._has_cuda", lambda: True)
    monkeypatch.setattr("study.planning.cores.allotted_cores", lambda: Cores(4, ""))
    play(lambda study: None)
    on_gpu = {"device": "cuda", "gpus_per_trial": share, "trials_per_process": together, "precision": "bfloat16"}
    session.begin(replace(checked, plan=replace(checked.plan, **on_gpu)), "...", analyses())
    driven = []
    play(lambda study: driven.append(study.checked.plan))
    assert resume.main([str(folder), "--device", device]) == 0
    assert (driven[0].device, driven[0].gpus_per_trial, driven[0].trials_per_process) == (device, *kept)


@pytest.mark.parametrize("address", ["auto", "head:6379", "10.0.0.1:6379"])
def test_a_cluster_that_cannot_be_joined_is_refused_before_anything_is_made(
    checked, play, folder, capsys, monkeypatch, address: str
) -> None:
    def silent(address: str) -> None:
        raise ClusterError(f"--address {address}: no Ray cluster answered")

    play(lambda study: None)
    there = replace(checked, plan=replace(checked.plan, address=address))
    with monkeypatch.context() as patch:
        patch.setattr(session, "try_to_join", silent)
        with pytest.raises(UsageError, match="no Ray cluster answered"):
            session.begin(there, "...", analyses())
        assert not folder.exists()
        assert session.begin(checked, "...", analyses()) == 0, "a private Ray asks no cluster"
        before = (folder / "study.json").read_bytes()
        assert resume.main([str(folder), "--address", address]) == 2
        assert "no Ray cluster answered" in capsys.readouterr().err
        assert (folder / "study.json").read_bytes() == before


def test_a_cluster_is_asked_behind_every_other_check(checked, play, folder, monkeypatch) -> None:
    play(lambda study: None)
    assert session.begin(checked, "...", analyses()) == 0
    monkeypatch.setattr(session, "try_to_join", lambda address: pytest.fail("it takes seconds"))
    for flags in (["--max-hours", "0"], ["--storage", "s3://b"], ["--trials", "0"]):
        monkeypatch.setattr(session, "probe", lambda storage: "there is no such bucket")
        assert resume.main([str(folder), "--address", "head:6379", *flags]) == 2


@pytest.mark.parametrize(("address", "named"), [("head:6379", ["--address", "head:6379"]), ("auto", []), ("local", [])])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), StudyFailed("no trial completed")])
def test_the_printed_command_names_the_cluster_again(
    checked, play, folder, capsys, error: BaseException, address: str, named: list[str]
) -> None:
    play(_raising(error))
    session.begin(replace(checked, plan=replace(checked.plan, address=address)), "...", analyses())
    printed = capsys.readouterr()
    command = " ".join(["python -m study.resume", str(folder), *named])
    assert command in [
        line.removeprefix("continue with: ").strip() for line in (printed.out + printed.err).splitlines()
    ]


@pytest.mark.parametrize("flags", [("--address", "ray://head:10001"), ("--storage", "ftp://x"), ("--trials", "0")])
def test_resume_refuses_what_run_refuses(tmp_path: Path, capsys, flags) -> None:
    assert resume.main([str(tmp_path), *flags]) == 2
    assert capsys.readouterr().err.startswith(f"error: {flags[0]} ")


def test_a_cluster_that_cannot_be_used_is_said_fault_by_fault(checked, play, folder, capsys) -> None:
    play(_raising(ClusterError(["node a differs", "node b lacks data"])))
    assert session.begin(checked, "...", analyses()) == 1
    printed = capsys.readouterr()
    *faults, last = printed.err.splitlines()
    assert faults == ["error: node a differs", "error: node b lacks data"]
    assert last == f"continue with: python -m study.resume {folder}"
    assert printed.out.splitlines()[-1] == f"study: {folder}"


def test_confirm_changes_finalists_and_seeds(checked, play, folder) -> None:
    play(lambda study: None)
    session.begin(checked, "...", analyses())
    driven = []
    play(lambda study: driven.append(study.checked.plan))
    assert confirm.main([str(folder), "--top", "3", "--seeds", "4"]) == 0
    assert (driven[0].confirm_top, driven[0].confirm_seeds, driven[0].trials) == (3, 4, 4)


@pytest.mark.parametrize(
    ("flag", "field", "begun"), [("--seeds", "confirm_seeds", 6), ("--data-seeds", "data_seeds", 3)]
)
def test_fewer_seeds_or_cuts_than_a_confirmation_was_begun_with_are_refused(
    checked, play, folder, capsys, flag: str, field: str, begun: int
) -> None:
    """Who may stop at any seed may stop at a lucky one; before the test set is opened nobody knows a lucky one."""
    play(lambda study: None)
    session.begin(replace(checked, plan=replace(checked.plan, confirm_seeds=6, data_seeds=3)), "...", analyses())
    assert confirm.main([str(folder), flag, str(begun - 1)]) == 0
    assert _manifest(folder)["plan"][field] == begun - 1
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
    session.begin(few, "...", analyses())
    assert confirm.main([str(folder), "--ladder", "cckd"]) == 0
    assert _manifest(folder)["plan"]["ladder"] == ["la", "kd", "cckd", "acckd"]
    before = (folder / "study.json").read_bytes()
    assert confirm.main([str(folder), "--ladder", "cckd,none"]) == 2
    assert (folder / "study.json").read_bytes() == before


def test_confirm_at_a_longer_training_is_remembered_by_the_folder(checked, play, folder) -> None:
    driven = []
    play(lambda study: driven.append(study.checked.plan.n_longer_runs))
    session.begin(checked, "...", analyses())
    assert confirm.main([str(folder), "--seeds", "2", "--epochs-factor", "3"]) == 0
    assert resume.main([str(folder)]) == 0
    assert [list(runs) for runs in driven[1:]] == [[2, 3], [2, 3]]


def test_ablate_is_remembered_by_the_folder_and_takes_no_knob_away(checked, play, folder) -> None:
    plans = []
    play(lambda study: plans.append(study.checked.plan))
    session.begin(checked, "...", analyses())
    assert ablate.main([str(folder), "--seeds", "5", "--knobs", "mix_ratio"]) == 0
    assert ablate.main([str(folder), "--knobs", "temperature,mix_ratio", "--test"]) == 0
    assert resume.main([str(folder)]) == 0
    assert ablate.main([str(folder)]) == 0
    asked = [(plan.ablation_seeds, plan.ablation_knobs, plan.ablation_on_test) for plan in plans]
    both = ("mix_ratio", "temperature")
    assert asked[:4] == [(3, (), False), (5, ("mix_ratio",), False), (5, both, True), (5, both, True)]
    assert asked[4:] == [(5, both, False)], "the test set is opened where it is asked for"


@pytest.mark.parametrize(("flags", "seeds"), [([], 3), (["--seeds", "2"], 2)])
def test_ablate_asks_for_what_a_study_without_an_ablation_did_not_plan(checked, play, folder, flags, seeds) -> None:
    plans = []
    play(lambda study: plans.append(study.checked.plan))
    session.begin(replace(checked, plan=replace(checked.plan, ablation_seeds=0)), "...", analyses())
    assert resume.main([str(folder)]) == 0
    assert ablate.main([str(folder), *flags]) == 0
    assert [plan.ablation_seeds for plan in plans] == [0, 0, seeds]


def test_a_knob_that_is_not_searched_is_refused_and_changes_nothing(checked, play, folder, capsys) -> None:
    play(lambda study: None)
    session.begin(checked, "...", analyses())
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
def test_a_continuation_of_days_needs_a_word_once(checked, play, folder, capsys, command, flags) -> None:
    driven = []
    play(lambda study: driven.append(study.checked.plan))
    session.begin(checked, "...", analyses())
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


def test_more_trials_of_days_need_a_word_and_more_of_minutes_none(checked, play, folder, capsys) -> None:
    play(lambda study: None)
    session.begin(checked, "...", analyses())
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


def test_hours_are_judged_where_they_are_asked_for_and_end_what_they_can(checked, play, folder, capsys) -> None:
    driven = []
    play(lambda study: driven.append(study.checked.plan.max_hours))
    session.begin(checked, "...", analyses())
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


def test_a_study_that_goes_on_as_planned_is_not_refused_for_its_hours(checked, play, folder, capsys) -> None:
    play(lambda study: None)
    session.begin(replace(checked, plan=replace(checked.plan, max_hours=0.0001)), "...", analyses())
    capsys.readouterr()
    assert resume.main([str(folder)]) == 0
    assert ", more than these hours (an estimate)" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("top", ["5", "60", "4294967295"])
def test_more_trials_to_confirm_than_there_are_are_refused(checked, play, folder, capsys, top: str) -> None:
    play(lambda study: None)
    session.begin(checked, "...", analyses())
    before = (folder / "study.json").read_bytes()
    capsys.readouterr()
    assert confirm.main([str(folder), "--top", top]) == 2
    assert capsys.readouterr().err == f"error: --top must not exceed the number of trials, 4; got {top}\n"
    assert (folder / "study.json").read_bytes() == before
    assert confirm.main([str(folder), "--top", "4"]) == 0


def test_a_study_that_an_earlier_version_began_with_odd_shares_goes_on(checked, play, folder) -> None:
    plans = []
    play(lambda study: plans.append(study.checked.plan))
    plan = replace(checked.plan, cpus_per_trial=0.01, confirm_top=60)
    session.begin(replace(checked, plan=plan), "...", analyses())
    assert resume.main([str(folder)]) == 0
    assert (plans[1].cpus_per_trial, plans[1].confirm_top, plans[1].n_confirmed) == (0.01, 60, 4)


@pytest.mark.parametrize(("cpus", "together"), [(64.0, 1), (3.0, 1), (1.0, 3)])
def test_a_study_that_fits_no_core_of_this_machine_is_refused_and_left_alone(
    checked, play, folder, capsys, monkeypatch, cpus: float, together: int
) -> None:
    monkeypatch.setattr("study.planning.cores.allotted_cores", lambda: Cores(2, "SLURM"))
    play(lambda study: None)
    plan = replace(checked.plan, cpus_per_trial=cpus, trials_per_process=together)
    session.begin(replace(checked, plan=plan), "...", analyses())
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


def test_a_study_without_a_database_lacks_all_of_it(checked, play, folder, capsys) -> None:
    play(lambda study: None)
    session.begin(checked, "...", analyses())
    (folder / "study.db").unlink()
    assert confirm.main([str(folder), "--seeds", "900000"]) == 2
    assert "needs --yes-long" in capsys.readouterr().err
    assert not (folder / "study.db").exists()
    assert confirm.main([str(folder), "--seeds", "2"]) == 0


def test_images_that_cuts_share_are_told_when_the_cuts_are_asked_for(
    checked, play, folder, monkeypatch, capsys
) -> None:
    play(lambda study: None)
    session.begin(checked, "...", analyses())
    monkeypatch.setattr("study.planning.tail_subsets.SharedImages.in_training", lambda self, train: {"test": 3})

    def told() -> list[str]:
        return [row["text"][:5] for row in _manifest(folder)["cautions"] if row["reason"] == "shared_images"]

    assert told() == []
    assert confirm.main([str(folder), "--seeds", "2", "--data-seeds", "3"]) == 0
    assert told() == ["cut 1", "cut 2"]
    assert "NOTE     cut 2 of the long tail (--data-seeds) trains on 3 of the test images," in capsys.readouterr().out
    assert resume.main([str(folder)]) == 0
    assert "trains on" not in capsys.readouterr().out
    assert confirm.main([str(folder), "--data-seeds", "4"]) == 0
    assert told() == ["cut 1", "cut 2", "cut 3"]


@pytest.mark.parametrize("factor", ["1", "0", "-2", "1.5", "x"])
def test_a_factor_that_is_no_whole_number_from_2_is_refused(checked, play, folder, capsys, factor: str) -> None:
    play(lambda study: None)
    session.begin(checked, "...", analyses())
    capsys.readouterr()
    assert confirm.main([str(folder), "--epochs-factor", factor]) == 2
    assert f"--epochs-factor must be a whole number from 2 to 4294967295; got '{factor}'" in capsys.readouterr().err


def test_a_factor_without_a_confirmation_is_refused_and_changes_nothing(checked, play, folder, capsys) -> None:
    play(lambda study: None)
    plan = replace(checked.plan, confirm_seeds=0)
    session.begin(replace(checked, plan=plan), "...", analyses())
    before = (folder / "study.json").read_bytes()
    capsys.readouterr()
    assert confirm.main([str(folder), "--epochs-factor", "2"]) == 2
    said = "--epochs-factor above 1 is for the confirmation, which --confirm-seeds 0 skips; got 2"
    assert said in capsys.readouterr().err
    assert (folder / "study.json").read_bytes() == before


def test_a_total_below_the_trials_already_run_is_refused_and_changes_nothing(checked, play, folder, capsys) -> None:
    def act(study: Study) -> None:
        for _ in range(3):
            study.ledger.ask(lambda params, replicate: 1)

    play(act)
    session.begin(checked, "...", analyses())
    before = (folder / "study.json").read_bytes()
    assert resume.main([str(folder), "--trials", "2"]) == 2
    assert "must not be below the 3 trials already run; got 2" in capsys.readouterr().err
    assert (folder / "study.json").read_bytes() == before
    ledger = Ledger.open(folder / "study.db")
    assert ledger.settings.trials == 4
    ledger.close()


def test_a_study_killed_before_it_had_a_database_is_begun_on_resume(checked, play, folder) -> None:
    play(lambda study: None)
    session.begin(checked, "...", analyses())
    (folder / "study.db").unlink()
    assert resume.main([str(folder)]) == 0
    ledger = Ledger.open(folder / "study.db")
    assert (ledger.settings.trials, ledger.n_asked) == (4, 0)
    ledger.close()


def _end_trials(study: Study, n: int) -> None:
    for number in range(n):
        study.ledger.ask(lambda params, replicate: 1)
        study.ledger.fail(number, "non-finite loss: it")
    study.export()


@pytest.mark.parametrize("command", [resume, confirm, ablate])
@pytest.mark.parametrize("ended", ["done", "interrupted", "failed", "killed"])
@pytest.mark.parametrize("harm", [Path.unlink, lambda database: database.write_bytes(b"")])
def test_a_study_that_has_lost_its_trials_is_refused_and_keeps_what_is_left(
    checked, play, folder, capsys, command, ended: str, harm: Callable[[Path], object]
) -> None:
    def act(study: Study) -> None:
        _end_trials(study, 3)
        if ended != "done":
            raise {"interrupted": KeyboardInterrupt(), "failed": StudyFailed("it"), "killed": RuntimeError()}[ended]

    play(act)
    session.begin(checked, "...", analyses())
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


def test_a_study_whose_first_trial_has_not_ended_has_lost_none(checked, play, folder) -> None:
    def act(study: Study) -> None:
        study.ledger.ask(lambda params, replicate: 1)
        study.export()
        raise KeyboardInterrupt

    play(act)
    assert session.begin(checked, "...", analyses()) == 130
    assert _manifest(folder)["counts"]["running"] == 1
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


def test_an_altered_manifest_is_refused_by_name_not_with_a_trace(checked, play, folder, capsys) -> None:
    play(lambda study: None)
    session.begin(checked, "...", analyses())
    manifest = _manifest(folder)
    del manifest["plan"]["epochs"]
    StudyStore(folder).write_manifest(manifest)  # as another version might have written it
    assert resume.main([str(folder)]) == 2
    assert str(folder / "study.json") in capsys.readouterr().err


def test_only_a_trial_with_epochs_can_be_replayed(checked, play, folder, capsys) -> None:
    play(lambda study: None)
    session.begin(checked, "...", analyses())
    assert replay.main([str(folder), "3"]) == 2
    assert "TRIAL must be a trial with recorded epochs (none); got 3" in capsys.readouterr().err
