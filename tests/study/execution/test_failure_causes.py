"""Texts that Ray 2.60 wrote when workers died, each by its own means, become causes of their own kinds."""

import pytest

from study.execution.failure_causes import Kind, _last_error, cause, cause_of, kind_of, may_retry
from trainables.cckd.errors import ConfigError, NonFiniteLossError

HEAD = "Failure # 1 (occurred at 2026-11-24_17-28-05)\n"
DIED = (
    "The actor died unexpectedly before finishing this task.\n\tclass_name: T\n\tactor_id: 3fccb4ae\n\tpid: 20772\n"
    "\tnamespace: 89f9f688\n\tip: 192.0.2.2\n"
)
WORKER = "The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR Worker exit detail: "
#: A worker that was killed by SIGKILL, that crashed, or that left by os._exit: Ray cannot tell them apart.
SIGNAL = (
    "Worker unexpectedly exits with a connection error code 2. End of file. Some common causes include: (1) the "
    "process was killed by the OOM killer due to high memory usage, (2) ray stop --force was called, or (3) the worker "
    "crashed unexpectedly due to SIGSEGV or another unexpected error. If the process was killed by the kernel OOM "
    "killer (verifiable by checking for OOM in dmesg of the OOMing node), consider enabling resource isolation."
)
MONITOR = (
    "1 worker(s) were killed due to the node running low on memory. Memory on the node (IP: 192.0.2.2, ID: 7dfdd439) "
    "was 5.63GB used / 23.54GB limit (0.239206)\nOOM kill reason: Memory usage 6015713280B exceeded threshold of "
    "5990427136B (23.7% of 25276063744B limit)\nTop 10 memory users: PID\tMEM(GB)\tCOMMAND\n22662\t0.42\tray::T.train\n"
)
NODE = (
    "The actor died because its node has died. Node Id: 184b873b\n\tthe actor's node was terminated expectedly: "
    "received SIGTERM"
)
UNAVAILABLE = (
    "The actor 5c6eabab is unavailable: The actor is temporarily unavailable: RpcError: RPC error: Socket closed "
    "rpc_code: 14. The task may or may not have been executed on the actor."
)
FRAME = (
    "\x1b[36mray::T.train()\x1b[39m (pid=20847, ip=192.0.2.2, actor_id=463e3544, repr=<T object at 0x7fc8>)\n"
    '           ^^^^\n  File "/code/t.py", line 12, in train\n    step()\n    ^^^^^^\n'
)
CUDA = (
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 79.11 GiB."
)
NO_MEMORY = "RuntimeError: [enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: 9"
INIT = "The actor died because of an error raised in its creation task, "


@pytest.mark.parametrize(
    ("text", "kind", "what"),
    [
        (DIED + WORKER + SIGNAL, Kind.WORKER_KILLED, "its process died, by a signal or for memory"),
        (DIED + WORKER + "Worker exits unexpectedly. Worker exits with an exit code 3.", Kind.WORKER_KILLED, "code 3"),
        (DIED + "The actor is dead because it was killed by `ray.kill`.", Kind.WORKER_KILLED, "its process died"),
        (MONITOR, Kind.OUT_OF_MEMORY, "Ray killed the worker, its node used 5.63GB of 23.54GB"),
        (FRAME + "trainables.cckd.errors.DamagedImageError: /a/3.png is torn", Kind.DAMAGED_IMAGE, "/a/3.png is torn"),
        (FRAME + "MemoryError: Unable to allocate 9 GiB", Kind.OUT_OF_MEMORY, "Unable to allocate 9 GiB"),
        (FRAME + "numpy._core._exceptions._ArrayMemoryError: Unable to allocate 8 GiB", Kind.OUT_OF_MEMORY, "8 GiB"),
        (FRAME + NO_MEMORY, Kind.OUT_OF_MEMORY, "DefaultCPUAllocator"),
        (FRAME + CUDA, Kind.CUDA_OUT_OF_MEMORY, "Tried to allocate 20.00 GiB"),
        (FRAME + "RuntimeError: CUDA error: out of memory", Kind.CUDA_OUT_OF_MEMORY, "CUDA error"),
        (DIED + NODE, Kind.LOST_NODE, "the worker's node is dead or cannot be reached"),
        (UNAVAILABLE, Kind.LOST_NODE, "the worker's node is dead or cannot be reached"),
        (FRAME + "ValueError: always wrong", Kind.EXCEPTION, "ValueError: always wrong"),
        (INIT + FRAME + "RuntimeError: no data here", Kind.EXCEPTION, "RuntimeError: no data here"),
        (FRAME + "ValueError: The actor died, its node has died", Kind.EXCEPTION, "ValueError: The actor died"),
        (
            FRAME + f"trainables.cckd.errors.NonFiniteLossError: {NonFiniteLossError('kd', float('nan'), 3, 1)}",
            Kind.NON_FINITE_LOSS,
            "loss term 'kd' became nan at epoch 3, step 1",
        ),
        (FRAME + f"trainables.cckd.errors.ConfigError: {ConfigError('lr no')}", Kind.BAD_CONFIGURATION, "lr no"),
    ],
)
def test_a_cause_is_its_kind_and_what_happened(text: str, kind: Kind, what: str) -> None:
    told = cause_of(f"{HEAD}{text}\n")
    assert told.startswith(f"{kind}: ")
    assert what in told
    assert "\n" not in told
    assert kind_of(told) is kind


