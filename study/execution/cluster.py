"""The Ray that a study runs on: which addresses there are, a private one of our own, or a cluster that is joined."""

import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from study.planning.plan import LOCAL
from trainables.cckd.errors import UsageError

log = logging.getLogger("study")

#: What Ray's workers import of ours; a cluster is sent these packages and nothing else.
PACKAGES = ("search_spaces", "trainables", "study")

#: A cluster that has not let us in by then will not; Ray itself goes on asking for minutes.
_PATIENCE_S = 20


class ClusterError(UsageError):
    """A cluster that cannot be joined, or whose nodes cannot run the study; `faults` holds one sentence per fault."""


def connect(address: str, environment: Mapping[str, str], *, verbose: bool) -> None:
    """Start a private Ray, or join the one at `address` and send it our code.

    Args:
        address: as `address_fault` accepts it.
        environment: variables that Ray's workers need.
        verbose: let Ray speak on the terminal; else what it has to say of lost nodes and workers goes to our log.

    Raises:
        ClusterError: no cluster there, one that does not let us in, or one of other versions.
    """
    import ray

    options: dict[str, Any] = {"logging_level": logging.INFO if verbose else logging.CRITICAL, "log_to_driver": verbose}
    if not verbose:
        # `log_to_driver` does not cover these, thirty lines a lost node. A private name; the slow test of a lost node
        # watches over it.
        ray._private.worker.print_to_stdstream = _log
    if address == LOCAL:
        with _loopback_only():
            # Named, since without an address Ray joins whatever an earlier run left in its temporary folder. The
            # dashboard stays off: it has had remote-code holes, and a study does not need it.
            ray.init(address=LOCAL, include_dashboard=False, **options)
        return
    _ask(address)
    with _shipped(environment) as runtime_env:
        try:
            ray.init(address=address, runtime_env=runtime_env, **options)
        except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            raise ClusterError(f"--address {address}: {_one_line(str(error))}") from error


def _log(data: Mapping[str, Any], ignore_prefix: bool) -> None:
    log.info("ray: %s", "\n".join(data["lines"]))


@contextmanager
def _loopback_only() -> Iterator[None]:
    """Have Ray's own servers listen on 127.0.0.1: on Linux they listen on every interface.

    ray.init turns a loopback `_node_ip_address` back into the outer one, so it is told what it assumes on macOS and
    Windows, that there will be one node only. The slow test of listening sockets watches over this private name.
    """
    from ray._private import ray_constants

    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


def _ask(address: str) -> None:
    """Join in a process apart, which can be ended: where nobody lets it in, Ray asks for minutes and fills stderr."""
    code = "import ray, sys; ray.init(address=sys.argv[1], log_to_driver=False, logging_level='CRITICAL')"
    try:
        asked = subprocess.run(
            [sys.executable, "-c", code, address], capture_output=True, text=True, timeout=_PATIENCE_S, check=False
        )
        if asked.returncode == 0:
            return
        heard = asked.stderr
    except subprocess.TimeoutExpired as expired:
        heard = (expired.stderr or b"").decode(errors="replace")
    if "AuthenticationError" in heard or "Unauthenticated" in heard:
        raise ClusterError(
            f"--address {address}: the cluster asks for its token; set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN (or "
            "RAY_AUTH_TOKEN_PATH, or ~/.ray/auth_token) to what its nodes were started with"
        )
    if "Version mismatch" in heard:
        raise ClusterError(f"--address {address}: {_one_line(heard[heard.index('Version mismatch') :])}")
    raise ClusterError(
        f"--address {address}: no Ray cluster answered within {_PATIENCE_S} s; start one with: ray start --head"
    )


@contextmanager
def _shipped(environment: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """A runtime environment in which workers import the driver's code, whatever is installed on their node.

    As a working directory, not as py_modules: only then does Ray leave the driver's own paths, where a node may hold
    an older checkout, out of its workers'. A job that was submitted with one has brought the code already.
    """
    job = json.loads(os.environ.get("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")).get("runtime_env") or {}
    variables = {key: value for key, value in environment.items() if key not in job.get("env_vars", {})}
    if "working_dir" in job:
        yield {"env_vars": variables}
        return
    with tempfile.TemporaryDirectory() as scratch:
        for package in PACKAGES:
            shutil.copytree(package_folder(package), Path(scratch, package), ignore=_IGNORED)
        yield {"working_dir": scratch, "env_vars": variables}


_IGNORED = shutil.ignore_patterns("__pycache__", "*.pyc")


def package_folder(name: str) -> Path:
    """Where a package of ours was imported from."""
    file = import_module(name).__file__
    assert file is not None, "our packages are ordinary ones"
    return Path(file).parent


def _one_line(text: str) -> str:
    return " ".join(text.split())[:500]
