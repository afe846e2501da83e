"""A session whose way through the phases is played, and what it leaves."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from study.phases.state.study_in_progress import Study

Play = Callable[[Callable[[Study], None]], None]


def raising(error: BaseException) -> Callable[[Study], None]:
    """A way through the phases that ends with `error`."""

    def act(study: Study) -> None:
        raise error

    return act


def throw(error: BaseException) -> None:
    raise error


def pressing(*_: Any, **__: Any) -> Any:
    """Press Ctrl-C."""
    signal.raise_signal(signal.SIGINT)


def manifest_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "study.json").read_text())
