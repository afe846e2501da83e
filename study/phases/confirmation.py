"""The confirmation phase: finalists and ladder are trained afresh on the same seeds and judged on the test set once.

With `--data-seeds`, this is done on several cuts of the long tail, one after the other. So only one bundle of images
and teacher outputs is needed at a time. The teacher is part of what is judged: it is fitted to every cut.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any

from study.execution.attempts import AttemptLog
from study.execution.course import Phase
from study.execution.workers import Workers
from study.phases.baselines import tuned_entries
from study.phases.reruns import Rerun, RerunQueue, given_up, run_reruns
from study.phases.search import forwards_teacher, studied_method
from study.phases.selection import ranked
from study.phases.state.study_in_progress import Phases, Study
from study.planning.checked import Checked
from study.planning.tail_subsets import recut
from study.records.rerun_names import rerun_name
from study.records.run_tables import ConfirmRun
from study.schema import LOOKS, PhaseName, look_of
from study.teacher.bundle import Prepared, decode_images
from study.teacher.small_images import stored_images
from trainables.cckd.confidence import ConfidenceBins
from trainables.cckd.config import TrialConfig

#: The confirmation entry of the teacher itself, which has no training seed.
_TEACHER = "teacher"

#: Distance between the training seeds of neighbouring cuts. It exceeds every seed of the study's own cut, for any
#: --seed.
_NEXT_CUT = 10**13

#: Not described for the teacher of a further cut: its passes are added to the passes of the study's own teacher.
_PASSES = ("forward_passes", "verification_passes")


def confirm(study: Study, prepared: Prepared, workers: Workers, then: Phases) -> None:
    """Run the missing runs of the plan's cuts, entries, and seeds, and evaluate each cut's teacher on test.

    Args:
        study: the study.
        prepared: the data of the study's own cut.
        workers: of the Ray session.
        then: returns the phases that follow. Without further cuts they run in the same workers as the confirmation.

    Raises:
        KeyboardInterrupt: after Ctrl-C.
        StudyFailed: failures exceed a limit.
        DataError: a cut differs from the cut that was checked when the study started.
    """
    plan, ledger = study.checked.plan, study.ledger
    train = partial(study.run, title="confirm", forwards_teacher=forwards_teacher(study))
    if not plan.confirm_seeds:
        train(prepared, workers, then, opens_test=plan.ablation_on_test)
        return
    cuts = [runs_of_cut(study, data_seed) for data_seed in range(plan.data_seeds)]
    entries = {run.entry: {"trial": run.trial, "config": run.config} for run in cuts[0]}
    study.store.update_manifest(phase=PhaseName.CONFIRMATION, confirm_entries=entries)
    for rerun in cuts[0]:
        if rerun.trial is not None:
            ledger.runs.drop_confirm_runs(rerun.entry, but_of=rerun.trial)

    names = {rerun.name for cut in cuts for rerun in cut}
    follows = "longer runs" if plan.n_longer_runs else "ablation" if plan.ablation_seeds else ""
    note = f", then the {follows}" if follows else ""
    queues = [replace(queue_on_test(study, "confirm", cut), counted=names, note=note) for cut in cuts]
    n_left = sum(len(queue.missing(study)) for queue in queues)

    def rest(attempts: AttemptLog, workers: Workers) -> Iterator[Phase]:
        if plan.data_seeds == 1:
            yield from run_reruns(study, ledger, queues[0], attempts, workers)
        _note_look(study, cuts[0])
        if n_left:
            n_failed = len(names & given_up(ledger, plan.max_retries))
            n_recorded = len(names & ledger.runs.recorded_reruns())
            study.progress.say(f"confirm  {n_recorded} runs on test, {n_failed} failed")
        yield from then(attempts, workers)

    _judge_teacher(study, 0, study.checked, prepared, workers)
    if plan.data_seeds > 1:
        train(prepared, workers, partial(run_reruns, study, ledger, queues[0]), opens_test=True)
    for data_seed, queue in enumerate(queues[1:], start=1):
        if queue.missing(study) or _teacher_run(data_seed) not in ledger.runs.recorded_reruns():
            checked, of_cut = _prepare_cut(study, data_seed, workers)
            _judge_teacher(study, data_seed, checked, of_cut, workers)
            train(of_cut, workers, partial(run_reruns, study, ledger, queue), opens_test=True, is_temporary=True)
    train(prepared, workers, rest, opens_test=True)


def _note_look(study: Study, runs: Sequence[Rerun]) -> None:
    """Add this confirmation to the looks at the test set, unless a former one had its seeds, cuts and best trial.

    A study that an earlier version began has no list of looks, and gets none: it would lack the former ones.
    """
    looks = study.store.manifest().get(LOOKS)
    best = next(run.trial for run in runs if run.trial is not None)
    look = look_of(study.checked.plan.to_json(), best)
    if looks is None or look in looks:
        return
    study.store.update_manifest(**{LOOKS: [*looks, look]})
    if looks:
        study.progress.say(
            f"NOTE     this is look {len(looks) + 1} at the test set; each further look lowers the level at which the "
            "report may claim a gain"
        )


def queue_on_test(study: Study, title: str, runs: Sequence[Rerun]) -> RerunQueue:
    """Return the queue of `runs`, each of which is judged on the test set and recorded with the confirmation.

    Nothing is trained twice: a run whose twin is recorded, now or later, takes the results of its twin.
    """
    hopeless = given_up(study.ledger, study.checked.plan.max_retries)
    twins = [(run, twin) for run, twin in twins_of(runs) if twin.name not in hopeless]
    copied = {run.name for run, _ in twins}
    _copy(study, twins)

    def record(run: Rerun, result: dict[str, Any]) -> None:
        record_run(study, run, result)
        _copy(study, twins)

    return RerunQueue(
        title=title,
        runs=[run for run in runs if run.name not in copied],
        counted={run.name for run in runs},
        recorded=study.ledger.runs.recorded_reruns,
        record=record,
        checkpoints=study.checkpoints,
        opens_test=True,
    )


def twins_of(runs: Sequence[Rerun]) -> list[tuple[Rerun, Rerun]]:
    """Return each run that would train what an earlier one trains, with that one.

    There are some where the reference point is the best trial: best1 is the method's own rung, on the same seeds.
    """
    first: dict[tuple[str, int | None, int, int], Rerun] = {}
    pairs = [
        (run, first.setdefault((json.dumps(TrialConfig.build(run.config).flat()), *_place(run)), run)) for run in runs
    ]
    return [(run, twin) for run, twin in pairs if twin is not run]


def _place(run: Rerun | ConfirmRun) -> tuple[int | None, int, int]:
    return run.seed, run.data_seed, run.epochs_factor


def _copy(study: Study, twins: Sequence[tuple[Rerun, Rerun]]) -> None:
    """Record each run whose twin has a record, with the results of the twin."""
    if not twins:
        return
    recorded = {(run.entry, *_place(run)): run.record for run in study.ledger.runs.confirm_runs()}
    for run, twin in twins:
        record = recorded.get((twin.entry, *_place(twin)))
        if record is not None and (run.entry, *_place(run)) not in recorded:
            _add(study, run, record)


def runs_of_cut(study: Study, data_seed: int) -> list[Rerun]:
    """Return the confirmation's runs on one cut, done or not, seed by seed."""
    plan, method = study.checked.plan, studied_method(study)
    found = ranked(study.ledger, plan)[: plan.confirm_top]
    best = [(trial.number, method.config(trial.params)) for trial in found]
    seeds = confirm_seeds(plan.seed, plan.confirm_seeds, data_seed)
    return confirm_reruns(best, plan.ladder, plan.training, seeds, data_seed, tuned_entries(study))


