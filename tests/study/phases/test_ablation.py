"""What the ablation trains, in which order and on which seeds; how it goes on, and what becomes of a former best1."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from study import schema
from study.phases.ablation import ablate, check_knobs
from study.phases.confirmation import confirm, confirm_seeds
from study.phases.selection import ranked, selection_seeds
from study.phases.state.study_in_progress import Study
from study.planning.plan import OF_BEST
from study.records.csv_tables import ablation_table
from tests.study.phases.played import OWN, SCREENED, WORKERS, PlayedRay, allow, good, nothing_more, play, then_ctrl_c
from trainables.cckd.errors import UsageError

N_SEEDS = 2
PARTS = ("imitation", "mixing", "class_conditional")


@pytest.fixture
def ablated(searched: Study) -> Study:
    """A searched study whose ablation has not begun."""
    _plan(searched, ablation_seeds=N_SEEDS)
    return searched


def _plan(study: Study, **changes: Any) -> None:
    study.checked = replace(study.checked, plan=replace(study.checked.plan, **changes))


def _best(study: Study) -> Any:
    return ranked(study.ledger, study.checked.plan)[0]


def _knobs(study: Study) -> list[str]:
    """The screened knobs that best1 has at another value than the reference."""
    references = study.checked.space.reference_point()
    return [name for name in SCREENED if _best(study).params[name] != references[name]]


def _trained(ray: PlayedRay) -> Counter[str]:
    return Counter(config["number"].partition("-trial")[0] for config in ray.configs)


def _table(study: Study) -> list[dict[str, Any]]:
    runs = study.ledger.runs
    planned = study.store.manifest()[schema.ABLATED]
    table = ablation_table(runs.ablation_runs(), runs.rerun_attempts(), planned, study.checked.data.groups.to_dict())
    assert table.columns == tuple(schema.ABLATION)
    return [dict(row) for row in table.rows]


def test_best1_is_trained_on_twice_the_seeds_of_each_change(ablated: Study, ray: PlayedRay) -> None:
    play(ablated, ablate)
    knobs = _knobs(ablated)
    assert knobs, "the played search must have a knob to put back"
    assert ray.opened_test is False
    wanted = {"ablation-val-best1-best1": OF_BEST * N_SEEDS}
    wanted |= {f"ablation-val-knob-{name}": N_SEEDS for name in knobs}
    wanted |= {f"ablation-val-part-{name}": N_SEEDS for name in PARTS}
    assert _trained(ray) == wanted
    seeds = confirm_seeds(ablated.checked.plan.seed, OF_BEST * N_SEEDS)
    for entry in wanted:
        mine = [config["config"]["seed"] for config in ray.configs if config["number"].startswith(f"{entry}-trial")]
        assert mine == list(seeds[: wanted[entry]])
    order = [config["config"]["seed"] for config in ray.configs]
    assert order == sorted(order, key=seeds.index), "seed by seed"
    assert all(not config["curve"] and config["export"] is None for config in ray.configs)


def test_an_ablation_that_would_not_fit_the_hours_is_left_out_and_trained_later(
    ablated: Study, ray: PlayedRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    _plan(ablated, max_hours=2.0)
    monkeypatch.setattr(ablated, "has_time_for", lambda n_trials: False)
    play(ablated, ablate)
    assert ablated.ledger.runs.ablation_runs() == []
    (left_out,) = ablated.cut
    monkeypatch.setattr(ablated, "has_time_for", lambda n_trials: True)
    play(ablated, ablate)
    assert left_out == f"the ablation ({len(ablated.ledger.runs.ablation_runs())} runs)"


def test_each_run_differs_from_best1_by_its_change_alone(ablated: Study, ray: PlayedRay) -> None:
    play(ablated, ablate)
    of = {config["number"].partition("-trial")[0]: config["config"] for config in ray.configs}
    plain = of["ablation-val-best1-best1"]
    assert plain["feature_weight"] == 0.5, "as fixed by --set"
    for name in _knobs(ablated):
        changed = of[f"ablation-val-knob-{name}"] | {"seed": plain["seed"]}
        assert changed == plain | {name: ablated.checked.space.reference_point()[name]}
    assert of["ablation-val-part-imitation"]["feature_weight"] == 0.0
    assert of["ablation-val-part-mixing"]["mix_ratio"] == 0.0


@pytest.mark.parametrize("on_test", [False, True])
def test_a_run_of_best1_that_the_confirmation_trained_is_not_trained_again(ablated, ray, on_test) -> None:
    n_confirmed = OF_BEST * N_SEEDS - 1
    _plan(ablated, confirm_seeds=n_confirmed, ladder=("la",), ablation_on_test=on_test)
    confirm(ablated, OWN, WORKERS, nothing_more)
    ray.configs = []
    play(ablated, ablate)
    judged_on = "test" if on_test else "val"
    assert _trained(ray)[f"ablation-{judged_on}-best1-best1"] == 1
    of_best = [row for row in _table(ablated) if row["kind"] == "best1"]
    assert [row["seed"] for row in of_best] == list(confirm_seeds(ablated.checked.plan.seed, OF_BEST * N_SEEDS))
    assert {row["judged_on"] for row in of_best} == {judged_on}
    assert {row["balanced_accuracy"] for row in of_best} == {(30 if on_test else 20) / 40}
    ray.configs = []
    play(ablated, ablate)
    assert ray.configs == []


def test_runs_of_another_best1_another_cut_or_another_length_are_none_of_the_ablation(ablated, ray) -> None:
    _plan(ablated, confirm_seeds=2, ladder=("la",))
    confirm(ablated, OWN, WORKERS, nothing_more)
    best, runs = _best(ablated).number, ablated.ledger.runs
    (seed, *_) = confirm_seeds(ablated.checked.plan.seed, 1)
    record = next(run.record for run in runs.confirm_runs() if run.entry == "best1")
    runs.drop_confirm_runs("best1", but_of=-1)
    runs.add_confirm_run("best1", seed, best + 1, record)
    runs.add_confirm_run("best1", seed, best, record, data_seed=1)
    runs.add_confirm_run("best1", seed, best, record, epochs_factor=2)
    ray.configs = []
    play(ablated, ablate)
    assert _trained(ray)["ablation-val-best1-best1"] == OF_BEST * N_SEEDS


def test_the_hours_count_what_is_left_to_train_and_take_over_nothing_of_what_is_left_out(
    ablated: Study, ray: PlayedRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    _plan(ablated, confirm_seeds=OF_BEST * N_SEEDS, ladder=("la",), max_hours=2.0)
    confirm(ablated, OWN, WORKERS, nothing_more)
    asked: list[int] = []
    monkeypatch.setattr(ablated, "has_time_for", lambda n_trials: asked.append(n_trials))
    play(ablated, ablate)
    assert asked == [N_SEEDS * (len(_knobs(ablated)) + len(PARTS))]
    assert ablated.ledger.runs.ablation_runs() == []


def test_a_study_that_an_earlier_version_began_keeps_its_seeds(ablated: Study, ray: PlayedRay) -> None:
    play(ablated, ablate)
    planned = ablated.store.manifest()[schema.ABLATED]
    former = [seed + 10**15 for seed in planned["seeds"]]
    ablated.store.update_manifest(**{schema.ABLATED: planned | {"seeds": former}})
    _plan(ablated, ablation_seeds=N_SEEDS + 1)
    play(ablated, ablate)
    seeds = ablated.store.manifest()[schema.ABLATED]["seeds"]
    n_all = OF_BEST * (N_SEEDS + 1)
    assert seeds == [*former, *confirm_seeds(ablated.checked.plan.seed, n_all)[len(former) :]]


def test_the_list_is_kept_and_the_screen_asked_once(ablated: Study, ray: PlayedRay) -> None:
    ray.outcome = then_ctrl_c(3)
    with pytest.raises(KeyboardInterrupt):
        play(ablated, ablate)
    before, planned = ablated.ledger.runs.ablation_runs(), ablated.store.manifest()[schema.ABLATED]
    assert len(before) == 3
    assert planned["trial"] == _best(ablated).number
    assert [change["name"] for change in planned["changes"]] == [*_knobs(ablated), *PARTS]
    ray.outcome = good
    ablated.analyses = replace(ablated.analyses, screened_knobs=_never)
    play(ablated, ablate)
    n_all = (OF_BEST + len(planned["changes"])) * N_SEEDS
    assert len(ray.configs) == n_all - 3
    assert ablated.ledger.runs.ablation_runs()[:3] == before
    assert ablated.store.manifest()[schema.ABLATED] == planned
    ray.configs = []
    play(ablated, ablate)
    assert ray.configs == []


def _never(_: object) -> list[str]:
    raise AssertionError("the screen is asked again")


def test_without_a_screened_knob_the_parts_are_still_taken_out(ablated: Study, ray: PlayedRay) -> None:
    ablated.analyses = replace(ablated.analyses, screened_knobs=lambda _: [])
    play(ablated, ablate)
    assert {entry.split("-")[2] for entry in _trained(ray)} == {"best1", "part"}


def test_no_more_than_four_knobs_are_put_back(ablated: Study, monkeypatch: pytest.MonkeyPatch, ray: PlayedRay) -> None:
    monkeypatch.setattr("study.phases.ablation.MOST_PUT_BACK", 1)
    play(ablated, ablate)
    assert [entry for entry in _trained(ray) if "-knob-" in entry] == [f"ablation-val-knob-{_knobs(ablated)[0]}"]


def test_nothing_is_trained_where_the_plan_skips_it(searched: Study, ray: PlayedRay) -> None:
    _plan(searched, ablation_seeds=0)
    ray.configs = []
    play(searched, ablate)
    assert ray.configs == []
    assert schema.ABLATED not in searched.store.manifest()


def test_more_seeds_and_more_knobs_add_to_what_there_is(ablated: Study, ray: PlayedRay) -> None:
    ablated.analyses = replace(ablated.analyses, screened_knobs=lambda _: [])
    play(ablated, ablate)
    name = _knobs(ablated)[0]
    _plan(ablated, ablation_knobs=(name,))
    play(ablated, ablate)
    assert _trained(ray) == {f"ablation-val-knob-{name}": N_SEEDS}
    _plan(ablated, ablation_seeds=N_SEEDS + 1)
    play(ablated, ablate)
    assert len(ray.configs) == OF_BEST + 1 + len(PARTS)
    _plan(ablated, ablation_seeds=1)
    ray.configs = []
    play(ablated, ablate)
    assert ray.configs == []
    assert len(_table(ablated)) == (N_SEEDS + 1) * (OF_BEST + 1 + len(PARTS)), "what was trained stays in the table"


def test_a_knob_that_turns_out_to_have_its_reference_value_is_named_and_not_put_back(ablated, ray, monkeypatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(ablated.progress, "say", said.append)
    ablated.analyses = replace(ablated.analyses, screened_knobs=lambda _: [])
    name, space = SCREENED[0], ablated.checked.space
    alike = [
        replace(knob, reference=_best(ablated).params[name]) if knob.name == name else knob for knob in space.tunable
    ]
    ablated.checked = replace(ablated.checked, space=replace(space, tunable=tuple(alike)))
    _plan(ablated, ablation_knobs=(name,))
    play(ablated, ablate)
    assert said[0] == f"NOTE     {name} has its reference value in best1: it is not put back"
    assert not [entry for entry in _trained(ray) if "-knob-" in entry]


def test_on_test_every_run_is_trained_anew_and_has_rows_of_its_own(ablated: Study, ray: PlayedRay) -> None:
    play(ablated, ablate)
    n_runs = len(ray.configs)
    _plan(ablated, ablation_on_test=True)
    play(ablated, ablate)
    assert ray.opened_test is True
    assert len(ray.configs) == n_runs
    judged = {on: [row for row in _table(ablated) if row["judged_on"] == on] for on in ("val", "test")}
    assert len(judged["val"]) == len(judged["test"]) == n_runs
    assert {row["balanced_accuracy"] for row in judged["val"]} == {20 / 40}
    assert {row["balanced_accuracy"] for row in judged["test"]} == {30 / 40}
    assert [row["seed"] for row in judged["val"]] == [row["seed"] for row in judged["test"]]


def test_another_best1_gets_a_list_of_its_own_and_the_former_runs_leave_the_table(ablated: Study, ray) -> None:
    play(ablated, ablate)
    former = _best(ablated).number
    n_former = len(ablated.ledger.runs.ablation_runs())
    other = next(trial for trial in ablated.ledger.best(9) if trial.number not in (0, former))
    for seed in selection_seeds(ablated.checked.plan.seed, 1):
        counts = ablated.ledger.runs.ablation_runs()[0].counts
        ablated.ledger.runs.add_selection_run(other.number, seed, counts)
    _plan(ablated, finalists=1, finalist_seeds=1)
    assert _best(ablated).number == other.number
    play(ablated, ablate)
    assert ablated.store.manifest()[schema.ABLATED]["trial"] == other.number
    assert {row["trial"] for row in _table(ablated)} == {other.number}
    assert {run.trial for run in ablated.ledger.runs.ablation_runs()} == {former, other.number}
    assert len(ablated.ledger.runs.ablation_runs()) == n_former + len(ray.configs), "the former runs stay in study.db"


def _failing(cause: str) -> Callable[[dict[str, Any]], dict[str, Any] | None]:
    def outcome(config: dict[str, Any]) -> dict[str, Any] | None:
        result = good(config)
        return result | {"cause": cause} if "-part-mixing-" in config["number"] else result

    return outcome


def test_a_run_that_diverges_is_told_and_stands_in_the_table_with_its_cause(ablated, ray, monkeypatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(ablated.progress, "say", said.append)
    allow(ablated, max_failures=9)
    ray.outcome = _failing("non-finite loss: it")
    play(ablated, ablate)
    n_good = len(ray.configs) - N_SEEDS
    assert said[-1] == f"ablate   {n_good} runs judged on val, {N_SEEDS} failed"
    rows = [row for row in _table(ablated) if row["change"] == "mixing"]
    assert [row["cause"] for row in rows] == ["non-finite loss: it"] * N_SEEDS
    assert all("balanced_accuracy" not in row for row in rows)
    ray.configs = []
    play(ablated, ablate)
    assert ray.configs == [], "it would diverge again"


def test_a_run_that_was_lost_is_tried_again_when_the_study_may_retry_more(ablated: Study, ray: PlayedRay) -> None:
    allow(ablated, max_failures=9, max_retries=0)
    ray.outcome = lambda config: None if "-part-mixing-" in config["number"] else good(config)
    play(ablated, ablate)
    assert {row["cause"] for row in _table(ablated)} == {None, "exception: OSError: lost"}
    ray.outcome = good
    allow(ablated, max_retries=2)
    play(ablated, ablate)
    assert _trained(ray) == {"ablation-val-part-mixing": N_SEEDS}
    assert {row["cause"] for row in _table(ablated)} == {None}


def test_knobs_that_cannot_be_put_back_are_refused_all_at_once(ablated: Study) -> None:
    plan, space, ledger = ablated.checked.plan, ablated.checked.space, ablated.ledger
    at_reference = [name for name in space.distributions if name not in _knobs(ablated)]
    asked = ["colour", "tau", *at_reference]
    check_knobs(_knobs(ablated), plan, space, ledger)
    with pytest.raises(UsageError) as refused:
        check_knobs(asked, plan, space, ledger)
    (fault,) = refused.value.faults
    assert fault.startswith(f"--knobs must each be a knob that best1 (trial {_best(ablated).number}) has at another ")
    assert fault.endswith(f"; got {', '.join(asked)}")


def test_before_best1_is_known_every_searched_knob_may_be_named(study: Study) -> None:
    plan, space, ledger = study.checked.plan, study.checked.space, study.ledger
    check_knobs(list(space.distributions), plan, space, ledger)
    with pytest.raises(UsageError, match=r"--knobs must each be a searched knob \(temperature, .*\); got colour$"):
        check_knobs(["temperature", "colour"], plan, space, ledger)
