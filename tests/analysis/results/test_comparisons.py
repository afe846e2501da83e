"""Verdicts that are corrected for two comparisons."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis.reading.study_folder import load_study
from analysis.results.accuracies import scores
from analysis.results.comparisons import ClaimTerms, Comparison, claim_terms, n_looks, primary_family
from analysis.results.entries import planned_entries
from analysis.stats.paired_tests import PairedInterval, SignFlip, paired_interval
from tests.analysis.simulation import drop_runs

Simulated = Callable[..., Path]


def _comparison(interval: PairedInterval, p_holm: float) -> Comparison:
    flip, terms = SignFlip(1 / 32, 1 / 32), ClaimTerms(("la",), interval.n, interval.n)
    return Comparison("best1", "la", interval, p_holm, flip, 2 / 32, 2 / 32, interval.n, terms)


def test_the_verdict_pays_for_both_comparisons() -> None:
    clear = paired_interval([0.02, 0.01, 0.03, 0.015, 0.02, 0.001])
    assert clear.verdict == "gain"
    assert _comparison(clear, 0.04).verdict == "gain"
    assert _comparison(clear, 0.06).verdict == "unclear"
    lost = paired_interval([-0.02, -0.01, -0.03, -0.015, -0.02, -0.01])
    assert _comparison(lost, 0.01).verdict == "loss"
    assert _comparison(paired_interval([0.02, 0.021, 0.02]), 0.001).verdict == "too few"


@pytest.mark.parametrize(("n_seeds", "can"), [(6, False), (7, True)])
def test_six_pairs_leave_the_sign_flip_test_mute_after_holm_and_seven_do_not(
    simulated: Simulated, n_seeds: int, can: bool
) -> None:
    study = load_study(simulated(n_trials=4, n_pruned=0, n_failed=0, n_seeds=n_seeds))
    family = primary_family(scores(study), claim_terms(study))
    assert [item.smallest_flip_holm for item in family] == [2 * 2.0 ** (1 - n_seeds)] * 2
    assert all(item.flip_can_reject == can and item.flip_holm >= item.flip.p for item in family)


def test_a_planned_baseline_without_runs_stays_in_the_family(simulated: Simulated) -> None:
    folder = simulated(n_trials=4, n_pruned=0, n_failed=0)
    drop_runs(folder, "entry = 'kd'")
    study = load_study(folder)
    la, kd = primary_family(scores(study), claim_terms(study))
    assert (kd.baseline, kd.interval.n, kd.p_holm, kd.verdict) == ("kd", 0, 1.0, "incomplete")
    assert la.p_holm == 2 * la.interval.p, "Holm counts both planned comparisons"


def test_a_missing_run_leaves_its_comparison_without_a_claim_and_its_place_in_the_family(simulated: Simulated) -> None:
    folder = simulated(n_trials=4, n_pruned=0, n_failed=0, n_seeds=8)
    drop_runs(folder, "entry = 'kd' AND seed = 1003")
    study = load_study(folder)
    la, kd = primary_family(scores(study), claim_terms(study))
    assert (kd.interval.n, kd.n_runs, kd.p_holm, kd.verdict) == (7, 7, 1.0, "incomplete")
    assert (la.p_holm, la.verdict) == (2 * la.interval.p, "gain")


@pytest.mark.parametrize(
    ("ladder", "tuned", "family"),
    [
        (["ce", "la", "kd"], [], ("la", "kd")),
        (["la", "kd"], ["la"], ("la_tuned", "kd")),
        (["la"], [], ("la",)),
        (None, None, ("la", "kd")),
        (["ce"], ["kd"], ("kd_tuned",)),
    ],
)
def test_the_family_is_what_the_plan_names(ladder: Any, tuned: Any, family: tuple[str, ...]) -> None:
    assert planned_entries({"ladder": ladder, "tuned_baselines": tuned}) == family


def _look(seeds: int, trial: int = 7) -> dict[str, Any]:
    return {"seeds": seeds, "subsets": 1, "trial": trial}


@pytest.mark.parametrize(
    ("looks", "seeds", "n"),
    [
        ([], 6, 1),  # the first confirmation is under way
        ([_look(6)], 6, 1),
        ([_look(6)], 10, 2),
        ([_look(6), _look(10)], 10, 2),
        ([_look(6), _look(10)], 6, 2),  # going back to fewer seeds undoes no look
        ([_look(6, trial=3)], 6, 2),  # another best1
    ],
)
def test_seeds_or_another_best1_after_a_finished_confirmation_are_another_look(looks: Any, seeds: int, n: int) -> None:
    plan, entries = {"confirm_seeds": seeds, "data_seeds": 1}, {"best1": {"trial": 7}}
    assert n_looks({"looks": looks, "plan": plan, "confirm_entries": entries}) == n


@pytest.mark.parametrize(
    ("commands", "n"),
    [
        (["python -m study.run --space acckd"], 1),
        (["python -m study.run", "python -m study.resume runs/a"], 1),
        (["python -m study.run", "python -m study.confirm runs/a --seeds 10"], 2),
        (["python -m study.run", "study.confirm runs/a --seeds=8", "study.confirm runs/a --data-seeds 6"], 3),
        (
            ["python -m study.run", *["python -m study.confirm runs/a --seeds 10"] * 2],
            2,
        ),  # the second resumes the first
        (["python -m study.run --confirm-seeds 0", "python -m study.confirm runs/a --seeds 6"], 1),
        (["python -m study.run", "python -m study.confirm runs/a --tuned-baselines"], 1),
        ([], 1),
        (None, 1),
    ],
)
def test_a_folder_of_an_earlier_version_tells_its_looks_by_its_commands(commands: list[str] | None, n: int) -> None:
    starts = None if commands is None else [{"command": command} for command in commands]
    assert n_looks({"starts": starts, "plan": {}}) == n
