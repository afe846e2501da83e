"""Ctrl-C and its like are heard, but never in the middle of what cleans up; and it is said how things stand."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from study import resume, run
from study.main import COMMANDS
from study.terminal.signals import ended_by_signals, heed_signals, undisturbed, unheard_by_children, uninterrupted

ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)


@pytest.fixture(autouse=True)
def _as_a_terminal_starts_it() -> Iterator[None]:
    """Under `nohup`, for one, the tests themselves ignore SIGHUP."""
    handlers = {signal.SIGINT: signal.default_int_handler, **dict.fromkeys(ENDING, signal.SIG_DFL)}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def _press() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_waits_for_what_must_not_be_disturbed() -> None:
    done = []

    def clean_up() -> None:
        with undisturbed():
            for _ in range(3):
                _press()
            done.append("cleaned up")
        done.append("never reached")

    with pytest.raises(KeyboardInterrupt):
        clean_up()
    assert done == ["cleaned up"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_without_ctrl_c_nothing_happens() -> None:
    with undisturbed():
        pass
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_a_study_that_is_ending_ends_as_what_ended_it(error: BaseException) -> None:
    def fail() -> None:
        try:
            raise error
        finally:
            with undisturbed():
                _press()

    with pytest.raises(type(error)) as raised:
        fail()
    assert raised.value is error


def test_what_must_end_first_is_heard_behind_it_whatever_else_is_wrong() -> None:
    """`undisturbed` lets a study end as it ends; this one is for work that goes on."""
    done = []

    def work() -> None:
        try:
            raise OSError("a run has failed")
        except OSError:
            with uninterrupted():
                _press()
                done.append("recorded")

    def fails() -> None:
        with uninterrupted():
            _press()
            raise OSError("disk full")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["recorded"]
    with pytest.raises(KeyboardInterrupt) as raised:
        fails()
    assert isinstance(raised.value.__context__, OSError)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_must_end_first_is_left_to_the_block_around_it() -> None:
    done = []

    def work() -> None:
        with undisturbed():
            with uninterrupted():
                _press()
            done.append("inner")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["inner"]


def test_a_thread_runs_what_must_end_first_as_it_is() -> None:
    done = []

    def work() -> None:
        with uninterrupted():
            done.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [signal.default_int_handler]


ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("number", ENDING)
def test_what_a_batch_system_or_a_closed_terminal_sends_is_a_ctrl_c(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), ended_by_signals():
        os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("number", ENDING)
def test_a_clean_up_is_not_disturbed_by_them_either(number: signal.Signals) -> None:
    done = []

    def clean_up() -> None:
        with ended_by_signals(), undisturbed():
            os.kill(os.getpid(), number)
            done.append("cleaned up")

    with pytest.raises(KeyboardInterrupt):
        clean_up()
    assert done == ["cleaned up"]


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_that_was_ignored_at_the_start_stays_ignored(number: signal.Signals) -> None:
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with ended_by_signals():
            heed_signals()
            os.kill(os.getpid(), number)
        assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, before)


def test_a_study_that_is_deaf_to_ctrl_c_hears_sigterm() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell starts what stands before an &
    with pytest.raises(KeyboardInterrupt), ended_by_signals():
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


@pytest.mark.parametrize("block", [uninterrupted, undisturbed])
@pytest.mark.parametrize(
    ("sent", "is_heard"), [((signal.SIGTERM,), True), ((signal.SIGINT, signal.SIGHUP), True), ((signal.SIGINT,), False)]
)
def test_a_study_that_is_deaf_to_ctrl_c_hears_the_others_behind_what_must_end_first(
    block: Callable[[], AbstractContextManager[None]], sent: tuple[signal.Signals, ...], is_heard: bool
) -> None:
    done = []

    def work() -> None:
        with ended_by_signals(), block():
            for number in sent:
                os.kill(os.getpid(), number)
            done.append("recorded")

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with pytest.raises(KeyboardInterrupt) if is_heard else nullcontext():
        work()
    assert done == ["recorded"]


def test_handlers_that_another_library_has_replaced_are_installed_again() -> None:
    with ended_by_signals():
        signal.signal(signal.SIGUSR1, lambda *_: None)
        heed_signals()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGUSR1)


def test_a_thread_without_handlers_runs_as_it_is() -> None:
    before = [signal.getsignal(number) for number in ENDING]
    found = []

    def work() -> None:
        with ended_by_signals():
            heed_signals()
            found.append([signal.getsignal(number) for number in ENDING])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [before]


def test_children_that_are_to_hear_nothing_outlive_a_signal_to_the_group() -> None:
    sleeper = [sys.executable, "-c", "print('up', flush=True); import time; time.sleep(60)"]
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with unheard_by_children():
        child = subprocess.Popen(sleeper, stdout=subprocess.PIPE)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == mask
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"up\n"
        for number in ENDING:
            child.send_signal(number)
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.3)
        child.kill()


def _python(code: str, folder: Path | None = None) -> tuple[int, str, str]:
    """Run code, or where a folder is given, as a module that `python -m` starts; return how it ended."""
    command, environment = ["-c", code], {**os.environ, "PYTHONPATH": str(ROOT)}
    if folder is not None:
        (folder / "started.py").write_text(code)
        command, environment = ["-m", "started"], {**os.environ, "PYTHONPATH": f"{ROOT}:{folder}"}
    done = subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_a_ctrl_c_after_the_end_prints_nothing() -> None:
    code = (
        "import os, signal, atexit\n"
        "from study.terminal.signals import end_process\n"
        "atexit.register(lambda: [os.kill(os.getpid(), n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)])\n"
        "end_process(lambda: 130)"
    )
    assert _python(code) == (130, "", "")


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGUSR1", "SIGINT"])
def test_a_signal_between_a_command_and_the_end_of_its_process_changes_nothing(name: str) -> None:
    code = (
        "import signal\n"
        "from study.terminal.signals import end_process, ended_by_signals\n"
        "main = ended_by_signals()(lambda: 1)\n"
        f"end_process(lambda: [main(), signal.raise_signal(signal.{name})][0])"
    )
    assert _python(code) == (1, "", "")


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1"])
@pytest.mark.parametrize("inner", ["exec('press()')", "eval('press()')", "exec('exec(\"press()\")')"])
def test_a_signal_in_code_from_a_string_ends_as_any_other(tmp_path: Path, name: str, inner: str) -> None:
    """As `dataclass` and `namedtuple` run it: Python alone would end `python -m` by SIGINT, without a word."""
    code = (
        "import signal\n"
        "from study.terminal.signals import end_process, ended_by_signals\n"
        f"press = lambda: signal.raise_signal(signal.{name})\n"
        "@ended_by_signals()\n"
        "def main():\n"
        "    try:\n"
        f"        {inner}\n"
        "    except KeyboardInterrupt:\n"
        "        print('resume line', flush=True)\n"
        "        return 130\n"
        "end_process(main)"
    )
    assert _python(code, tmp_path) == (130, "resume line\n", "")


#: Presses in the first dataclass that is made once the command runs, one of hundreds that a start imports.
_IN_A_DATACLASS = """
import dataclasses, os, signal, sys
from study import run
from study.terminal.signals import command_of, end_process

