"""The names of reruns. A name says which run of a later phase it is, so that study.db needs no second table of them."""

import re
from typing import NamedTuple

from study.schema import STUDY_NAME, PhaseName, tuning_phase

_NAME = re.compile(
    r"(?P<entry>.+?)(?:-trial(?P<trial>\d+))?-seed(?P<seed>\d+)(?:-cut(?P<data_seed>\d+))?(?:-x(?P<epochs_factor>\d+))?"
)


#: How the entries of the selection and of the ablation begin; those of no other phase do.
_CANDIDATE, _ABLATION = "candidate", "ablation-"


class RerunKey(NamedTuple):
    """What tells one run of a later phase from another; the fields are those of `study.phases.reruns.Rerun`."""

    entry: str
    seed: int
    trial: int | None
    data_seed: int = 0
    epochs_factor: int = 1


def rerun_name(entry: str, seed: int | None, trial: int | None, data_seed: int = 0, epochs_factor: int = 1) -> str:
    """Return the name of a rerun. It holds the trial, because an extended study may have another best trial."""
    of_trial = "" if trial is None else f"-trial{trial}"
    of_cut = f"-cut{data_seed}" if data_seed else ""
    of_length = f"-x{epochs_factor}" if epochs_factor > 1 else ""
    return f"{entry}{of_trial}-seed{seed}{of_cut}{of_length}"


def candidate_entry(search: str) -> str:
    """Return the entry of the selection runs of a search: the study's own, or that of a tuned baseline."""
    return search.replace(STUDY_NAME, _CANDIDATE, 1)


def ablation_entry(kind: str, change: str, judged_on: str) -> str:
    """Return the entry of a run of the ablation; that of no other phase begins like it."""
    return f"{_ABLATION}{judged_on}-{kind}-{change}"


def ablation_name(trial: int, kind: str, change: str, seed: int, judged_on: str) -> str:
    """Return the name of a run of the ablation."""
    return rerun_name(ablation_entry(kind, change, judged_on), seed, trial)


def rerun_key(name: str) -> RerunKey | None:
    """Return what a name of `rerun_name` says; None for the teacher, which has no seed, and for any other text."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    entry, trial, seed, data_seed, epochs_factor = found.group("entry", "trial", "seed", "data_seed", "epochs_factor")
    return RerunKey(
        entry, int(seed), None if trial is None else int(trial), int(data_seed or 0), int(epochs_factor or 1)
    )


def phase_of(name: str) -> str:
    """Return the phase of a rerun, by its name."""
    key = rerun_key(name)
    if key is None:
        return PhaseName.CONFIRMATION
    if key.entry.startswith(_ABLATION):
        return PhaseName.ABLATION
    if key.entry.startswith(_CANDIDATE):
        baseline = key.entry.removeprefix(_CANDIDATE).removeprefix("-")
        return tuning_phase(baseline) if baseline else PhaseName.SELECTION
    return PhaseName.LONGER if key.epochs_factor > 1 else PhaseName.CONFIRMATION
