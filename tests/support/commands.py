"""Commands of ours run, watched, interrupted and killed from outside, with all the processes they started."""

import atexit
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from trainables.cckd.data.store.image_store import FOLDER

ROOT = Path(__file__).resolve().parents[2]

#: What makes a study a search alone, every trial run to its end.
SEARCH_ONLY = ("--pruner", "none", "--finalists", "0", "--confirm-seeds", "0", "--ablation-seeds", "0")

#: How Ray names a process in which several trials are trained.
TRIAL_HOST = b"ray::TrialHost"

#: The signals that end a command. A shell starts what stands before an & deaf to the first, `nohup` to SIGHUP, and
#: whatever those start in turn.
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)

#: Every process of one command, Ray's included, carries this in its environment.
_MARK = "CCKD_COMMAND"
#: How Ray names the process of an actor that runs trials, in its command line: between calls, and during one.
_TRIAL_WORKER = (b"ray::CckdTrial", b"ray::HostedTrial", b"ray::ResourceTrainable", TRIAL_HOST)
#: Ray's agents, which may outlive their head node by a minute.
AGENTS = (b"ray::DashboardAgent", b"ray::RuntimeEnvAgent")


def fresh_data_root(data_root: Path, folder: Path) -> Path:
    """Make `folder`/data with links to the files under `data_root`, but not to what studies have made beside them."""
    fresh = folder / "data"
    fresh.mkdir()
    for entry in data_root.iterdir() if data_root.is_dir() else ():
        if entry.name not in ("teacher-cache", FOLDER):
            (fresh / entry.name).symlink_to(entry)
    return fresh


@contextmanager
def passing_data_root(data_root: Path) -> Iterator[Path]:
    """A `fresh_data_root` in a folder of its own, which goes when it is left."""
    with tempfile.TemporaryDirectory() as name:
        yield fresh_data_root(data_root, Path(name))


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """What it printed, line by line."""
        return self.out.splitlines()


class Command:
    """A command in a process group of its own, as a terminal would start it.

    Attributes:
        started: `time.time()` of its start.
    """

    def __init__(self, module: str, *argv: str) -> None:
        self._mark = uuid4().hex
        self.started = time.time()
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *argv],
            cwd=ROOT, env=os.environ | {_MARK: self._mark}, start_new_session=True, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            preexec_fn=_hear_signals,
        )  # fmt: skip
        atexit.register(self._leave_nothing)

    @property
    def running(self) -> bool:
        """Whether the command itself has not ended."""
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        """Of the command itself."""
        return self._process.pid

    def interrupt(self, number: int = signal.SIGINT) -> None:
        """What a terminal does with Ctrl-C, or with SIGHUP when it closes: a signal to the whole foreground group."""
        os.killpg(self._process.pid, number)

    def tell(self, number: int) -> None:
        """Send a signal to the command alone."""
        self._process.send_signal(number)

    def kill(self, patience_s: float = 120.0) -> int:
        """SIGKILL the driver; return how many processes it left that were still there `patience_s` later.

        A worker that is just importing torch hears of its driver's death when it has done so.

        Those are killed too, so that nothing of one test runs into the next. Ray's agents are not counted: one that
        was just starting asks for its dead head node for up to a minute before it ends by itself.
        """
        self._process.kill()
        self._process.communicate()
        orphans = self.left_behind(patience_s, but=AGENTS)
        for pid in self.others():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return len(orphans)

    def _leave_nothing(self) -> None:
        """Whoever started the command ends: so must the command."""
        if self.running:
            self.kill(patience_s=0)

    def end(self, timeout_s: float = 400) -> Ended:
        """Wait for the command to end."""
        out, err = self._process.communicate(timeout=timeout_s)
        return Ended(self._process.returncode, out, err)

    def left_behind(self, patience_s: float = 120.0, *, but: tuple[bytes, ...] = ()) -> list[int]:
        """Its other live processes that `patience_s` do not see ending; `but` as for `others`."""
        limit = time.monotonic() + patience_s
        while (found := self.others(but=but)) and time.monotonic() < limit:
            time.sleep(0.1)
        return found

    def others(self, *, but: tuple[bytes, ...] = ()) -> list[int]:
        """Live processes of this command beside itself, by the mark in their environment, never by name.

        Args:
            but: beginnings of command lines to leave out.
        """
        found, wanted = [], f"{_MARK}={self._mark}".encode()
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                marked = wanted in (folder / "environ").read_bytes().split(b"\0")
                if marked and not (but and (folder / "cmdline").read_bytes().startswith(but)):
                    found.append(int(folder.name))
            except OSError:
                continue
        return [pid for pid in found if pid != self._process.pid]

    def trial_workers(self) -> list[int]:
        """Those of them that run trials."""
        return [pid for pid in self.others() if command_line(pid).startswith(_TRIAL_WORKER)]

    def processor_s(self) -> dict[str, float]:
        """Seconds of processor time that its live processes have taken so far, by what they are."""
        found = {"driver": _processor_s(self.pid), "trial workers": 0.0, "other workers": 0.0, "Ray's services": 0.0}
        for pid in self.others():
            found[_role(command_line(pid))] += _processor_s(pid)
        return found


def _hear_signals() -> None:
    """Let a process be ended by every signal, whatever its parent ignores."""
    for number in ENDING:
        signal.signal(number, signal.SIG_DFL)


def _role(line: bytes) -> str:
    """What a process of a study is, by its command line."""
    if line.startswith(_TRIAL_WORKER):
        return "trial workers"
    return "other workers" if line.startswith(b"ray::") and not line.startswith(AGENTS) else "Ray's services"


def command_line(pid: int) -> bytes:
    """As /proc has it; empty where the process has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _processor_s(pid: int) -> float:
    """User and system seconds of all threads of a process; 0 where it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait_until(command: Command, happens: Callable[[], bool], seconds: float = 600) -> None:
    """Wait until `happens` while the command runs; an end before that, or so many seconds, is a failure."""
    limit = time.monotonic() + seconds
    while not happens():
        assert command.running, command.end(5)
        assert time.monotonic() < limit, "it never came to that"
        time.sleep(0.01)


def n_complete(folder: Path) -> int:
    """Return the complete trials in the trials.csv of a study folder; 0 before there is one."""
    try:
        return sum(",COMPLETE," in line for line in (folder / "trials.csv").read_text().splitlines())
    except FileNotFoundError:
        return 0
