"""What a study that was begun has yet to train, counted in study.db and study.json.

Which trials become best1 and so on is not known before the search and its selection are over. Until then every run of
theirs counts, so the number is the most that can be missing.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from search_spaces.space import SearchSpace
from study.planning.checked import Checked
from study.planning.plan import CHECK_FACTOR, LOCAL, OF_BEST, StudyPlan
from study.planning.preview.estimate import Work
from study.records.rerun_names import ablation_entry, rerun_key
from study.records.search_reader import SearchReader
from study.schema import ABLATED, BEST, SEARCH_LOOKS, TUNED_SUFFIX
from study.strategy.stopping import SETTLED

#: Stands for a trial that is not known yet: no recorded run is of it.
_UNKNOWN = -1


def missing_work(plan: StudyPlan, space: SearchSpace, search: SearchReader | None, manifest: Mapping[str, Any]) -> Work:
    """Return what a plan asks for and a study folder lacks.

    Args:
        plan: of the study, with what is asked for now.
        space: of the search.
        search: of the studied method; None where a driver died before it made study.db.
        manifest: study.json.
    """
    lacking = _Lacking(plan, space, search, manifest)
    tuned = ("", *plan.tuned_baselines)
    kept = sum(map(lacking.selection, tuned)) + plan.epochs * lacking.confirmation()
    others = sum(map(lacking.search, tuned)) + plan.epochs * (lacking.longer() + lacking.ablation())
    pace = pace_of(plan, search, manifest)
    return Work(kept + others, not manifest.get("teacher"), lacking.unseen_cuts(), *pace, kept_epochs=kept)


def left_to_do(checked: Checked, search: SearchReader | None, manifest: Mapping[str, Any]) -> Work | None:
    """Return what a study that goes on lacks, as `missing_work`; None for a new one."""
    return None if checked.origins else missing_work(checked.plan, checked.space, search, manifest)


class _Lacking:
    """Counts what is missing, phase by phase. A run that was given up is not missing.

    Attributes:
        done: (entry, trial, cut, factor of the epochs) -> its runs that need no further training.
        entries: entry of the confirmation -> its trial, None for a rung of the ladder.
    """

    def __init__(
        self, plan: StudyPlan, space: SearchSpace, search: SearchReader | None, manifest: Mapping[str, Any]
    ) -> None:
        self._plan, self._space, self._search, self._manifest = plan, space, search, manifest
        looks = manifest.get(SEARCH_LOOKS, []) if plan.stop_when == SETTLED else []
        self._settled = any(row["settled"] and row["of"] == plan.trials for row in looks)
        self.done = Counter(self._keys())
        self.entries = self._entries()

    def search(self, baseline: str) -> float:
        """Return the epochs that the search of a tuned baseline lacks, or that of the studied method ('')."""
        search = self._search_of(baseline)
        if search is None:
            return float(self._plan.epochs * self._plan.trials)
        begun = sum(len(search.runs.epochs(number)) for number in _running(search))
        return max(0.0, self._n_left(search, baseline) * search.mean_epochs() - begun)

    def selection(self, baseline: str) -> float:
        """Return the epochs that the selection after this search lacks."""
        plan, search = self._plan, self._search_of(baseline)
        if search is None or self._n_left(search, baseline) or not plan.n_candidates:
            return float(plan.epochs * plan.n_selection_runs)
        entry, candidates = search.runs.candidate, search.candidates(plan.n_candidates)
        return float(plan.epochs * sum(self._lacks(plan.finalist_seeds, entry, one.number) for one in candidates))

    def confirmation(self) -> int:
        """Return the runs that the confirmation lacks, on every cut."""
        seeds, cuts = self._plan.confirm_seeds, range(self._plan.data_seeds)
        return sum(self._lacks(seeds, *entry, cut) for entry in self.entries.items() for cut in cuts)

    def longer(self) -> int:
        """Return the cost of the longer runs that are missing, in trials."""
        plan = self._plan
        checked = dict.fromkeys(plan.checked_entries, min(plan.long_seeds, plan.confirm_seeds))
        wanted = {CHECK_FACTOR: checked}
        if plan.epochs_factor > 1:
            wanted[plan.epochs_factor] = dict.fromkeys(self.entries, plan.confirm_seeds)
        return sum(
            factor * self._lacks(seeds.get(entry, 0), entry, trial, 0, factor)
            for factor, seeds in wanted.items()
            for entry, trial in self.entries.items()
        )

    def ablation(self) -> int:
        """Return the most runs that the ablation lacks; best1's are those of the confirmation, as far as these go."""
        plan, planned, search = self._plan, self._manifest.get(ABLATED), self._search
        if not plan.ablation_seeds:
            return 0
        if planned is None or search is None or not self._is_over(""):
            return plan.most_ablation_runs(self._space)
        trial, judged_on = planned["trial"], "test" if plan.ablation_on_test else "val"
        changes = [(change["kind"], change["name"]) for change in planned["changes"]]
        references = {knob.name: knob.reference for knob in self._space.tunable}
        chosen = {**references, **search.trials[trial].params}
        asked = [("knob", name) for name in plan.ablation_knobs if chosen.get(name) != references.get(name)]
        n_lacking = sum(
            self._lacks(plan.ablation_seeds, ablation_entry(*change, judged_on), trial)
            for change in dict.fromkeys((*changes, *asked))
        )
        n_own = OF_BEST * plan.ablation_seeds - plan.confirm_seeds
        of_best = ablation_entry(BEST, BEST, judged_on)
        n_done = max(0, self.done[of_best, trial, 0, 1] - plan.confirm_seeds)
        return n_lacking + max(0, n_own - n_done)

    def unseen_cuts(self) -> int:
        """Return the number of further cuts of the long tail whose teacher is not judged yet."""
        if not self._plan.confirm_seeds:
            return 0
        keys = self._search.runs.confirm_keys() if self._search else []
        seen = {cut for _, seed, _, cut, _ in keys if seed is None}
        return sum(cut not in seen for cut in range(1, self._plan.data_seeds))

    def _lacks(self, n_seeds: int, entry: str, trial: int | None, cut: int = 0, factor: int = 1) -> int:
        return max(0, n_seeds - self.done[entry, trial, cut, factor])

    def _keys(self) -> list[tuple[str, int | None, int, int]]:
        search = self._search
        if search is None:
            return []
        names = {name for one in (search, *search.baselines.values()) for name in one.runs.recorded_reruns()}
        names |= {name for name, run in search.runs.rerun_attempts().items() if run.failed}
        keys = [key for key in map(rerun_key, names) if key is not None]
        return [(key.entry, key.trial, key.data_seed, key.epochs_factor) for key in keys]

    def _entries(self) -> dict[str, int | None]:
        """Return the entries of the confirmation; a search without a complete trial has none."""
        plan, top = self._plan, self._plan.n_confirmed
        if self._search is not None and self._is_over(""):
            known = self._search.candidates(plan.n_candidates) if plan.n_candidates else self._search.best(top)
            top = min(top, len(known))
        searched = [(f"best{rank}", "") for rank in range(1, top + 1)]
        for name in plan.tuned_baselines:
            found = self._search_of(name)
            if not self._is_over(name) or (found is not None and found.counts()["complete"]):
                searched.append((name + TUNED_SUFFIX, name))
        recorded = self._manifest.get("confirm_entries", {})
        trials = {
            entry: recorded[entry]["trial"] if entry in recorded and self._is_over(baseline) else _UNKNOWN
            for entry, baseline in searched
        }
        return {**dict.fromkeys(plan.ladder), **trials}

    def _n_left(self, search: SearchReader, baseline: str) -> int:
        n_new = 0 if self._ends_early(baseline) else self._plan.trials - search.finished_total
        return max(len(_running(search)), n_new)

    def _search_of(self, baseline: str) -> SearchReader | None:
        return self._search.baselines.get(baseline) if self._search and baseline else self._search

    def _ends_early(self, baseline: str) -> bool:
        return self._settled and not baseline

    def _is_over(self, baseline: str) -> bool:
        search = self._search_of(baseline)
        if search is None or search.counts()["running"]:
            return False
        return self._ends_early(baseline) or search.finished_total >= self._plan.trials


def _running(search: SearchReader) -> list[int]:
    return [trial.number for trial in search.trials if not trial.state.is_finished()]


def pace_of(
    plan: StudyPlan, search: SearchReader | None, manifest: Mapping[str, Any]
) -> tuple[float | None, int | None]:
    """Return the seconds of an epoch and the number of trials at a time, as the study's trials had them.

    Seconds on another device say nothing. A machine's cores are counted anew, because more or fewer may be allotted.
    """
    if search is None or not search.finished_total or manifest.get("device") != plan.device:
        return None, None
    spent, trained = search.mean_duration_s(), search.mean_epochs()
    n_workers = manifest.get("workers")
    elsewhere = plan.address != LOCAL or plan.device == "cuda"
    at_once = min(n_workers, plan.max_concurrent or n_workers) if elsewhere and isinstance(n_workers, int) else None
    return (spent / trained if spent and trained else None), at_once