def confirm_seeds(study_seed: int, n_seeds: int, data_seed: int = 0) -> tuple[int, ...]:
    """Return the training seeds of the confirmation on one cut; no search trial has one (those are 63-bit hashes).

    The seeds of the study's own cut are small numbers. The seeds of cut r begin with r, followed by 13 digits. Cuts
    share no seed: an effect that a seed has on every cut would not show in the spread between cuts, and the interval
    over cuts would miss it.
    """
    return tuple(_NEXT_CUT * data_seed + 1000 * (study_seed + 1) + k for k in range(1, n_seeds + 1))


def confirm_reruns(
    best: Sequence[tuple[int, dict[str, Any]]],
    ladder: Sequence[str],
    settings: dict[str, Any],
    seeds: Sequence[int],
    data_seed: int = 0,
    tuned: Mapping[str, tuple[int, dict[str, Any]]] = MappingProxyType({}),
) -> list[Rerun]:
    """Return one rerun per (entry, seed) of one cut, seed by seed so that an early stop leaves whole seeds.

    Args:
        best: (trial number, flat configuration) of the trials to confirm, best first.
        ladder: the methods that are trained at their reference values.
        settings: training settings that the ladder's rungs share with the study.
        seeds: from `confirm_seeds`. A best entry exports the model of the study's own cut and first seed. A choice by
            the test results would be selection on test.
        data_seed: the cut.
        tuned: entry -> (trial number, flat configuration) of the tuned baselines.
    """
    found = [(f"best{rank}", number, config) for rank, (number, config) in enumerate(best, start=1)]
    tuned_runs = [(entry, number, config) for entry, (number, config) in tuned.items()]
    # The costly ones first, so that at the end of a phase no worker waits long for another one.
    rungs = [(rung, None, {"method": rung, **settings}) for rung in reversed(ladder)]
    exported = {entry for entry, _, _ in found}
    return [
        Rerun(
            entry,
            seed,
            trial,
            config,
            export=entry in exported and (data_seed, seed) == (0, seeds[0]),
            data_seed=data_seed,
            curve=True,
        )
        for seed in seeds
        for entry, trial, config in (*found, *tuned_runs, *rungs)
    ]


