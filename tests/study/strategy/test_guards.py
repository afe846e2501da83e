"""A guard is judged against trial 0, in whatever order trials end, and best1 is one of those that keep it."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from optuna.study._constrained_optimization import _is_constrained_optimization
from optuna.trial import TrialState

from study.phases import selection
from study.phases.search import SearchTarget
from study.phases.selection import selection_seeds
from study.planning.check import check
from study.planning.parser import build_parser
from study.planning.readers import read_guards
from study.records.ledger import Ledger
from study.strategy.guards import Guard, classes_of, kept
from study.strategy.search_settings import SearchSettings, SettingsError
from study.terminal.faults import Faults
from trainables.cckd.errors import UsageError
from trainables.cckd.records import ClassCounts

#: Class 0 is Many, class 1 is Few.
MANY = Guard("many", 1.0, (0,))


def _counts(many: int, few: int) -> ClassCounts:
    return ClassCounts((many, few), (1000, 1000))


@pytest.mark.parametrize(
    ("points", "many", "expected"), [(1, 890, True), (1, 889, False), (0, 900, True), (0, 899, False), (-1, 909, False)]
)
def test_a_guard_is_kept_to_the_point_and_no_further(points: float, many: int, expected: bool) -> None:
    assert kept([Guard("many", points, (0,))], [_counts(many, 0)], [_counts(900, 999)]) is expected


def test_several_runs_are_judged_by_their_means_and_all_guards_must_hold() -> None:
    runs, reference = [_counts(880, 500), _counts(900, 500)], [_counts(900, 500), _counts(900, 510)]
    assert MANY.excess(runs, reference) == 0
    assert kept([MANY], runs, reference)
    assert not kept([MANY, Guard("few", 0.0, (1,))], runs, reference)


def test_flags_are_read_and_every_fault_is_named() -> None:
    faults = Faults()
    assert read_guards(["many=1", "few=-2.5"], faults) == {"many": 1.0, "few": -2.5}
    assert faults.found == []
    read_guards(["many", "tail=1", "few=x", "few=nan", "all=101", "many=1", "many=2"], faults)
    assert len(faults.found) == 6
    assert "many must be given once" in faults.found[-1]


def test_a_group_without_classes_cannot_be_guarded() -> None:
    groups = {"many": [], "medium": [0, 2], "few": [1], "tercile_low": [1]}
    assert classes_of("all", groups, "--guard ") == (0, 1, 2)
    with pytest.raises(UsageError, match=r"--guard many needs classes.*0 many, 2 medium, 1 few"):
        classes_of("many", groups, "--guard ")


def test_guards_survive_json_and_old_settings_have_none(settings) -> None:
    chosen = settings(guards=(MANY,))
    plain = chosen.to_json()
    assert SearchSettings.from_json(plain | {"guards": [{"group": "many", "points": 1.0, "classes": [0]}]}) == chosen
    del plain["guards"]
    assert SearchSettings.from_json(plain) == settings()
    with pytest.raises(SettingsError, match="reference point as trial 0"):
        settings(guards=(MANY,), sampler="grid")


@pytest.fixture
def guarded(database: Path, space, settings, seed_of):
    """A search guarded by MANY whose trials end with given (many, few) counts; None leaves one running."""

    def run(results: list[tuple[int, int] | None], **changes: Any) -> Ledger:
        chosen = {"sampler": "tpe", "trials": len(results) + 1, "epochs": 1, "rungs": (1,), "guards": (MANY,)}
        ledger = Ledger.create(database, space, settings(**(chosen | changes)))
        for result in results:
            number = ledger.ask(seed_of).number
            if result is not None:
                _end(ledger, number, *result)
        return ledger

    return run


def _end(ledger: Ledger, number: int, many: int, few: int) -> None:
    val = {"correct": [many, few], "seen": [1000, 1000]}
    record = {"epoch": 1, "losses": {"total": 1.0}, "lr": 0.1, "val": val, "train_s": 1.0, "eval_s": 1.0}
    ledger.record(number, [record])
    assert ledger.complete(number) is TrialState.COMPLETE


RESULTS = [(900, 500), (800, 900), (895, 520), (889, 700), (950, 480)]


def test_best_and_candidates_keep_the_guard(guarded) -> None:
    ledger = guarded(RESULTS)
    assert [found.number for found in ledger.best(9)] == [4, 2, 0]
    assert [found.number for found in ledger.candidates(1)] == [4, 0]
    assert ledger.guards_kept() == 3
    assert [row.keeps_guards for row in ledger.rows()] == [True, False, True, False, True]
    ledger.close()


def test_a_trial_that_ends_before_the_reference_point_is_judged_once_that_has_ended(guarded) -> None:
    ledger = guarded([None, (800, 900), (895, 520)])
    assert ledger.guards_kept() is None
    assert [row.keeps_guards for row in ledger.rows()] == [None, None, None]
    assert [found.number for found in ledger.best(9)] == [1, 2]
    _end(ledger, 0, 900, 500)
    assert [found.number for found in ledger.best(9)] == [2, 0]
    ledger.close()


def test_where_no_trial_keeps_the_guard_all_count(guarded) -> None:
    ledger = guarded([(900, 500), (800, 900)], guards=(Guard("many", -5.0, (0,)),))
    assert ledger.guards_kept() == 0
    assert [found.number for found in ledger.best(9)] == [1, 0]
    ledger.close()


def test_the_sampler_is_told_of_the_guard_and_reopening_changes_nothing(guarded, database: Path, seed_of) -> None:
    results = [(900 - 20 * (k % 3), 500 + 11 * k) for k in range(12)]
    ledger = guarded(results, trials=20)
    seen = ledger._trials_for_sampler()
    assert _is_constrained_optimization(seen)
    assert [trial.constraints["0"] <= 0 for trial in seen] == [k % 3 == 0 for k in range(12)]
    asked = ledger.ask(seed_of)
    ledger.close()

    database.rename(database.with_name("with.db"))
    without = guarded(results, trials=20, guards=())
    assert without.ask(seed_of).params != asked.params
    without.close()

    database.unlink()
    again = guarded(results, trials=20)
    again.close()
    again = Ledger.open(database)
    assert again.ask(seed_of) == asked
    again.close()


class _Progress:
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, line: str) -> None:
        self.said.append(line)


def _chosen(ledger: Ledger, fresh: dict[int, tuple[int, int]], guards: dict[str, float]) -> tuple[int, dict, list[str]]:
    """Let the selection choose where all fresh runs are filed; return its choice, the manifest and what it said."""
    plan = SimpleNamespace(
        seed=7,
        finalists=3,
        n_candidates=3,
        finalist_seeds=2,
        confirm_top=1,
        guards=guards,
        second_objective=None,
        max_retries=2,
    )
    plan.training, plan.fixed_knobs = {}, {}
    for trial, counts in fresh.items():
        for seed in selection_seeds(7, 2):
            ledger.runs.add_selection_run(trial, seed, _counts(*counts))
    manifest: dict[str, Any] = {}
    progress = _Progress()
    checked = SimpleNamespace(plan=plan, space=ledger.space)
    study: Any = SimpleNamespace(checked=checked, ledger=ledger, progress=progress)
    nowhere: Any = None
    target = SearchTarget(ledger, nowhere, {}, "search", "best1", 0, keep=manifest.update)
    assert list(selection.select(study, target, None, None)) == []  # type: ignore[arg-type]
    return manifest["chosen_trial"], manifest, progress.said


def test_best1_keeps_the_guard_on_its_fresh_runs_too(guarded) -> None:
    ledger = guarded(RESULTS)
    chosen, manifest, said = _chosen(ledger, {0: (900, 500), 2: (880, 700), 4: (910, 505)}, {"many": 1.0})
    assert chosen == 4
    assert manifest["guards"] == {"kept": 3, "complete": 5, "unmet": None}
    assert "3 of 5 complete trials keep --guard many=1" in said[0]
    ledger.close()


def test_what_could_not_be_kept_is_said_and_filed(guarded) -> None:
    ledger = guarded([(900, 500), (800, 900)], guards=(Guard("many", -5.0, (0,)),))
    chosen, manifest, said = _chosen(ledger, {0: (900, 500), 1: (800, 900)}, {"many": -5.0})
    assert chosen == 1
    assert "on the mean of its fresh runs" in manifest["guards"]["unmet"]
    assert any("no complete trial keeps --guard many=-5: best1 IS CHOSEN WITHOUT IT" in line for line in said)
    ledger.close()


def test_preflight_takes_guards_and_refuses_what_cannot_be_judged(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)

    def judge(*argv: str) -> Any:
        return check(build_parser().parse_args(["--space", "acckd_smoke", "--data", "digits_lt", *argv]))

    assert judge("--guard", "medium=1", "--guard", "all=0.5").plan.guards == {"medium": 1.0, "all": 0.5}
    with pytest.raises(UsageError, match="--guard many needs classes in that group; this data set has 0 many"):
        judge("--guard", "many=1")
    with pytest.raises(UsageError, match="--sampler grid does not try"):
        judge("--guard", "few=1", "--sampler", "grid")