made = dataclasses._process_class
def make(*args, **how):
    exec("import os, signal; os.kill(os.getpid(), signal.SIGTERM)")
    return made(*args, **how)

dataclasses._process_class = make
sys.argv = ["run", "--data", "digits_lt", "--dry-run"]
end_process(command_of("study.run"))
"""


def test_a_signal_while_a_study_imports_a_dataclass_ends_it_with_a_line(tmp_path: Path) -> None:
    assert _python(_IN_A_DATACLASS, tmp_path) == (130, "interrupted before there was a study\n", "")


#: Presses at the first import behind `study.terminal.signals`.
_IN_AN_IMPORT = """
import os, runpy, signal, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if hasattr(sys.modules.get("study.terminal.signals"), "end_process"):
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Finder())
runpy.run_module("{module}", run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize("module", [module for module, _ in COMMANDS.values()])
def test_ctrl_c_while_a_command_imports_what_it_needs_is_one_word(module: str) -> None:
    assert _python(_IN_AN_IMPORT.replace("{module}", module)) == (130, "", "interrupted\n")


def test_a_ctrl_c_that_a_command_leaves_to_python_is_one_word() -> None:
    code = "import signal\nfrom study.terminal.signals import end_process\nend_process(lambda: signal.raise_signal(2))"
    assert _python(code) == (130, "", "interrupted\n")


def test_a_second_ctrl_c_while_the_first_is_told_is_one_word_all_the_same() -> None:
    code = (
        "import signal\n"
        "from study.terminal import signals\n"
        "told = signals._interrupted\n"
        "def again():\n"
        "    signals._interrupted = told\n"
        "    signal.raise_signal(2)\n"
        "signals._interrupted = again\n"
        "signals.end_process(lambda: signal.raise_signal(2))"
    )
    assert _python(code) == (130, "", "interrupted\n")


def test_a_word_that_finds_its_terminal_closed_is_no_other_error() -> None:
    code = (
        "import os, signal\n"
        "from study.terminal.signals import end_process\n"
        "os.dup2(os.open('/dev/full', os.O_WRONLY), 2)\n"
        "end_process(lambda: signal.raise_signal(2))"
    )
    assert _python(code) == (130, "", "")


def _in_del(number: int) -> None:
    class Gone:
        def __del__(self) -> None:
            os.kill(os.getpid(), number)

    Gone()


def _in_a_weak_callback(number: int) -> None:
    class Gone: ...

    gone = Gone()
    reference = weakref.ref(gone, lambda _: os.kill(os.getpid(), number))
    del gone
    assert reference() is None


def _in_a_callback_from_c(number: int) -> None:
    def press() -> int:
        os.kill(os.getpid(), number)
        return 0

    ctypes.CFUNCTYPE(ctypes.c_int)(press)()


@pytest.mark.parametrize("number", [signal.SIGINT, *ENDING])
@pytest.mark.parametrize("press", [_in_del, _in_a_weak_callback, _in_a_callback_from_c])
def test_a_signal_where_python_can_raise_nothing_is_not_lost(
    press: Callable[[int], None], number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def work() -> None:
        press(number)
        for _ in range(3000):
            time.sleep(0.01)
        raise AssertionError("nothing was heard")

    with pytest.raises(KeyboardInterrupt), ended_by_signals():
        work()
    assert capsys.readouterr().err == ""


def test_another_error_that_python_cannot_raise_is_told_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)
    with ended_by_signals():
        sys.unraisablehook(SimpleNamespace(exc_type=OSError))
    assert [one.exc_type for one in told] == [OSError]
    assert sys.unraisablehook == told.append


def _pressing(*_: Any, **__: Any) -> Any:
    _press()


@pytest.mark.parametrize(
    ("patched", "command"),
    [
        ("study.planning.check.check", lambda folder: run.main(["--data", "digits_lt"])),
        ("study.run.enter_asked", lambda folder: run.main(["--data", "digits_lt"])),
        ("study.planning.parser.parse", lambda folder: run.main(["--data", "digits_lt"])),
        ("study.phases.session.resume.resume", lambda folder: resume.main([str(folder)])),
        ("study.entry.continuation.enter_recorded", lambda folder: resume.main([str(folder)])),
        ("study.lock.check_free", lambda folder: resume.main([str(folder)])),
    ],
)
def test_ctrl_c_before_there_is_a_study_says_so_in_a_line(
    tmp_path: Path, monkeypatch, capsys, patched: str, command: Callable[[Path], int]
) -> None:
    monkeypatch.setattr(patched, _pressing)
    assert command(tmp_path) == 130
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("interrupted before there was a study\n", "")


def test_ctrl_c_before_the_first_phase_prints_the_resume_command(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr("study.phases.session.begin.run_to_report", _pressing)
    what = ("--space", "acckd_smoke", "--data", "digits_lt", "--confirm-seeds", "0", "--ablation-seeds", "0")
    assert run.main([*what, "--out", str(tmp_path), "--name", "mine"]) == 130
    printed = capsys.readouterr()
    mine = tmp_path / "mine"
    assert printed.out.splitlines()[-2:] == [f"  python -m study.resume {mine}", f"study: {mine}"]
    assert printed.err == ""
    monkeypatch.setattr("study.phases.session.resume.run_to_report", lambda *_: 0)
    assert resume.main([str(mine)]) == 0
