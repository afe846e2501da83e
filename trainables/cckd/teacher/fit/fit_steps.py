"""The steps of a long fit: each is kept on disk when it is done, so that a killed fit goes on behind it.

A step begins where the one before it ended. So a fit that was killed ends equal to the last bit on the CPUs of one
machine, with as many threads. On another machine, or a GPU, sums may be rounded in another order, and two strengths
that are nearly equal on D_val may change places. So the name of a step has the strength that it belongs to.
"""

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Protocol

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from trainables.cckd.files.atomic import write_bytes
from trainables.cckd.files.digests import hash_array, json_digest
from trainables.cckd.teacher.cache.fit_files import made_by
from trainables.cckd.teacher.fit.softmax_regression import Affine

#: A step that takes less seconds is not kept: to compute it again costs little more than to read it.
KEEP_S = 5.0

#: Is given the number of steps that are done, and a note about the last one.
Tell = Callable[[int, str], None]

#: The result of a step: a function, and the iterations that it took.
Step = tuple[Affine, int]


class StepStore(Protocol):
    """Where finished steps are kept."""

    def read(self, name: str) -> Step | None:
        """Return a step, or None where it is absent or damaged."""

    def write(self, name: str, step: Step) -> None:
        """Keep a step, if that is possible."""


class StepFolder:
    """Finished steps of one fit as files.

    Args:
        folder: of this fit alone; it is made with the first step.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, name: str) -> Step | None:
        """Return a step, or None where it is absent or damaged."""
        try:
            with safe_open(self._path(name), "np") as file:
                affine = Affine(file.get_tensor("weight"), file.get_tensor("bias"))
                noted = file.metadata() or {}
            n_iterations = int(noted["iterations"])
        except (OSError, SafetensorError, KeyError, ValueError):
            return None
        intact = noted.get("made_by") == made_by() and noted.get("sha256") == _hash(affine, n_iterations)
        return (affine, n_iterations) if intact else None

    def write(self, name: str, step: Step) -> None:
        """Keep a step. A cache that cannot be written costs a killed fit its time only."""
        affine, n_iterations = step
        noted = {"made_by": made_by(), "iterations": str(n_iterations), "sha256": _hash(affine, n_iterations)}
        arrays = {key: np.ascontiguousarray(array) for key, array in affine._asdict().items()}
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            write_bytes(self._path(name), save(arrays, noted))

    def remove(self) -> None:
        """Remove what was kept; the fit is complete."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name.replace(' ', '-')}.safetensors"


class FitSteps:
    """Runs the steps of one fit.

    Args:
        store: where finished steps are kept; None where none are.
        tell: is called after each step.
    """

    def __init__(self, store: StepStore | None = None, tell: Tell | None = None) -> None:
        self._store, self._tell = store, tell
        self._n_done = 0

    def run(self, name: str, compute: Callable[[], Step]) -> Step:
        """Return the step `name` as it was kept, or compute it."""
        kept = None if self._store is None else self._store.read(name)
        if kept is not None:
            return kept
        started = monotonic()
        step = compute()
        if self._store is not None and monotonic() - started >= KEEP_S:
            self._store.write(name, step)
        return step

    def count(self, n_steps: int, note: str) -> None:
        """Note that `n_steps` more are done, or are not needed."""
        self._n_done += n_steps
        if self._tell is not None:
            self._tell(self._n_done, note)


def _hash(affine: Affine, n_iterations: int) -> str:
    return json_digest([hash_array(affine.weight), hash_array(affine.bias), n_iterations], spaced=True)