def test_the_last_of_several_failures_counts_and_equal_ones_read_alike() -> None:
    other = (DIED + WORKER + SIGNAL).replace("20772", "1").replace("3fccb4ae", "77")
    assert cause_of(f"{HEAD}{FRAME}ValueError: one\n{HEAD}{other}\n") == cause_of(f"{HEAD}{DIED}{WORKER}{SIGNAL}\n")


def test_a_trial_that_ended_with_an_unfit_result_has_no_kind_and_is_not_tried_again() -> None:
    assert kind_of("the trial ended after epoch 3 of 4") is None
    assert not may_retry("the trial ended after epoch 3 of 4", n_failures=1, max_retries=2)


@pytest.mark.parametrize("kind", list(Kind))
def test_a_trial_is_tried_again_within_its_limit_unless_it_would_fail_the_same_way(kind: Kind) -> None:
    retries = [may_retry(cause(kind, "..."), n_failures=n, max_retries=2) for n in (1, 2, 3)]
    expected = {
        Kind.NON_FINITE_LOSS: [False, False, False],
        Kind.BAD_CONFIGURATION: [False, False, False],
        Kind.DAMAGED_IMAGE: [False, False, False],
        Kind.CUDA_OUT_OF_MEMORY: [True, False, False],
    }
    assert retries == expected.get(kind, [True, True, False])
    assert not may_retry(cause(kind, "..."), n_failures=1, max_retries=0)


TEXT_HEAD = "Failure # 1 (occurred at 2026-11-24_04-05-36)\n"
ACTOR = "\x1b[36mray::T.train()\x1b[39m (pid=22685, ip=192.0.2.2, actor_id=689b, repr=<T object at 0x7f0b>)\n"
FRAMES = (
    "           ^^^^^^^^^^^\n"
    '  File "/site-packages/ray/tune/trainable/trainable.py", line 326, in train\n'
    "    result = self.step()\n             ^^^^^^^^^^^\n           ^^^^^^^^^^^^^\n"
    '  File "/code/errs.py", line 7, in step\n'
    '    if k == 0: raise ValueError("always wrong")\n               ^^^^^^^^^^^^^^^^^^^^^^^\n'
)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (ACTOR + FRAMES + "ValueError: always wrong", "ValueError: always wrong"),
        (ACTOR + FRAMES + "OSError: two\n    lines: here", "OSError: two\n    lines: here"),
        (ACTOR + FRAMES + "torch.OutOfMemoryError: CUDA out of memory.", "OutOfMemoryError: CUDA out of memory."),
        (ACTOR + FRAMES + "MemoryError", "MemoryError"),
        (
            ACTOR + FRAMES + "KeyError: 'x'\n\nThe above exception was the direct cause of the following exception:\n\n"
            + ACTOR + FRAMES + "RuntimeError: outer a.b: c",
            "RuntimeError: outer a.b: c",
        ),
        ("The actor died unexpectedly.\n\tclass_name: T\nIt was killed.", None),
    ],
)  # fmt: skip
def test_the_last_error_is_its_type_and_message(said: str, told: str | None) -> None:
    assert _last_error(f"{TEXT_HEAD}{said}\n\n") == (told or said)


def test_of_several_failures_the_last_counts() -> None:
    assert _last_error(
        f"{TEXT_HEAD}{ACTOR}{FRAMES}ValueError: one\n{TEXT_HEAD.replace('1', '2', 1)}The actor died.\n"
    ) == ("The actor died.")
