"""The work on Ray that a study asks for."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from study.execution.tasks import Future, object_store, start_beside_driver, start_on_node
from study.execution.workers import Workers, threads_of, trainable_for
from study.planning.checked import Checked
from study.teacher.bundle import Prepared, prepare, shared_weights, teacher_on_test
from study.teacher.worker_tasks import time_step
from trainables.cckd.bundle.assemble import assemble_test
from trainables.cckd.precision import StepShape
from trainables.trial_context import TrialContext

if TYPE_CHECKING:
    from study.execution.course import Course


def beside_driver(function: Callable[..., Any], *arguments: Any) -> Future:
    """Start `function(*arguments)` in a process of its own on the driver's node."""
    return Future(start_beside_driver(function, *arguments, own_process=True))


def time_steps(node: str | None, shape: StepShape) -> Future:
    """Start to time steps on a node, None for the driver's; the result is a StepTime."""
    return Future(start_on_node(node, time_step, shape))


def run_on_ray(checked: Checked, prepared: Prepared, workers: Workers, course: "Course") -> None:
    """Put the data of a course into Ray's object store and run its trials; raises what `run_trials` raises."""
    from study.execution.tuner import run_trials

    plan = checked.plan
    assert plan.precision is not None, "it is decided before the first trial"
    with object_store(is_temporary=course.is_temporary) as put:
        context = TrialContext(
            data=put(prepared.data),
            teacher=shared_weights(checked) if course.forwards_teacher else None,
            test=put(assemble_test(checked.data)) if course.opens_test else None,
            device=plan.device,
            precision=plan.precision,
            threads=threads_of(plan),
        )
        with trainable_for(context, plan, workers) as (trainable, setup):
            run_trials(plan, workers, trainable, setup, course)


@dataclass(frozen=True)
class Engine:
    """What a study needs of Ray; tests give a study another engine."""

    run: Callable[[Checked, Prepared, Workers, "Course"], None] = run_on_ray
    prepare: Callable[..., Prepared] = prepare
    teacher_on_test: Callable[..., Any] = teacher_on_test
    beside: Callable[..., Future] = beside_driver
    time_steps: Callable[[str | None, StepShape], Future] = time_steps
