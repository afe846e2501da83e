"""The confirmation is fair: the same fresh seeds and training settings for every entry, one model kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray.tune.search import Searcher

from study.execution.attempts import AttemptLog
from study.execution.failure_budget import FailureBudget
from study.phases.confirmation import confirm_reruns, confirm_seeds
from study.phases.reruns import Rerun, RerunSearcher, given_up
from study.records.ledger import Ledger
from trainables.cckd.config import TrialConfig
from trainables.cckd.methods import LADDER

SETTINGS = {"student": "resnet8_cifar", "epochs": 6, "lr": 0.1}
BEST = [(17, {"method": "acckd", "temperature": 3.0, **SETTINGS}), (4, {"method": "acckd", "tau": 0.7, **SETTINGS})]

_seeds = st.integers(0, 2**32 - 1)


@given(study_seed=_seeds, n_seeds=st.integers(0, 12), n_best=st.integers(0, 2))
def test_every_entry_gets_the_same_seeds_once(study_seed: int, n_seeds: int, n_best: int) -> None:
    seeds = confirm_seeds(study_seed, n_seeds)
    tasks = confirm_reruns(BEST[:n_best], LADDER, SETTINGS, seeds)
    entries = [f"best{rank}" for rank in range(1, n_best + 1)] + list(LADDER)
    assert sorted((task.entry, task.seed) for task in tasks) == sorted((e, s) for e in entries for s in seeds)
    assert len({task.name for task in tasks}) == len(tasks)


@given(study_seed=_seeds, fewer=st.integers(0, 20), more=st.integers(0, 20))
def test_seeds_are_distinct_fit_a_database_and_more_of_them_only_add(study_seed: int, fewer: int, more: int) -> None:
    seeds = confirm_seeds(study_seed, fewer + more)
    assert len(set(seeds)) == fewer + more
    assert confirm_seeds(study_seed, fewer) == seeds[:fewer]
    assert all(0 < seed < 2**63 for seed in seeds)


@given(_seeds, _seeds)
def test_studies_of_other_seeds_confirm_on_other_seeds(one: int, other: int) -> None:
    shared = set(confirm_seeds(one, 999)) & set(confirm_seeds(other, 999))
    assert (one == other) == bool(shared)


@given(one=_seeds, other=_seeds, cut=st.integers(1, 50), further=st.integers(0, 50))
def test_cuts_share_no_seed_whatever_the_study(one: int, other: int, cut: int, further: int) -> None:
    seeds = [set(confirm_seeds(one, 999, 0)), set(confirm_seeds(one, 999, cut)), set(confirm_seeds(other, 999, 0))]
    assert not seeds[1] & seeds[0]
    assert not seeds[1] & seeds[2]
    assert bool(seeds[1] & set(confirm_seeds(one, 999, further))) == (cut == further)
    assert max(seeds[1]) < 2**53, "a table with a missing seed holds the others as floating-point numbers"


def test_another_cut_is_another_run_with_the_same_configuration() -> None:
    own, other = (confirm_reruns(BEST, LADDER, SETTINGS, confirm_seeds(0, 2, cut), cut) for cut in (0, 3))
    assert [(task.entry, task.config) for task in own] == [(task.entry, task.config) for task in other]
    assert {task.data_seed for task in other} == {3}
    assert not {task.name for task in own} & {task.name for task in other}
    assert not any(task.export for task in other)


def test_rungs_stand_at_their_reference_and_share_the_studys_training_settings() -> None:
    for task in confirm_reruns(BEST, LADDER, SETTINGS, (1001,)):
        if task.trial is None:
            assert task.config == {"method": task.entry, **SETTINGS}
            assert TrialConfig.build(task.config).lr == 0.1


def test_best_entries_carry_their_own_trial_and_configuration_best_first() -> None:
    tasks = {task.entry: task for task in confirm_reruns(BEST, LADDER, SETTINGS, (1001,))}
    assert [(tasks[f"best{rank}"].trial, tasks[f"best{rank}"].config) for rank in (1, 2)] == BEST


def test_only_the_first_seed_of_a_best_entry_is_exported() -> None:
    tasks = confirm_reruns(BEST, LADDER, SETTINGS, confirm_seeds(0, 3))
    exported = [(task.entry, task.seed) for task in tasks if task.export]
    assert exported == [("best1", 1001), ("best2", 1001)]


def test_an_early_stop_leaves_whole_seeds() -> None:
    seeds = [task.seed for task in confirm_reruns(BEST, LADDER, SETTINGS, confirm_seeds(0, 3))]
    assert seeds == sorted(seeds)


def test_another_best_trial_does_not_find_the_former_ones_checkpoints() -> None:
    (one, *_), (other, *_) = (confirm_reruns([(n, {})], LADDER, SETTINGS, (1001,)) for n in (3, 5))
    assert one.entry == other.entry
    assert one.name != other.name


@pytest.fixture
def heard() -> list[tuple[Rerun, object]]:
    return []


@pytest.fixture
def searcher(heard: list, ledger: Ledger) -> RerunSearcher:
    return RerunSearcher(
        confirm_reruns(BEST[:1], LADDER, SETTINGS, (1001,)),
        ledger,
        AttemptLog(FailureBudget(max_retries=1, max_failures=9)),
        checkpoints="/c",
        on_done=lambda task, result: heard.append((task, result)),
    )


def test_the_searcher_hands_out_each_task_once_and_then_ends(searcher: RerunSearcher) -> None:
    configs = [searcher.suggest(str(k)) for k in range(len(LADDER) + 1)]
    assert searcher.suggest("more") is None, "one of those that run may come back"
    for k in range(len(configs)):
        searcher.on_trial_complete(str(k), {"cause": None})
    assert searcher.suggest("more") == Searcher.FINISHED
    assert [config["config"]["method"] for config in configs] == ["acckd", *reversed(LADDER)]
    assert all(config["config"]["seed"] == 1001 and config["checkpoints"] == "/c" for config in configs)
    assert [config["export"] for config in configs] == ["best1", *[None] * len(LADDER)]


def test_a_result_is_passed_on_once(searcher: RerunSearcher, heard: list) -> None:
    searcher.suggest("a")
    searcher.suggest("b")
    result = {"cause": None}
    searcher.on_trial_complete("a", result)
    searcher.on_trial_complete("a", result)
    searcher.on_trial_complete("b")  # Ctrl-C came before it had begun
    searcher.on_trial_complete("never handed out", result)
    assert [(task.entry, got) for task, got in heard] == [("best1", result)]


def test_a_crashed_run_comes_again_with_a_new_attempt_and_then_is_given_up(searcher, heard: list, ledger) -> None:
    first = searcher.suggest("a")
    searcher.on_trial_complete("a", error=True)
    second = searcher.suggest("b")
    assert (second["number"], first["attempt"], second["attempt"]) == (first["number"], 1, 2)
    searcher.on_trial_complete("b", error=True)
    assert searcher.suggest("c")["number"] != first["number"]
    assert heard == []
    assert given_up(ledger, max_retries=1) == {first["number"]}
    assert given_up(ledger, max_retries=2) == set(), "who raises the limit tries again"


def test_a_run_that_would_fail_the_same_way_is_given_up_whatever_the_limit(searcher, ledger) -> None:
    number = searcher.suggest("a")["number"]
    searcher.on_trial_complete("a", {"cause": "non-finite loss: it"})
    assert given_up(ledger, max_retries=99) == {number}
