"""What a study that was begun lacks: counted from its folder, run by run, at the pace of its trials."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from study.planning.check import check
from study.planning.checked import Checked
from study.planning.cores import Cores
from study.planning.parser import build_parser
from study.planning.preview.estimate import Work, expected, refuse_long, whole_work
from study.planning.preview.missing import missing_work
from study.records.ledger import Ledger
from study.records.rerun_names import rerun_name
from study.strategy.stopping import SETTLED
from trainables.cckd.errors import UsageError

N_TRIALS, EPOCHS, N_SEEDS = 5, 4, 2
MANIFEST: dict[str, Any] = {"teacher": {"name": "played"}, "device": "cpu", "workers": 8}


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Checked:
    out = tmp_path_factory.mktemp("out")
    what = ["--space", "acckd_smoke", "--data", "digits_lt", "--out", str(out)]
    budget = ["--trials", str(N_TRIALS), "--epochs", str(EPOCHS), "--confirm-seeds", str(N_SEEDS)]
    return check(build_parser().parse_args([*what, *budget]))


@pytest.fixture
def search(checked: Checked, tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger.create(tmp_path / "study.db", checked.space, checked.settings)
    yield ledger
    ledger.close()


def _missing(checked: Checked, search: Ledger | None, plan: dict[str, Any] | None = None, **manifest: Any) -> Work:
    return missing_work(replace(checked.plan, **plan or {}), checked.space, search, MANIFEST | manifest)


def _train(search: Ledger, epoch: Any, n_epochs: int = EPOCHS) -> int:
    number = search.ask(lambda *_: 1).number
    search.record(number, [epoch(k) for k in range(1, n_epochs + 1)])
    if n_epochs == EPOCHS:
        search.complete(number)
    return number


def test_nothing_done_is_the_whole_study(checked: Checked, search: Ledger) -> None:
    for begun in (None, search):
        found = _missing(checked, begun, teacher=None)
        assert found == whole_work(checked)
        assert _missing(checked, begun, {"tuned_baselines": ("la",)}).epochs > found.epochs
    assert _missing(checked, search).own_cut is False, "the teacher has seen it"


def test_each_trial_takes_its_epochs_away_and_gives_its_pace(checked: Checked, search: Ledger, epoch) -> None:
    whole = whole_work(checked).epochs
    _train(search, epoch)
    kept = whole_work(checked).kept_epochs
    assert _missing(checked, search) == Work(whole - EPOCHS, False, 0, epoch_s=2.5, kept_epochs=kept)
    _train(search, epoch, n_epochs=3)  # interrupted
    assert _missing(checked, search).epochs == whole - EPOCHS - 3
    assert _missing(checked, search, {"device": "cuda"}).epoch_s is None, "a pace of another device"


@pytest.mark.parametrize(
    ("changes", "at_once"),
    [
        ({}, None),
        ({"address": "auto"}, 8),
        ({"address": "auto", "max_concurrent": 3}, 3),
        ({"address": "auto", "max_concurrent": 30}, 8),
    ],
)
def test_where_trials_ran_on_a_cluster_as_many_at_a_time_are_expected(
    checked: Checked, search: Ledger, epoch, changes: dict[str, Any], at_once: int | None
) -> None:
    assert _missing(checked, search, changes).at_once is None, "no pace was measured"
    _train(search, epoch)
    assert _missing(checked, search, changes).at_once == at_once
    assert _missing(checked, search, changes, workers=None).at_once is None


def test_a_search_that_a_look_has_ended_lacks_no_trial(checked: Checked, search: Ledger, epoch) -> None:
    looks = [{"settled": True, "of": N_TRIALS, "finished": 2, "text": "it"}]
    for _ in range(2):
        _train(search, epoch)
    begun = _missing(checked, search).epochs
    settled = _missing(checked, search, {"stop_when": SETTLED}, search_looks=looks).epochs
    n_candidates = len(search.candidates(checked.plan.finalists))
    most = checked.plan.n_selection_runs // checked.plan.finalist_seeds
    assert n_candidates < most == N_TRIALS
    left_out = most - n_candidates
    assert begun - settled == EPOCHS * (N_TRIALS - 2 + checked.plan.finalist_seeds * left_out)
    other = [row | {"of": 9} for row in looks]
    assert _missing(checked, search, {"stop_when": SETTLED}, search_looks=other).epochs == begun


def test_a_run_that_is_recorded_or_was_given_up_is_not_missing(checked: Checked, search: Ledger) -> None:
    whole = _missing(checked, search).epochs
    search.runs.add_confirm_run("la", 1001, None, {})
    assert _missing(checked, search).epochs == whole - EPOCHS
    search.runs.start_rerun(rerun_name("kd", 1001, None))
    assert _missing(checked, search).epochs == whole - EPOCHS, "it is tried again"
    search.runs.fail_rerun(rerun_name("kd", 1001, None), "hung: no report")
    assert _missing(checked, search).epochs == whole - 2 * EPOCHS
    search.runs.add_confirm_run("la", 1001, None, {}, epochs_factor=2)
    assert _missing(checked, search).epochs == whole - 4 * EPOCHS


def test_what_hours_never_leave_out_is_counted_apart(checked: Checked, search: Ledger, epoch) -> None:
    plan, kept = checked.plan, _missing(checked, search).kept_epochs
    assert kept == EPOCHS * (plan.n_selection_runs + plan.n_confirm_runs)
    for changes in ({"long_seeds": 0}, {"ablation_seeds": 9}, {"epochs_factor": 3}):
        assert _missing(checked, search, changes).kept_epochs == kept
    tuned = replace(plan, tuned_baselines=("la",))
    of_tuned = 2 * tuned.n_selection_runs + tuned.n_confirm_runs
    assert _missing(checked, search, {"tuned_baselines": ("la",)}).kept_epochs == EPOCHS * of_tuned
    _train(search, epoch)
    assert _missing(checked, search).kept_epochs == kept, "a trial is none of them"
    search.runs.add_confirm_run("la", 1001, None, {})
    assert _missing(checked, search).kept_epochs == kept - EPOCHS
    search.runs.add_confirm_run("la", 1001, None, {}, epochs_factor=2)
    assert _missing(checked, search).kept_epochs == kept - EPOCHS, "a longer run is none of them"


def test_more_seeds_cuts_entries_and_lengths_are_counted(checked: Checked, search: Ledger) -> None:
    plan, whole = checked.plan, _missing(checked, search)
    for changes in ({"epochs_factor": 3}, {"confirm_seeds": 5}, {"data_seeds": 4}, {"ablation_seeds": 9}):
        asked = replace(plan, **changes)
        more = EPOCHS * (asked.closing_cost(checked.space) - plan.closing_cost(checked.space))
        assert more > 0
        assert _missing(checked, search, changes).epochs == whole.epochs + more
    assert _missing(checked, search, {"data_seeds": 4}).further_cuts == 3
    search.runs.add_confirm_run("teacher", None, None, {}, data_seed=2)
    assert _missing(checked, search, {"data_seeds": 4}).further_cuts == 2


def test_what_is_missing_is_told_by_the_pace_or_by_the_estimate(checked: Checked, monkeypatch) -> None:
    monkeypatch.setattr("study.planning.preview.estimate.allotted_cores", lambda: Cores(4, ""))
    paced = Work(2880, own_cut=False, further_cuts=0, epoch_s=10.0)
    assert expected(checked, paced) == "about 2 h 00 min for what is missing on 4 workers, by the pace of its trials"
    assert expected(checked, replace(paced, at_once=2)).startswith(
        "about 4 h 00 min for what is missing on 2 workers, "
    )
    assert "for what is missing on 4 workers, an estimate" in expected(checked, replace(paced, epoch_s=None))
    assert expected(checked, Work(0, own_cut=False, further_cuts=0)) == "nothing is left to train"
    away = replace(checked, plan=replace(checked.plan, address="auto"))
    told = "about 8 h 00 min of one worker's training for what is missing, by the pace of its trials"
    assert expected(away, paced) == told


def test_more_than_a_day_of_what_is_missing_needs_a_word(checked: Checked, monkeypatch) -> None:
    monkeypatch.setattr("study.planning.preview.estimate.allotted_cores", lambda: Cores(4, ""))
    day = Work(34560, own_cut=False, further_cuts=0, epoch_s=10.0)
    refuse_long(checked, day)
    with pytest.raises(UsageError) as error:
        refuse_long(checked, replace(day, epochs=36000))
    assert error.value.faults == (
        "a study of more than 24 hours needs --yes-long; what is missing of this one takes about 25 h 00 min on 4 "
        "workers, by the pace of its trials; choices: --yes-long, --max-hours 24, fewer runs",
    )
    refuse_long(replace(checked, plan=replace(checked.plan, address="auto")), replace(day, epochs=10**9))
