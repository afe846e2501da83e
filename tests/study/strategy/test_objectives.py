"""Two objectives: what the front is, a search of them that ends and reopens like any other, what is confirmed."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import TrialState

from study.phases import selection
from study.phases.search import SearchTarget
from study.planning.check import check
from study.planning.checked import Checked
from study.planning.parser import build_parser
from study.planning.readers import read_objectives
from study.records.ledger import Ledger
from study.strategy.guards import Guard
from study.strategy.objectives import SECOND, SecondObjective, front, knee
from study.strategy.search_settings import SearchSettings, SettingsError
from study.terminal.faults import Faults
from trainables.cckd.errors import UsageError
from trainables.cckd.records import ClassCounts

FEW = SecondObjective("few", (1,))
SECONDS = SecondObjective("seconds", ())
COORDINATES = st.integers(0, 6).map(float)


@given(st.lists(st.tuples(COORDINATES, COORDINATES), min_size=1, max_size=25))
def test_the_front_is_what_no_other_point_beats_each_once(points: list[tuple[float, float]]) -> None:
    places = front(points)

    def beaten(point: tuple[float, float]) -> bool:
        return any(x >= point[0] and y >= point[1] and (x, y) != point for x, y in points)

    assert {points[place] for place in places} == {point for point in points if not beaten(point)}
    assert all(points.index(points[place]) == place for place in places)
    for one, next_ in pairwise(places):
        assert points[one][0] > points[next_][0]
        assert points[one][1] < points[next_][1]


@given(st.lists(st.tuples(COORDINATES, COORDINATES), min_size=1, max_size=25), st.integers(1, 50), st.integers(-9, 9))
def test_the_knee_does_not_depend_on_units(points: list[tuple[float, float]], factor: int, shift: int) -> None:
    found = [points[place] for place in front(points)]
    assert knee(found) == knee([(factor * x + shift, y) for x, y in found]) == knee([(x, factor * y) for x, y in found])


def test_the_knee_is_the_point_nearest_to_the_ideal_one() -> None:
    assert knee([(1.0, 0.0), (0.9, 0.8), (0.5, 0.9), (0.0, 1.0)]) == 1
    assert knee([(1.0, 0.0), (0.0, 1.0)]) == 0
    assert knee([(0.3, 0.3)]) == 0


def test_objectives_are_read_or_refused_with_the_choices() -> None:
    faults = Faults()
    assert read_objectives("all", faults) is None
    assert [read_objectives(f"all,{name}", faults) for name in SECOND] == list(SECOND)
    assert faults.found == []
    for text in ("few,all", "all,all", "all,tail", "all,few,many", "", "few", "all,"):
        read_objectives(text, faults)
    assert len(faults.found) == 7
    assert faults.found[0].startswith("--objectives must be all or all,many or all,medium or all,few or all,seconds")


def test_settings_of_two_objectives_survive_json_and_take_no_pruner(settings) -> None:
    chosen = settings(pruner="none", second_objective=FEW)
    plain = chosen.to_json()
    assert SearchSettings.from_json(plain | {"second_objective": {"name": "few", "classes": [1]}}) == chosen
    del plain["second_objective"]
    assert SearchSettings.from_json(plain).second_objective is None
    with pytest.raises(SettingsError, match="two objectives allow no pruner; got 'median'"):
        settings(second_objective=FEW)


#: (right answers of Many, of Few, seconds) of each trial: 0 is beaten by 1; the front by all and few is 3, 2, 1, 4.
RESULTS = [(500, 500, 9.0), (540, 620, 8.0), (700, 600, 7.0), (990, 400, 3.0), (100, 700, 5.0), (300, 300, 1.0)]


@pytest.fixture
def played(tmp_path: Path, space, settings, seed_of):
    def run(second: SecondObjective, name: str = "study.db", *, reopen: bool = False, **changes: Any) -> Ledger:
        parts = {"pruner": "none", "epochs": 2, "rungs": (1, 2), "trials": 20, "n_sobol": 2, "second_objective": second}
        ledger = Ledger.create(tmp_path / name, space, settings(**(parts | changes)))
        for number in range(min(ledger.settings.trials, 18)):
            asked = ledger.ask(seed_of)
            many, few, seconds = RESULTS[number % len(RESULTS)]
            for epoch in (1, 2):
                val = {"correct": [many, few + number // len(RESULTS)], "seen": [1000, 1000]}
                record = {"epoch": epoch, "losses": {"total": 1.0}, "lr": 0.1, "val": val}
                evaluated = ledger.record(number, [record | {"train_s": seconds / 2, "eval_s": 0.0}])
                assert evaluated == (epoch,)
                assert not ledger.should_prune(number, epoch)
                if reopen:
                    ledger.close()
                    ledger = Ledger.open(tmp_path / name)
            assert asked.number == number
            assert ledger.complete(number) is TrialState.COMPLETE
        return ledger

    return run


def test_both_values_are_filed_and_the_front_comes_knee_first_then_its_ends(played) -> None:
    ledger = played(FEW, trials=6)
    for trial, (many, few, _) in zip(ledger._trials(), RESULTS, strict=True):
        assert trial.values == pytest.approx([(many + few) / 2000, few / 1000])
    assert [found.number for found in ledger.best(9)] == [2, 3, 4, 1]
    assert [found.number for found in ledger.best(2)] == [2, 3]
    assert ledger.best()[0].value == pytest.approx(0.65)
    ledger.close()


def test_seconds_are_to_be_few(played) -> None:
    ledger = played(SECONDS, trials=6)
    assert [trial.values[1] for trial in ledger._trials()] == [seconds for _, _, seconds in RESULTS]
    assert [found.number for found in ledger.best(9)] == [3, 5]
    ledger.close()


def test_guards_hold_for_the_front_too(played) -> None:
    ledger = played(FEW, trials=6, guards=(Guard("many", 0.0, (0,)),))
    assert [found.number for found in ledger.best(9)] == [2, 3, 1]
    ledger.close()


@pytest.mark.parametrize("sampler", [pytest.param("sobol+tpe", marks=pytest.mark.slow), "random"])
def test_a_search_of_two_objectives_goes_the_same_way_however_often_it_is_reopened(played, sampler: str) -> None:
    courses = []
    for name, reopen in (("calm.db", False), ("torn.db", True)):
        ledger = played(FEW, name, reopen=reopen, sampler=sampler)
        courses.append([(row.number, row.kind, row.params, row.state) for row in ledger.rows()])
        ledger.close()
    assert courses[0] == courses[1]
    assert len({tuple(params.items()) for _, _, params, _ in courses[0]}) == 18


def test_the_sampler_learns_from_both_objectives(played, seed_of) -> None:
    asked = []
    for second, name in ((FEW, "few.db"), (SECONDS, "seconds.db")):
        ledger = played(second, name)
        asked.append(ledger.ask(seed_of).params)
        ledger.close()
    assert asked[0] != asked[1]


def test_the_selection_says_which_trials_the_front_gives(played) -> None:
    ledger = played(FEW, trials=6)
    plan = SimpleNamespace(
        seed=7, finalists=0, n_candidates=0, finalist_seeds=3, confirm_top=3, guards={}, second_objective="few"
    )
    manifest: dict[str, Any] = {}
    said: list[str] = []
    checked = SimpleNamespace(plan=plan, space=ledger.space)
    progress = SimpleNamespace(say=said.append)
    study: Any = SimpleNamespace(checked=checked, ledger=ledger, progress=progress)
    nowhere: Any = None
    target = SearchTarget(ledger, nowhere, {}, "search", "best1", 0, keep=manifest.update)
    assert list(selection.select(study, target, None, None)) == []  # type: ignore[arg-type]
    assert manifest["chosen_trial"] == 2
    assert [found.number for found in selection.ranked(ledger, plan)] == [2, 3, 4]  # type: ignore[arg-type]
    (line,) = said
    assert line.startswith("front    4 of 6 complete trials; best1 is its knee, trial 2; ")
    assert line.endswith("its ends are trials 3 (all) and 4 (few)")
    ledger.close()


@pytest.fixture
def checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Checked]:
    monkeypatch.chdir(tmp_path)

    def run(*argv: str) -> Checked:
        return check(build_parser().parse_args(["--space", "acckd_smoke", "--data", "digits_lt", *argv]))

    return run


def test_two_objectives_change_the_defaults(checked) -> None:
    one, two = checked().plan, checked("--objectives", "all,few").plan
    assert (one.second_objective, one.sampler, one.finalists, one.confirm_top) == (None, "lhs", 5, 1)
    assert (two.second_objective, two.sampler, two.finalists, two.confirm_top) == ("few", "lhs+tpe", 0, 3)
    assert (two.pruner, two.n_selection_runs) == ("none", 0)
    assert checked("--objectives", "all,seconds", "--confirm-top", "1").plan.confirm_top == 1


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("all,few", "--pruner", "asha"), "--pruner must be none with two objectives.*got 'asha'"),
        (("all,few", "--finalists", "3"), "--finalists must be 0 with two objectives.*got 3"),
        (("all,few", "--stop-when", "settled"), "--stop-when must be trials with two objectives.*got 'settled'"),
        (("all,many",), "--objectives all,many needs classes in that group; this data set has 0 many"),
        (("all,seconds", "--warm-start", "x"), "--warm-start does not go with --objectives all,seconds"),
        (("few,all",), "--objectives must be all or all,many"),
    ],
)
def test_what_does_not_go_with_two_objectives_is_refused(checked, argv: tuple[str, ...], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        checked("--objectives", *argv)


def test_a_groups_recall_is_of_its_own_classes() -> None:
    assert FEW.value(ClassCounts((1, 3), (10, 10)), 9.0) == 0.3
    assert SECONDS.value(ClassCounts((1, 3), (10, 10)), 9.0) == 9.0
    assert (FEW.direction, SECONDS.direction) == ("maximize", "minimize")
    assert (FEW.column, SECONDS.column) == ("val_few", "duration_s")
