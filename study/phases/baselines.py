"""Tuned baselines: search and selection once more for each of them, by the rules of the studied method.

A baseline has its own search in study.db with the settings of the study: as many trials and epochs, the same sampler,
pruner, and seeds, and the same selection by fresh runs on D_val. Its winner is confirmed as `<baseline>_tuned` on the
seeds of all other entries.
"""

from collections.abc import Iterator
from typing import Any

from study import schema
from study.execution.attempts import AttemptLog
from study.execution.course import Phase
from study.execution.workers import Workers
from study.phases.search import SearchTarget, search
from study.phases.selection import ranked, select
from study.phases.state.study_in_progress import NothingComplete, Study
from study.planning.spaces import baseline_space


def tune_baselines(study: Study, attempts: AttemptLog, workers: Workers) -> Iterator[Phase]:
    """Yield the phases of the missing trials and selection runs of the plan's baselines.

    Raises:
        StudyFailed: failures exceed a limit.
    """
    for name in study.checked.plan.tuned_baselines:
        target = _tuned_baseline(study, name)
        try:
            yield from search(study, target, attempts, workers)
        except NothingComplete as error:
            # The study goes on: this baseline keeps its reference point, as it would without tuning.
            study.progress.say(f"NOTE     {name} COULD NOT BE TUNED: {error}")
        else:
            yield from select(study, target, attempts, workers)


def tuned_entries(study: Study) -> dict[str, tuple[int, dict[str, Any]]]:
    """Return entry -> trial number and flat configuration, without the seed, of each tuned baseline's winner."""
    plan, found = study.checked.plan, {}
    for name in plan.tuned_baselines:
        ledger = study.ledger.baselines[name]
        for winner in ranked(ledger, plan)[:1]:
            found[name + schema.TUNED_SUFFIX] = (
                winner.number,
                {**ledger.space.config(winner.params), **plan.training_in(ledger.space)},
            )
    return found


def _tuned_baseline(study: Study, name: str) -> SearchTarget:
    plan = study.checked.plan
    ledger = study.ledger.tune(name, baseline_space(name, study.checked.space, plan))
    n_later = len(plan.tuned_baselines) - 1 - list(plan.tuned_baselines).index(name)

    def keep(**found: Any) -> None:
        known = study.store.manifest().get("tuned_baselines", {})
        study.store.update_manifest(tuned_baselines=known | {name: known.get(name, {}) | found})

    keep(space=ledger.space.to_json())
    return SearchTarget(
        ledger=ledger,
        checkpoints=study.checkpoints_of(name),
        fixed=plan.training_in(ledger.space),  # without the knobs of `--set`, which belong to the studied method
        title=f"tune {name}",
        entry=name + schema.TUNED_SUFFIX,
        n_later=plan.n_selection_runs + n_later * plan.n_tuning_runs + plan.closing_cost(study.checked.space),
        keep=keep,
    )
