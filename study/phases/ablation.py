"""The ablation: best1 is trained with one knob put back, or without one part, beside best1 itself.

What a setting buys is measured by training, because a model that is fitted to the trials extrapolates. The knobs are
those that the search shows to matter, the clearest first. The list is made once and kept in study.json.

The seeds are those of the confirmation. So its runs of best1 on the study's own cut are runs of the ablation too, and
none of them is trained twice. No choice rests on them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from search_spaces.space import SearchSpace
from study import schema
from study.execution.attempts import AttemptLog
from study.execution.course import Phase
from study.execution.workers import Workers
from study.phases.changes import Change, changed_knobs, put_back, without_parts
from study.phases.confirmation import confirm_seeds
from study.phases.reruns import Rerun, RerunQueue, given_up, run_reruns
from study.phases.search import studied_method
from study.phases.selection import ranked
from study.phases.state.study_in_progress import Study
from study.planning.plan import MOST_PUT_BACK, OF_BEST, StudyPlan
from study.records.ledger import Ledger
from study.records.rerun_names import ablation_entry
from study.records.run_tables import AblationRun, counts_of
from study.records.trial_rows import Finalist
from trainables.cckd.errors import UsageError


def ablate(study: Study, attempts: AttemptLog, workers: Workers) -> Iterator[Phase]:
    """Yield the phase of the missing runs of the ablation.

    Raises:
        StudyFailed: failures exceed a limit.
    """
    plan, ledger = study.checked.plan, study.ledger
    if not plan.ablation_seeds:
        return
    best = ranked(ledger, plan)[0]
    config = studied_method(study).config(best.params)
    planned = _planned(study, best, config)
    seeds = planned["seeds"][: OF_BEST * plan.ablation_seeds]
    changes = [Change(**plain) for plain in planned["changes"]]
    queue = _queue(study, best.number, config, changes, seeds)
    confirmed = _confirmed(study, best.number, seeds)
    n_left = len({run.name for run in queue.missing(study)} - {run.name for run in confirmed})
    if n_left and not study.has_time_for(n_left):
        study.leave_out(f"the ablation ({n_left} runs)")
        return
    for run in confirmed:
        ledger.runs.add_ablation_run(run)
    if not n_left:
        return
    study.store.update_manifest(phase=schema.PhaseName.ABLATION)
    what = ", ".join(change.name for change in changes) or "nothing"
    study.progress.say(f"ablate   best1 is trial {best.number}; put back or taken out: {what}")
    yield from run_reruns(study, ledger, queue, attempts, workers)
    n_failed = len(queue.counted & given_up(ledger, plan.max_retries))
    study.progress.say(f"ablate   {queue.n_done()} runs judged on {_judged_on(study)}, {n_failed} failed")


def check_knobs(asked: Sequence[str], plan: StudyPlan, space: SearchSpace, ledger: Ledger) -> None:
    """Refuse knobs that cannot be put back.

    Raises:
        UsageError: a knob is not searched, or the search is over and the knob has its reference value in best1.
    """
    known, where = tuple(space.distributions), "a searched knob"
    if ledger.finished_total >= plan.trials and (best := ranked(ledger, plan)[:1]):
        known = changed_knobs(space, best[0].params)
        where = f"a knob that best1 (trial {best[0].number}) has at another value than its reference"
    if wrong := [name for name in asked if name not in known]:
        raise UsageError(
            f"--knobs must each be {where} ({', '.join(known) or 'there is none'}); got {', '.join(wrong)}"
        )


def _planned(study: Study, best: Finalist, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what study.json keeps of the ablation; make it for a new best1, and add what is asked for now."""
    plan, space = study.checked.plan, study.checked.space
    fixed = studied_method(study).fixed
    known = study.store.manifest().get(schema.ABLATED)
    changed = changed_knobs(space, best.params)
    if known is None or known["trial"] != best.number:
        named = [name for name in study.analyses.screened_knobs(study.store.path) if name in changed][:MOST_PUT_BACK]
        knobs = [put_back(space, best.params, fixed, name) for name in named]
        changes = [asdict(change) for change in (*knobs, *without_parts(config))]
        known = {"trial": best.number, "seeds": [], "changes": changes}
    present = {change["name"] for change in known["changes"] if change["kind"] == "knob"}
    for name in plan.ablation_knobs:
        if name not in changed:
            study.progress.say(f"NOTE     {name} has its reference value in best1: it is not put back")
    more = [put_back(space, best.params, fixed, name) for name in plan.ablation_knobs if name in changed]
    # An earlier version chose other seeds; a study that it began keeps them.
    seeds = confirm_seeds(plan.seed, OF_BEST * plan.ablation_seeds)
    planned = {
        "trial": best.number,
        "seeds": [*known["seeds"], *seeds[len(known["seeds"]) :]],
        "changes": [*known["changes"], *(asdict(change) for change in more if change.name not in present)],
    }
    study.store.update_manifest(**{schema.ABLATED: planned})
    return planned


def _confirmed(study: Study, trial: int, seeds: Sequence[int]) -> list[AblationRun]:
    """Return the confirmation's runs of best1 on these seeds as runs of the ablation."""
    found = []
    for run in study.ledger.runs.confirm_runs():
        if (run.entry, run.trial, run.data_seed, run.epochs_factor) != (schema.BEST, trial, 0, 1):
            continue
        counts = counts_of(run.record["test"]) if study.checked.plan.ablation_on_test else run.val
        if run.seed is not None and run.seed in seeds and counts is not None:
            found.append(AblationRun(trial, schema.BEST, schema.BEST, run.seed, _judged_on(study), counts))
    return found


def _judged_on(study: Study) -> str:
    return "test" if study.checked.plan.ablation_on_test else "val"


def _queue(
    study: Study, trial: int, config: dict[str, Any], changes: Sequence[Change], seeds: Sequence[int]
) -> RerunQueue:
    """Return the runs of best1, whose trial is `trial`, and of its changes, seed by seed.

    Each change is trained on the first of the seeds of best1.
    """
    plan, table, judged_on = study.checked.plan, study.ledger.runs, _judged_on(study)
    trained = [
        ((schema.BEST, schema.BEST), config),
        *(((change.kind, change.name), change.config) for change in changes),
    ]
    entries = {ablation_entry(*key, judged_on): (key, flat) for key, flat in trained}
    runs = [
        Rerun(entry, seed, trial, flat, export=False)
        for place, seed in enumerate(seeds)
        for entry, (key, flat) in entries.items()
        if place < plan.ablation_seeds or key[0] == schema.BEST
    ]

    def record(run: Rerun, result: dict[str, Any]) -> None:
        plain = result["records"][-1]["val"]
        if plan.ablation_on_test:
            plain = {"correct": result["test_correct"], "seen": result["test_seen"]}
        kind, name = entries[run.entry][0]
        table.add_ablation_run(AblationRun(trial, kind, name, run.seed, judged_on, counts_of(plain)))

    return RerunQueue(
        title="ablate",
        runs=runs,
        counted={run.name for run in runs},
        recorded=table.recorded_reruns,
        record=record,
        checkpoints=study.checkpoints,
        opens_test=plan.ablation_on_test,
    )
