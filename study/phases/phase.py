"""A phase on Ray: the data of its trials goes into the object store, then the trials run."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from study.execution.tasks import object_store
from study.execution.tuner import Phase, run_trials, trainable_for
from study.execution.workers import Workers, threads_of
from study.planning.checked import Checked
from study.teacher.bundle import Prepared, prepare, shared_weights, teacher_on_test


def run_on_ray(checked: Checked, prepared: Prepared, workers: Workers, phase: Phase) -> None:
    """Run a phase; raises what `run_trials` raises."""
    from trainables.cckd.bundle.assemble import assemble_test
    from trainables.trial_context import TrialContext

    plan = checked.plan
    with object_store(is_temporary=phase.is_temporary) as put:
        context = TrialContext(
            data=put(prepared.data),
            teacher=shared_weights(checked) if phase.forwards_teacher else None,
            test=put(assemble_test(checked.data)) if phase.opens_test else None,
            device=plan.device,
            precision=plan.precision,
            threads=threads_of(plan),
        )
        with trainable_for(context, plan, workers) as (trainable, setup):
            run_trials(plan, workers, trainable, setup, phase)


@dataclass(frozen=True)
class Engine:
    """The work on Ray that a study asks for; tests give a study another engine."""

    run: Callable[[Checked, Prepared, Workers, Phase], None] = run_on_ray
    prepare: Callable[..., Prepared] = prepare
    teacher_on_test: Callable[..., Any] = teacher_on_test
