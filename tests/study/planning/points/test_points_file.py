"""The file of --points: the same points from YAML, CSV and Python; each fault with its file, place, rule and value."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search_spaces import get_space
from study.phases.session.begin import create_ledger
from study.planning.check import check
from study.planning.checked import Checked
from study.planning.config_file import chosen_flags
from study.planning.manifest import checked_again, first_manifest
from study.planning.parser import build_parser
from study.planning.preview.dry_run import dry_run
from study.records.ledger import Ledger
from study.records.store import StudyStore
from trainables.cckd.errors import UsageError

YAML = """
- {temperature: 3, mix_ratio: 0.25, estimator: prior}
- temperature: 4.5
  mix_ratio: 3e-1
  estimator: batch
"""
CSV = "estimator,temperature,mix_ratio\nprior,3,.25\nbatch,4.5,0.30\n"
POINTS = (
    {"temperature": 3.0, "mix_ratio": 0.25, "estimator": "prior"},
    {"temperature": 4.5, "mix_ratio": 0.3, "estimator": "batch"},
)

Check = Callable[..., Checked]


@pytest.fixture
def checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    monkeypatch.chdir(tmp_path)

    def run(*argv: str, content: str | None = YAML, name: str = "mine.yaml") -> Checked:
        if content is not None:
            Path(name).write_text(content)
        given = ["--space", "acckd_smoke", "--data", "digits_lt", "--points", name]
        return check(build_parser().parse_args([*given, *argv]))

    return run


def _faults(checked: Check, *argv: str, **file: Any) -> list[str]:
    with pytest.raises(UsageError) as caught:
        checked(*argv, **file)
    assert not Path("runs").exists()
    return list(caught.value.faults)


@pytest.mark.parametrize(
    ("name", "content"), [("mine.yaml", YAML), ("mine.csv", CSV), ("my, own.yml", YAML), ("bom.yaml", "\ufeff" + YAML)]
)
def test_the_points_are_the_first_trials_and_the_plan_has_them(checked: Check, name: str, content: str) -> None:
    found = checked(content=content, name=name)
    assert found.plan.points == POINTS
    assert [[*point] for point in found.plan.points] == [["temperature", "mix_ratio", "estimator"]] * 2
    assert found.settings.points == POINTS
    assert (found.plan.sampler, found.plan.n_sobol) == ("lhs", 8 - 1 - 2)
    assert "points    2 of your own, trials 1 to 2; they count among the 8 trials" in dry_run(found)


def test_a_sampler_that_learns_spreads_half_of_what_is_left(checked: Check) -> None:
    assert checked("--sampler", "lhs+tpe", "--trials", "10").plan.n_sobol == 4
    assert checked("--sampler", "lhs", "--trials", "3").plan.n_sobol == 0
    assert checked("--sampler", "grid", "--trials", "29").plan.n_sobol == 0
    assert "points    2 of your own, trials 0 to 1; " in dry_run(checked("--sampler", "grid"))


def test_from_python_points_are_a_list_or_a_file(checked: Check) -> None:
    (as_list,) = chosen_flags({"points": list(POINTS)})
    (as_file,) = chosen_flags({"points": "mine.csv"})
    assert as_file == "--points=mine.csv"
    assert checked(as_list).plan.points == POINTS
    (of_numpy,) = chosen_flags({"points": [dict(POINTS[0]) | {"temperature": np.int64(3)}]})
    assert checked(of_numpy).plan.points == POINTS[:1]
    assert list(chosen_flags({"points": ()})) == []


@pytest.mark.parametrize(
    ("name", "content", "faults"),
    [
        ("a.yaml", "- {temperature: 9, mix_ratio: 0.2}\n", [
            "a.yaml: point 1: temperature must be a number in [1.0, 8.0], log scale; got 9",
            "a.yaml: point 1: estimator is missing; it must be one of 'batch', 'prior', 'prior_uniform'",
        ]),
        ("a.csv", "temperature,mix_ratio,estimator\n2.5,0.2,batch\n3,0.2,bach\n", [
            "a.csv: line 3: estimator must be one of 'batch', 'prior', 'prior_uniform'; got 'bach'",
        ]),
        ("a.csv", "temperature,mix_ration,estimator\n3,0.2,batch\n4,0.2,batch\n", [
            "a.csv: space acckd_smoke does not search 'mix_ration'; it searches temperature, mix_ratio, estimator; did "
            "you mean mix_ratio?",
        ]),
        ("a.yaml", YAML + "- {temperature: 3.0000001, mix_ratio: 0.25, estimator: prior}\n", [
            "a.yaml: point 3 is point 1 again, to 6 significant digits; leave it out",
        ]),
        ("a.yaml", "[]", ["a.yaml: points are a list of mappings from knobs to values; got []"]),
        ("a.yaml", "points: 3", ["a.yaml: points are a list of mappings from knobs to values; got 3"]),
        ("a.yaml", "a: 1\n", ["a.yaml: points are a list of mappings from knobs to values; got {'a': 1}"]),
        ("a.yaml", "temperature: 3\nmix_ratio: 0.2\n", [
            "a.yaml: points are a list of mappings from knobs to values; got {'temperature': 3, 'mix_ratio': 0.2}",
        ]),
        ("a.yaml", "points: {a: 1}\n", ["a.yaml: points are a list of mappings from knobs to values; got {'a': 1}"]),
        ("a.yaml", "", ["a.yaml: points are a list of mappings from knobs to values; got None"]),
        ("a.yaml", "- 3\n", ["a.yaml: point 1 must be a mapping from knobs to values; got 3"]),
        ("a.csv", "temperature,mix_ratio,estimator\n", ["a.csv: one row per point is needed; got none"]),
        ("[x", None, ["--points must be a file that ends in .yaml, .yml, .csv; got '[x'"]),
        ("[3]", None, ["--points: point 1 must be a mapping from knobs to values; got 3"]),
        ("a.txt", YAML, ["--points must be a file that ends in .yaml, .yml, .csv; got 'a.txt'"]),
    ],
    ids=lambda value: value[:24] if isinstance(value, str) else None,
)  # fmt: skip
def test_what_does_not_fit_is_named_before_anything_is_made(checked: Check, name, content, faults) -> None:
    assert _faults(checked, name=name, content=content) == faults


@pytest.mark.parametrize("name", ["gone.yaml", "gone.csv", "~nobody-of-this-name/mine.yaml"])
def test_a_file_that_is_not_there_is_named(checked: Check, name: str) -> None:
    (fault,) = _faults(checked, name=name, content=None)
    assert fault.startswith(f"{name}: cannot be read as text")


def test_a_knob_without_meaning_at_its_condition_is_named_by_its_line(checked: Check) -> None:
    point = get_space("acckd_full").reference_point() | {"use_kd": False, "kd_weight": 1.0}
    content = f"{','.join(point)}\n{','.join(map(str, point.values()))}\n"
    said = "full.csv: line 2: kd_weight means nothing where use_kd is False; leave it out"
    assert _faults(checked, "--space", "acckd_full", content=content, name="full.csv") == [said]


def test_the_reference_point_is_no_point_of_the_users_own(checked: Check) -> None:
    reference = checked().space.reference_point()
    line = f"- {{temperature: {reference['temperature']}, mix_ratio: {reference['mix_ratio']}, "
    content = YAML + line + f"estimator: {reference['estimator']}}}\n"
    said = "is the reference point, which is trial 0 of every study; leave it out"
    assert _faults(checked, content=content) == [f"mine.yaml: point 3 {said}"]
    table = f"{CSV}{reference['estimator']},{reference['temperature']},{reference['mix_ratio']}\n"
    assert _faults(checked, content=table, name="mine.csv") == [f"mine.csv: line 4 {said}"]
    (as_list,) = chosen_flags({"points": [POINTS[0], reference]})
    assert _faults(checked, as_list) == [f"--points: point 2 {said}"]
    assert len(checked("--sampler", "grid", content=content).plan.points) == 3


def test_more_points_than_trials_are_refused(checked: Check) -> None:
    said = "--trials must be at least 3, for 2 of --points and the reference point count among them; got 2"
    assert _faults(checked, "--trials", "2") == [said]
    assert len(checked("--trials", "3").plan.points) == 2
    assert len(checked("--trials", "2", "--sampler", "grid").plan.points) == 2


def test_the_points_of_a_grid_stand_beside_the_users_own(checked: Check) -> None:
    assert checked("--sampler", "grid", "--trials", "29").plan.trials == 29
    said = "--trials must not exceed the grid's 27 points and your 2; got 30"
    assert _faults(checked, "--sampler", "grid", "--trials", "30") == [said]


def test_tuned_baselines_have_no_points_of_the_users_own(checked: Check) -> None:
    (said,) = _faults(checked, "--tuned-baselines", "kd")
    assert said.startswith("--tuned-baselines promises an equal search, and --points are chosen for one method")


def test_a_resumed_study_trains_each_point_once_without_the_file(checked: Check, tmp_path: Path, seed_of) -> None:
    found = checked("--sampler", "tpe", "--trials", "5")
    store = StudyStore.create(tmp_path, "toy")
    store.write_manifest(first_manifest(found, "command"))
    Path("mine.yaml").unlink()
    again = checked_again(store.path, store.manifest())
    assert again.plan.points == POINTS
    ledger = create_ledger(again, store)
    for _ in range(4):
        ledger.ask(seed_of)
        ledger.close()
        ledger = Ledger.open(store.database)
    rows = ledger.rows()
    ledger.close()
    assert [row.kind for row in rows] == ["reference", "points", "points", "tpe"]
    assert [row.params for row in rows[1:3]] == [*POINTS]
