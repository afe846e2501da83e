"""Runs of the confirmation that failed for good: which ones, of what, and what stands for them.

A diverged run is a result. Its student answers by chance, so it counts with a recall of 1/C in every class. Leaving it
out would compare the surviving runs of an entry with all runs of another. A run that the machine lost says nothing of
its entry, so nothing stands for it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from study.records.rerun_names import RerunKey, rerun_key
from study.records.run_tables import ConfirmRun, RerunAttempts


@dataclass(frozen=True)
class FailedRun:
    """One run of the confirmation that failed for good.

    Attributes:
        key: entry, seed, trial, subset and length of the run.
        cause: of its last failure, `<kind>: <what>`.
        diverged: whether its loss became NaN or infinite; otherwise the machine lost the run.
    """

    key: RerunKey
    cause: str
    diverged: bool


def failed_runs(
    attempts: Mapping[str, RerunAttempts], trials: Mapping[str, int | None], recorded: Sequence[ConfirmRun]
) -> tuple[FailedRun, ...]:
    """Return the runs of the confirmation that failed for good, in the order of their names.

    Args:
        attempts: the attempts at every run of the later phases, by name.
        trials: entry of the confirmation -> its trial now. Runs of a former trial of the entry do not count.
        recorded: the finished runs of the confirmation.
    """
    finished = {(run.entry, run.seed, run.data_seed, run.epochs_factor) for run in recorded}
    found = []
    for name, run in sorted(attempts.items()):
        key = rerun_key(name)
        if not run.failed or key is None or key.entry not in trials or trials[key.entry] != key.trial:
            continue
        if (key.entry, key.seed, key.data_seed, key.epochs_factor) not in finished:
            found.append(FailedRun(key, run.cause or "no cause noted", run.diverged))
    return tuple(found)


def at_chance(
    failed: Sequence[FailedRun], recorded: Sequence[ConfirmRun], *, selected_on: str
) -> tuple[ConfirmRun, ...]:
    """Return what stands for each diverged run: counts of a recall of 1/C in every class, on test and on D_val.

    Counts are not whole here: of 300 test images of a class, 30 of 10 classes are right by chance.

    Args:
        failed: of `failed_runs`.
        recorded: the finished runs of the confirmation; the test images of each class are those of any of them.
        selected_on: the set on which searched configurations were chosen.
    """
    if not recorded:
        return ()
    seen = recorded[0].record["test"]["seen"]
    n_classes = len(seen)
    by_chance = {"correct": [n / n_classes for n in seen], "seen": list(seen)}
    on_val = {"correct": [1.0] * n_classes, "seen": [n_classes] * n_classes}
    return tuple(
        ConfirmRun(
            run.key.entry,
            run.key.seed,
            run.key.trial,
            {"test": by_chance, "val": on_val, "selected_on": "reference" if run.key.trial is None else selected_on},
            run.key.data_seed,
            run.key.epochs_factor,
        )
        for run in failed
        if run.diverged
    )
