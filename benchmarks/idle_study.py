"""A study in which only the driver works, for trials that train nothing: a folder, a ledger, a silent progress line."""

import io
from pathlib import Path

from study.entry.continuation import analyses
from study.phases.state.study_in_progress import Study
from study.planning.check import check
from study.planning.manifest import first_manifest
from study.planning.parser import build_parser
from study.records.ledger import Ledger
from study.records.store import StudyStore
from study.strategy.search_settings import SearchSettings
from study.terminal.progress import Progress


def idle_study(folder: Path, name: str, settings: SearchSettings, *flags: str) -> Study:
    """Make the study `folder`/`name` of the space acckd_full on digits_lt and open it; its caller closes the ledger.

    Args:
        folder: of the study's folder.
        name: of the study.
        settings: of the search; trials, epochs, sampler and pruner of the plan are theirs.
        flags: further ones of `study.run`.
    """
    what = ["--space", "acckd_full", "--data", "digits_lt", "--out", str(folder), "--name", name]
    how = ["--trials", str(settings.trials), "--epochs", str(settings.epochs)]
    by = ["--sampler", settings.sampler, "--pruner", settings.pruner]
    checked = check(build_parser().parse_args([*what, *how, *by, *flags]))
    store = StudyStore.create(folder, name)
    store.write_manifest(first_manifest(checked, "benchmark"))
    ledger = Ledger.create(store.database, checked.space, settings)
    return Study(checked, store, ledger, Progress(io.StringIO()), analyses())
