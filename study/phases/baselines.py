"""The rivals of the studied method, tuned as it is: the phases of search and selection once more, for each of them.

A baseline has a search of its own in study.db, on the settings of the study's: as many trials, epochs and Sobol
points, the same sampler, pruner and seeds, the same choice by fresh runs on D_val. Its winner is confirmed as
`<baseline>_tuned` on the seeds of all other entries.
"""

from dataclasses import dataclass, replace
from typing import Any

from study import schema
from study.execution.failure_budget import Failures
from study.execution.tuner import Workers
from study.phases.phase import NothingComplete, Study
from study.phases.search import search
from study.phases.selection import ranked, select
from study.planning.spaces import baseline_space
from study.records.trial_rows import Finalist
from study.teacher.bundle import Prepared
from trainables.cckd.config import training_settings
from trainables.checkpoint_store import Shelf


@dataclass
class BaselineStudy(Study):
    """A baseline's part of study `of`: a search and a selection of its own, all else shared."""

    of: Study

    @property
    def name(self) -> str:
        """The baseline's."""
        return self.checked.space.name

    @property
    def entry(self) -> str:
        """What the search's winner is confirmed as."""
        return self.name + schema.TUNED_SUFFIX

    @property
    def candidate(self) -> str:
        """What the runs of the selection are called; their attempts are counted beside those of the study's own."""
        return f"candidate-{self.name}"

    @property
    def what(self) -> str:
        """Names the search to the user."""
        return f"tune {self.name}"

    @property
    def n_left(self) -> int:
        """Runs of the phases that come after the search."""
        plan = self.checked.plan
        n_later = len(plan.tuned_baselines) - 1 - list(plan.tuned_baselines).index(self.name)
        return plan.n_selection_runs + n_later * plan.n_tuning_runs + plan.n_confirm_runs

    @property
    def failures(self) -> Failures:
        """What has gone wrong in the whole study so far."""
        return self.of.failures

    @property
    def shelf(self) -> Shelf:
        """Where its checkpoints lie, apart from those of the study's own trials, which have the same numbers."""
        return self.of.shelf_of(self.name)

    def keep(self, **found: Any) -> None:
        """Keep in the manifest, under the baseline's name, what search and selection have come to."""
        known = self.store.manifest().get("tuned_baselines", {})
        self.store.update_manifest(tuned_baselines=known | {self.name: known.get(self.name, {}) | found})

    def export(self) -> None:
        """Write the whole study's tables."""
        self.of.export()


def tune_baselines(study: Study, prepared: Prepared, workers: Workers) -> None:
    """Run what the searches and selections of the plan's baselines still miss.

    Raises:
        StudyInterrupted: Ray came back with runs missing.
        StudyFailed: too much has failed.
    """
    for name in study.checked.plan.tuned_baselines:
        baseline = _baseline_study(study, name)
        try:
            search(baseline, prepared, workers)
        except NothingComplete as error:
            # The study is not lost for it: the baseline stands at its reference point, as it would without tuning.
            study.progress.say(f"NOTE     {name} COULD NOT BE TUNED: {error}")
        else:
            select(baseline, prepared, workers)


def tuned_entries(study: Study) -> dict[str, tuple[Finalist, dict[str, Any]]]:
    """Return entry -> each tuned baseline's winner and its flat configuration without the seed."""
    plan, found = study.checked.plan, {}
    for name in plan.tuned_baselines:
        ledger = study.ledger.baselines[name]
        for winner in ranked(ledger, plan)[:1]:
            found[name + schema.TUNED_SUFFIX] = winner, {**ledger.space.config(winner.params), **plan.training}
    return found


def _baseline_study(study: Study, name: str) -> BaselineStudy:
    checked, plan = study.checked, study.checked.plan
    ledger = study.ledger.tune(name, baseline_space(name, checked.space, plan))
    # What --set fixes of the studied method's knobs is not the baselines' to keep.
    shared = {key: value for key, value in plan.overrides.items() if key in training_settings()}
    own = replace(checked, space=ledger.space, plan=replace(plan, space=name, overrides=shared))
    baseline = BaselineStudy(own, study.store, ledger, study.progress, study)
    baseline.keep(space=ledger.space.to_json())
    return baseline
