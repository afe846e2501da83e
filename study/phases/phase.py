"""One phase: a queue of trials that Ray runs, with the data that the trials read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from study.execution.hang_watchdog import HangWatchdog
from study.execution.schedulers import ListeningScheduler
from study.execution.searchers import RetryingSearcher
from study.execution.tasks import object_store
from study.execution.tuner import TrialQueue, run_trials, trainable_for
from study.execution.workers import Workers, threads_of
from study.planning.checked import Checked
from study.teacher.bundle import Prepared, prepare, shared_weights, teacher_on_test


@dataclass(frozen=True)
class Phase:
    """One phase.

    Attributes:
        searcher: hands out the trials and records how they end.
        scheduler: sees every result; its `attempts` are shared with the searcher.
        folder: parent and name of a new folder for Ray's own files.
        on_step: called on every turn of Ray's loop.
        on_interrupt: called before Ctrl-C ends Ray's loop.
        forwards_teacher: whether a trial may ask for `forward` targets, which need the backbone's weights.
        opens_test: whether the test set goes into the object store.
        is_temporary: remove the phase's objects from Ray's object store at its end. For one of many phases, each with
            its own bundle.
    """

    searcher: RetryingSearcher[Any]
    scheduler: ListeningScheduler
    folder: tuple[str, str]
    on_step: Callable[[], None]
    on_interrupt: Callable[[], None] = lambda: None
    forwards_teacher: bool = False
    opens_test: bool = False
    is_temporary: bool = False


def run_on_ray(checked: Checked, prepared: Prepared, workers: Workers, phase: Phase) -> None:
    """Run a phase. The workers of trials that hang are killed.

    Raises:
        KeyboardInterrupt: after Ctrl-C.
        Exception: an error of our own code in one of Ray's callbacks, for instance on a full disk.
    """
    from trainables.cckd.bundle.assemble import assemble_test
    from trainables.trial import TrialContext

    plan, attempts = checked.plan, phase.scheduler.attempts
    watchdog = HangWatchdog(phase.scheduler, plan.trial_timeout)

    def raise_fault() -> None:
        """Raise the error of a callback instead of the error that Ray makes of it."""
        if attempts.fault is not None:
            raise attempts.fault

    def on_step(trials: Sequence[Any]) -> None:
        raise_fault()
        watchdog(trials)
        phase.on_step()

    with object_store(is_temporary=phase.is_temporary) as put:
        context = TrialContext(
            data=put(prepared.data),
            teacher=shared_weights(checked) if phase.forwards_teacher else None,
            test=put(assemble_test(checked.data)) if phase.opens_test else None,
            device=plan.device,
            precision=plan.precision,
            threads=threads_of(plan),
        )
        try:
            with trainable_for(context, plan, workers) as (trainable, setup):
                queue = TrialQueue(phase.searcher, phase.scheduler, phase.folder, on_step, phase.on_interrupt)
                run_trials(plan, workers, trainable, setup, queue)
        finally:
            raise_fault()


@dataclass(frozen=True)
class Engine:
    """The work on Ray that phases ask for; tests give a study another engine."""

    run: Callable[[Checked, Prepared, Workers, Phase], None] = run_on_ray
    prepare: Callable[..., Prepared] = prepare
    teacher_on_test: Callable[..., Any] = teacher_on_test
