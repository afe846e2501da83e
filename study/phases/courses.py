"""The courses of a study: which phases follow one another in the same workers."""

from collections.abc import Iterator
from functools import partial

from study.execution.attempts import AttemptLog
from study.execution.course import Phase
from study.execution.workers import Workers
from study.phases.ablation import ablate
from study.phases.baselines import tune_baselines
from study.phases.confirmation import confirm
from study.phases.longer_runs import train_longer
from study.phases.search import forwards_teacher, search, studied_method
from study.phases.selection import select
from study.phases.state.study_in_progress import Study
from study.teacher.bundle import Prepared


def run_courses(study: Study, prepared: Prepared, workers: Workers) -> None:
    """Run every phase that is not finished.

    Raises:
        KeyboardInterrupt: after Ctrl-C.
        StudyFailed: failures exceed a limit, or no trial is complete.
        DataError: a cut differs from the cut that was checked when the study started.
    """
    study.run(prepared, workers, partial(tune, study), title="search", forwards_teacher=forwards_teacher(study))
    confirm(study, prepared, workers, then=partial(train_further, study))


def tune(study: Study, attempts: AttemptLog, workers: Workers) -> Iterator[Phase]:
    """Yield the phases that choose best1 and tune the baselines; no trial of them may read the test set."""
    method = studied_method(study)
    yield from search(study, method, attempts, workers)
    study.record_student(wait=True)
    yield from select(study, method, attempts, workers)
    yield from tune_baselines(study, attempts, workers)


def train_further(study: Study, attempts: AttemptLog, workers: Workers) -> Iterator[Phase]:
    """Yield the phases behind the confirmation."""
    yield from train_longer(study, attempts, workers)
    yield from ablate(study, attempts, workers)