def _judge_teacher(study: Study, data_seed: int, checked: Checked, prepared: Prepared, workers: Workers) -> None:
    """Judge the teacher of a cut on test, unless that is recorded."""
    if _teacher_run(data_seed) in study.ledger.runs.recorded_reruns():
        return
    counts, bins, passes = study.engine.teacher_on_test(checked, prepared, workers, study.progress)
    test = {"correct": list(counts.correct), "seen": list(counts.seen), "bins": bins._asdict()}
    record = {"test": test, "selected_on": "val"}
    study.ledger.runs.add_confirm_run(_TEACHER, None, None, record, data_seed=data_seed)
    _count_passes(study, passes)


def record_run(study: Study, run: Rerun, result: dict[str, Any]) -> None:
    """Record a finished run of the confirmation, and keep the model that it exports."""
    if run.export:
        study.keep_model(run.name)
    test = {name: result[f"test_{name}"] for name in ("correct", "seen", "confusion")}
    test["bins"] = {name: result[f"test_bin_{name}"] for name in ConfidenceBins._fields}
    record = {"test": test, "epochs": result["epochs"]}
    record["separability"] = {name: result[f"test_{name}"] for name in ("deviation", "intra", "inter")}
    _add(study, run, record)


def _add(study: Study, run: Rerun, record: Mapping[str, Any]) -> None:
    selected_on = "reference" if run.trial is None else study.checked.data.selected_on
    study.ledger.runs.add_confirm_run(
        run.entry,
        run.seed,
        run.trial,
        {**record, "selected_on": selected_on},
        data_seed=run.data_seed,
        epochs_factor=run.epochs_factor,
    )


def _prepare_cut(study: Study, data_seed: int, workers: Workers) -> tuple[Checked, Prepared]:
    """Cut another long tail and fit the teacher to it; describe that teacher in the manifest."""
    n_cuts = study.checked.plan.data_seeds
    study.progress.say(f"cut      {data_seed + 1} of {n_cuts}: other training images, the same D_val and test")
    checked = stored_images(recut(study.checked, data_seed), study.progress)
    checked = decode_images(checked)
    prepared = study.engine.prepare(checked, workers, study.progress)
    _count_passes(study, prepared.teacher["forward_passes"])
    described = {key: value for key, value in prepared.teacher.items() if key not in _PASSES}
    recuts = study.store.manifest().get("recuts", {})
    study.store.update_manifest(recuts=recuts | {str(data_seed): {"sha256": checked.data.sha256, "teacher": described}})
    return checked, prepared


def _count_passes(study: Study, passes: int) -> None:
    described = study.store.manifest()["teacher"]
    described["forward_passes"] += passes
    study.store.update_manifest(teacher=described)


def _teacher_run(data_seed: int) -> str:
    return rerun_name(_TEACHER, None, None, data_seed)
