"""Which Ray a study uses: a private one of its own, or a cluster that it joins."""

import logging
import os
import re
import secrets
import select
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from study.execution.ray_private import (
    job_runtime_env,
    leaving_no_half_node,
    loopback_only,
    redirect_driver_output,
    without_head_servers,
    without_log_monitor,
)
from study.planning.cores import allotted_cores
from study.planning.plan import AUTO, LOCAL
from study.terminal.faults import one_line
from study.terminal.home import home_is_writable
from trainables.cckd.errors import UsageError
from trainables.own_method import VARIABLE, OwnSource

log = logging.getLogger("study")

#: Our packages that Ray's workers import. A cluster is sent these, the file of an own method, and nothing else.
PACKAGES = ("search_spaces", "trainables", "study")

#: The folder that holds them: a checkout, site-packages, or the working directory of a Ray job.
CODE = Path(__file__).resolve().parents[2]

#: Most letters of Ray's temporary folder: Linux takes 107 for a socket, and Ray adds these with the longest process id.
_LONGEST_FOLDER = 107 - len("/ray/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store")

#: Ray's words for a start that takes too long; its GCS may also be slow where its text names no time.
_TOO_LONG = re.compile(r"timed out|failed to (start|connect to) GCS", re.IGNORECASE)

#: Seconds after which a cluster counts as closed to us. Ray itself would go on asking for minutes.
_PATIENCE_S = 20
#: Seconds that the start of Python and the import of Ray may take before that: tens on a network disk that is cold.
_IMPORT_S = 300
#: The program that joins the cluster at its argument. It says a word when it begins.
_JOIN = (
    "import ray, sys; print('imported', flush=True); "
    "ray.init(address=sys.argv[1], log_to_driver=False, logging_level='CRITICAL')"
)


class ClusterError(UsageError):
    """The cluster cannot be joined, or its nodes cannot run the study; `faults` holds one sentence per fault."""


def check_process(address: str) -> None:
    """Refuse a process in which no study can run, before anything is made.

    Args:
        address: of the cluster; a private Ray needs a temporary folder.

    Raises:
        UsageError: this is not the main thread, which Ctrl-C and Ray Tune need; the process has a Ray of its own; or
            there is no temporary folder for a private Ray.
    """
    if threading.current_thread() is not threading.main_thread():
        raise UsageError(
            "a study must run in the main thread of its process, which alone hears Ctrl-C; got the thread "
            f"{threading.current_thread().name!r}; start it with subprocess, or from the main thread"
        )
    ray = sys.modules.get("ray")
    if ray is not None and ray.is_initialized():
        raise UsageError(
            "a study starts a Ray of its own or joins one with --address; this process is connected to a Ray already; "
            "call ray.shutdown() first, or start the study in another process"
        )
    if address == LOCAL:
        _check_temporary_folder()


def _check_temporary_folder() -> None:
    for name in ("RAY_TMPDIR", "TMPDIR"):
        folder = os.environ.get(name)
        if not folder:
            continue
        if not (os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK)):
            raise UsageError(f"{name} must name a folder that can be written, for Ray's files; got {folder!r}")
        if name == "RAY_TMPDIR" and len(folder) > _LONGEST_FOLDER:
            raise UsageError(
                f"{name} must have at most {_LONGEST_FOLDER} letters, because Ray puts sockets there; got {len(folder)}"
            )
        return


@contextmanager
def _short_temporary_folder() -> Iterator[None]:
    """Let a private Ray use /tmp in place of a TMPDIR that is too long for its sockets, as on many shared machines.

    Ray would take an empty variable for the current folder.
    """
    before = os.environ.get("RAY_TMPDIR")
    named = before or os.environ.get("TMPDIR", "")
    if not named or len(named) > _LONGEST_FOLDER:
        log.info("Ray's files are in /tmp")
        os.environ["RAY_TMPDIR"] = "/tmp"
    try:
        yield
    finally:
        os.environ.pop("RAY_TMPDIR", None)
        if before is not None:
            os.environ["RAY_TMPDIR"] = before


