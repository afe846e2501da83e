"""The number format of a study's students, where neither a flag nor a GPU decides it: by timed steps.

It is decided once, before the first trial, and stands in the plan from then on. Every phase and every later start takes
it from there, on whatever machine, because the numbers of a study are compared with each other. Steps are timed once
per kind of machine and student. What was timed is kept for later studies, so that two of them have one format. It also
says better than multiply-adds how long the study takes here.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace

from study.execution.tasks import Future, TaskError
from study.execution.workers import Workers
from study.measured.machine import Machine, this_machine
from study.measured.step_times import StepTimeFile
from study.phases.state.study_in_progress import Study
from study.planning.config_file import config_text
from study.planning.preview.estimate import expected, step_time_here
from study.planning.preview.missing import left_to_do
from study.schema import STEP_GAINS
from study.terminal.faults import one_line
from trainables.cckd.precision import StepShape, StepTime, default_precision, faster_precision

log = logging.getLogger("study")


@dataclass(frozen=True)
class Timing:
    """How long steps take on the machines that train: times that are kept, and those that are being measured."""

    shape: StepShape
    known: Mapping[Machine, StepTime]
    timed: Mapping[Machine, Future]


def begin_timing(study: Study, workers: Workers) -> Timing | None:
    """Read what is kept of each kind of machine that can train now, and start to time the others. Needs Ray.

    Returns:
        None where the study has its format already.
    """
    plan = study.checked.plan
    if plan.precision is not None:
        return None
    known: dict[Machine, StepTime] = {}
    timed: dict[Machine, Future] = {}
    shape = study.checked.step_shape
    if plan.device == "cpu":
        for machine, node in _machines(study, workers).items():
            kept = _read(study, StepTimeFile(machine, shape))
            if kept is None:
                timed[machine] = study.engine.time_steps(node, shape)
            else:
                known[machine] = kept
    return Timing(shape, known, timed)


def decide_precision(study: Study, timing: Timing | None) -> None:
    """Decide the number format, write it into study.json and study.yaml, and say what decided it; once per study."""
    if timing is None:
        return
    plan, times = study.checked.plan, dict(timing.known)
    for machine, future in timing.timed.items():
        try:
            times[machine] = _keep(study, StepTimeFile(machine, timing.shape), future.result())
        except TaskError as error:
            log.warning("steps are not timed on %s: %s", machine.processor, one_line(str(error)))
            _say(study, f"NOTE     steps could not be timed on {machine.processor}: {one_line(str(error))}")
    if plan.device == "cpu":
        # Where no node is left, none is known and none timed.
        all_known = bool(times) and times.keys() >= timing.timed.keys()
        chosen = faster_precision([time.gain for time in times.values()]) if all_known else "float32"
        missing = "" if all_known else ", because not every kind of machine could be timed"
        _say(study, f"format   students train in {chosen}{missing}{_told(times, timing.known)}")
    else:
        chosen = default_precision(plan.device)
    study.checked = replace(study.checked, plan=replace(plan, precision=chosen))
    rows = [{"processor": machine.processor, "gain": time.gain} for machine, time in times.items()]
    timed = {STEP_GAINS: rows} if plan.device == "cpu" else {}
    study.store.update_manifest(plan=study.checked.plan.to_json(), **timed)
    study.store.write_config(config_text(study.checked.plan, study.checked.space))
    if step_time_here(study.checked) and not timing.known:  # otherwise it was told at the start
        study.progress.say(
            f"time     {expected(study.checked, left_to_do(study.checked, study.ledger, study.store.manifest()))}"
        )


def _told(times: Mapping[Machine, StepTime], known: Mapping[Machine, StepTime]) -> str:
    """Say what was found on each kind of machine."""
    found = []
    for machine, time in times.items():
        where = f" on {machine.processor}" if len(times) > 1 else ""
        before = ", measured before" if machine in known else ""
        found.append(f"{time.gain:.2f} times as fast as float32{where}{before}")
    return f": bfloat16 is {'; '.join(found)}" if found else ""


def _machines(study: Study, workers: Workers) -> dict[Machine, str | None]:
    """Return the kinds of machines on which trials can run now, each with the id of a node; None is the driver's."""
    nodes = workers.trial_nodes(study.checked.plan)
    if workers.roster is None or nodes is None:
        return {this_machine(): None}
    return {workers.roster.machine(node): node for node in sorted(nodes)}


def _read(study: Study, file: StepTimeFile) -> StepTime | None:
    try:
        return file.read()
    except ValueError as error:
        _say(study, f"NOTE     steps are timed again, since what was kept of them is damaged: {file.path}: {error}")
    except OSError as error:  # then it can hardly be written either, which is told
        log.info("%s cannot be read: %s", file.path, error)
    return None


def _keep(study: Study, file: StepTimeFile, time: StepTime) -> StepTime:
    try:
        return file.keep(time)
    except OSError as error:
        _say(study, f"NOTE     the timing is not kept, so a later study times again: {one_line(str(error))}")
        return time


def _say(study: Study, line: str) -> None:
    log.info("%s", line)
    study.progress.say(line)
