"""Stands for SLURM's `srun` and `scontrol` on one machine, under whose names a test links it into a folder on PATH.

`srun` starts its tasks as processes of this machine and ends them when it is told to end. `scontrol requeue` notes the
job in the file that SLURM_STAND_IN_REQUEUED names.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path


def srun(argv: list[str]) -> int:
    """Start `--ntasks` copies of a command and wait for them."""
    parser = argparse.ArgumentParser()
    for flag in ("--nodes", "--ntasks"):
        parser.add_argument(flag, type=int, required=True)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--nodelist")
    where.add_argument("--exclude")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    args = parser.parse_args(argv)
    assert args.nodes == args.ntasks, "one task per node"
    cpus = os.environ.get("SRUN_CPUS_PER_TASK")  # without it SLURM 22.05 and later binds a task to one core
    assert cpus == os.environ["SLURM_CPUS_PER_TASK"], f"a task must have the cores of its node; got {cpus}"
    tasks = [subprocess.Popen([*args.command, *_own("--head" in args.command)]) for _ in range(args.ntasks)]

    def end(*_: object) -> None:
        for task in tasks:
            task.terminate()

    signal.signal(signal.SIGTERM, end)
    return max(task.wait() for task in tasks)


def scontrol(argv: list[str]) -> int:
    """`show hostnames LIST`, and `requeue JOB`."""
    if argv[:2] == ["show", "hostnames"]:
        print("\n".join(argv[2].split(",")))
        return 0
    assert argv[0] == "requeue"
    with Path(os.environ["SLURM_STAND_IN_REQUEUED"]).open("a") as handle:
        handle.write(f"{argv[1]}\n")
    return 0


def _own(is_head: bool) -> list[str]:
    """Nodes of one machine cannot share ports, nor a folder, which a node clears when it starts."""
    flags = [] if is_head else [f"--temp-dir={tempfile.mkdtemp(dir=os.environ['RAY_TMPDIR'])}"]
    for name in ("dashboard-agent-listen-port", "dashboard-agent-grpc-port", "metrics-export-port"):
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            flags.append(f"--{name}={found.getsockname()[1]}")
    return flags


if __name__ == "__main__":
    sys.exit({"srun": srun, "scontrol": scontrol}[Path(sys.argv[0]).name](sys.argv[1:]))
