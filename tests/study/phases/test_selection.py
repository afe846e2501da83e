"""How best1 is chosen among the best of a search by fresh runs."""

from collections.abc import Callable
from typing import Any

import pytest

from study.phases import selection
from study.phases.confirmation import confirm
from study.phases.search import studied_method
from study.phases.state.study_in_progress import Study
from tests.study.phases.played import N_TRIALS, OWN, WORKERS, PlayedRay, good, nothing_more, play, selecting


def _lucky(trial: int) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Outcomes in which `trial` is the worst when trained again, whatever it reached in the search."""

    def outcome(config: dict[str, Any]) -> dict[str, Any]:
        unlucky = f"-trial{trial}-" in str(config["number"])
        result = good(config)
        result["records"][-1]["val"]["correct"] = [0 if unlucky else 20] * 10
        return result

    return outcome


def test_a_lucky_trial_is_nominated_but_not_chosen(searched: Study, ray: PlayedRay) -> None:
    selecting(searched)
    ray.outcome = _lucky(N_TRIALS - 1)
    play(searched, selection.select, studied_method(searched))
    assert ray.opened_test is False
    tried = {int(config["number"].split("-")[1].removeprefix("trial")) for config in ray.configs}
    assert tried == {N_TRIALS - 1, N_TRIALS - 2, 0}, "the two best and the reference point"
    seeds = {config["config"]["seed"] for config in ray.configs}
    assert len(seeds) == 2
    assert not seeds & {row.seed for row in searched.ledger.rows()}
    order = [found.number for found in selection.ranked(searched.ledger, searched.checked.plan)]
    assert order == [0, N_TRIALS - 2, N_TRIALS - 1]
    ray.outcome = good
    confirm(searched, OWN, WORKERS, nothing_more)
    assert searched.store.manifest()["confirm_entries"]["best1"]["trial"] == 0


def test_a_selection_that_is_done_or_not_wanted_runs_nothing(searched: Study, ray: PlayedRay) -> None:
    selecting(searched)
    play(searched, selection.select, studied_method(searched))
    ray.configs = []
    play(searched, selection.select, studied_method(searched))
    selecting(searched, finalist_seeds=0)
    play(searched, selection.select, studied_method(searched))
    assert ray.configs == []
    assert selection.ranked(searched.ledger, searched.checked.plan)[0].number == N_TRIALS - 1


def test_an_interrupted_selection_goes_on_run_by_run(searched: Study, ray: PlayedRay) -> None:
    selecting(searched)
    ray.stop_after = 4
    with pytest.raises(KeyboardInterrupt):
        play(searched, selection.select, studied_method(searched))
    ray.stop_after = None
    play(searched, selection.select, studied_method(searched))
    assert len(ray.configs) == 2
    assert len(searched.ledger.runs.selection_runs()) == 6


def test_a_finalist_with_a_failed_run_is_not_chosen(searched: Study, ray: PlayedRay) -> None:
    selecting(searched)
    broken = f"-trial{N_TRIALS - 1}-"
    ray.outcome = lambda config: None if broken in str(config["number"]) else good(config)
    play(searched, selection.select, studied_method(searched))
    assert [found.number for found in selection.ranked(searched.ledger, searched.checked.plan)] == [0, N_TRIALS - 2]


def test_a_former_candidate_still_counts_when_the_study_was_extended(searched: Study, ray: PlayedRay) -> None:
    selecting(searched)
    ray.outcome = _lucky(N_TRIALS - 1)
    play(searched, selection.select, studied_method(searched))
    selecting(searched, finalists=1)  # as if better trials had pushed the second out of the nomination
    assert [found.number for found in selection.ranked(searched.ledger, searched.checked.plan)][1] == N_TRIALS - 2
