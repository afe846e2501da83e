"""Ray's error file, as Ray 2.60 wrote it, becomes the type and message of its last error."""

import pytest

from study.execution.error_text import last_error

HEAD = "Failure # 1 (occurred at 2026-11-24_04-05-36)\n"
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
    assert last_error(f"{HEAD}{said}\n\n") == (told or said)


def test_of_several_failures_the_last_counts() -> None:
    assert last_error(f"{HEAD}{ACTOR}{FRAMES}ValueError: one\n{HEAD.replace('1', '2', 1)}The actor died.\n") == (
        "The actor died."
    )