@contextmanager
def private_token(address: str) -> Iterator[None]:
    """Give a private Ray a token of its own where Ray could not write a new one to ~/.ray/auth_token.

    Ray's processes need it for the block. Behind it a cluster, which has another one, must not be offered it.
    """
    named = {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys()
    needed = address == LOCAL and not named and not home_is_writable()
    if not needed or os.path.isfile(os.path.expanduser("~/.ray/auth_token")):
        yield
        return
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    try:
        yield
    finally:
        os.environ.pop("RAY_AUTH_TOKEN", None)


def connect(address: str, environment: Mapping[str, str], *, verbose: bool) -> None:
    """Start a private Ray, or join the cluster at `address` and send it our code.

    Args:
        address: one that `address_fault` accepts, and of a cluster that `try_to_join` has found.
        environment: variables that Ray's workers need.
        verbose: let Ray print to the terminal. Otherwise Ray's lines about lost nodes and workers go to our log.

    Raises:
        ClusterError: a private Ray does not start, or the cluster has gone meanwhile.
    """
    import ray

    options: dict[str, Any] = {"logging_level": logging.INFO if verbose else logging.CRITICAL, "log_to_driver": verbose}
    if not verbose:
        redirect_driver_output(lambda lines: log.info("ray: %s", "\n".join(lines)))
    if address == LOCAL:
        lines = nullcontext() if verbose else without_log_monitor()
        with loopback_only(), without_head_servers(), lines, leaving_no_half_node(), _short_temporary_folder():
            _start(options)
        return
    with _shipped(environment) as runtime_env:
        try:
            ray.init(address=address, runtime_env=runtime_env, **options)
        except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            raise ClusterError(f"--address {address}: {one_line(str(error))}") from error


def _start(options: Mapping[str, Any]) -> None:
    """Start a private Ray; once more where it takes too long, as on a busy machine.

    Raises:
        ClusterError: it takes too long a second time, or cannot start at all.
    """
    import ray

    for attempt in (1, 2):
        try:
            # The address is named, because without one Ray joins a Ray that an earlier run left in its temporary
            # folder. The dashboard stays off: it has had remote-code holes, and a study does not need it.
            ray.init(address=LOCAL, include_dashboard=False, num_cpus=allotted_cores().n, **options)
            return
        except Exception as error:  # Ray raises its own kinds, and a bare Exception for a start that takes too long
            ray.shutdown()
            log.warning("Ray did not start (attempt %d)", attempt, exc_info=True)
            if not (isinstance(error, TimeoutError) or _TOO_LONG.search(str(error))):
                raise ClusterError(f"Ray must start on this machine; {one_line(str(error))[:200]}") from error
            busy = f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
            if attempt == 2:
                raise ClusterError(
                    f"Ray must start on this machine; it did not, twice ({busy}): {one_line(str(error))[:200]}; resume "
                    "the study when the machine has room"
                ) from error
            print(f"NOTE     Ray did not start ({busy}); it is started once more", flush=True)


def try_to_join(address: str) -> None:
    """Join a cluster in a separate process that can be ended: if it is refused, Ray asks for minutes and fills stderr.

    Raises:
        ClusterError: there is no cluster, it refuses us, or it runs other versions.
    """
    with tempfile.TemporaryFile() as errors:  # a pipe that nobody reads would be full
        asked = subprocess.Popen([sys.executable, "-c", _JOIN, address], stdout=subprocess.PIPE, stderr=errors)
        assert asked.stdout is not None, "it is a pipe"
        try:
            if not select.select([asked.stdout], [], [], _IMPORT_S)[0]:
                raise ClusterError(
                    f"--address {address}: importing Ray must take less than {_IMPORT_S} s on this machine; look at "
                    "the disk that Python's packages lie on, then try again"
                )
            if asked.wait(_PATIENCE_S) == 0:
                return
        except subprocess.TimeoutExpired:
            pass
        finally:
            asked.kill()
            asked.communicate()
        errors.seek(0)
        stderr = errors.read().decode(errors="replace")
    if "AuthenticationError" in stderr or "Unauthenticated" in stderr:
        raise ClusterError(
            f"--address {address}: the cluster asks for its token; set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN (or "
            "RAY_AUTH_TOKEN_PATH, or ~/.ray/auth_token) to what its nodes were started with"
        )
    if "Version mismatch" in stderr:
        raise ClusterError(f"--address {address}: {one_line(stderr[stderr.index('Version mismatch') :])}")
    variable = os.environ.get("RAY_ADDRESS")
    where = f" at RAY_ADDRESS={variable}" if address == AUTO and variable else ""
    raise ClusterError(
        f"--address {address}: no Ray cluster answered within {_PATIENCE_S} s{where}; start one with: ray start --head"
    )


@contextmanager
def _shipped(environment: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Return a runtime environment in which workers import the driver's code, whatever their node has installed.

    The code goes as a working directory, not as py_modules. Only then does Ray keep the driver's own paths out of its
    workers' paths, where a node may hold an older checkout. A job that was submitted with a working directory has
    brought the code already. The module of an own method goes along; its hash is compared where it is imported.
    """
    job, own = job_runtime_env(), OwnSource.entered()
    variables = {key: value for key, value in environment.items() if key not in job.get("env_vars", {})}
    if own is not None:
        variables[VARIABLE] = own.text
    if "working_dir" in job:
        if own is not None and own.path.parent != Path.cwd():
            raise ClusterError(f"--method {own.method}: {own.path} must lie in the working directory of the job")
        yield {"env_vars": variables}
        return
    compiled = shutil.ignore_patterns("__pycache__", "*.pyc")
    with tempfile.TemporaryDirectory() as scratch:
        for package in PACKAGES:
            shutil.copytree(CODE / package, Path(scratch, package), ignore=compiled)
        if own is not None:
            shutil.copy(own.path, scratch)
        yield {"working_dir": scratch, "env_vars": variables}
