"""Tests for the real trainings of points of a space."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from benchmarks import response_surface
from benchmarks.response_surface import active_point, main, path_of, read_rows
from benchmarks.students import Student, Task
from search_spaces.registry import get_space

SPACE = get_space("acckd_full")


class Counts:
    def tolist(self) -> list[int]:
        return [200, 10]


class World:
    val_seen = test_seen = (50, 50)

    class data:
        counts = Counts()


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Task]:
    """Students that learn nothing, of which the second diverges; the tasks that were trained."""
    tasks: list[Task] = []

    def train(wanted: Sequence[Task], world: World, workers: int) -> Iterator[Student]:
        for task in wanted:
            tasks.append(task)
            diverged = len(tasks) == 2
            yield Student(task, {}, None, 1.0) if diverged else Student(task, {1: [1, 2], 2: [30, 20]}, [9, 8], 2.0)

    monkeypatch.setattr(response_surface, "RESULTS", tmp_path)
    monkeypatch.setattr(response_surface, "make_world", lambda *_: World())
    monkeypatch.setattr(response_surface, "train_students", train)
    return tasks


def test_every_point_is_trained_once_and_the_first_ones_on_more_seeds(trained: list[Task]) -> None:
    assert main(["--points", "3", "--repeated", "1", "--seeds", "2", "--set", "epochs=2"]) == 0
    rows = read_rows(path_of("fashion_mnist_lt"))
    assert list(zip(rows["point"], rows["seed"], strict=True)) == [(0, 1001), (1, 1001), (2, 1001), (0, 1002)]
    assert {task.config["epochs"] for task in trained} == {2}
    assert all(task.opens_test for task in trained)

    first = rows.iloc[0]
    assert json.loads(first["params"]) == active_point(SPACE, 0)
    assert json.loads(first["settings"])["method"] == "acckd"
    assert [list(counts) for counts in first["val"]] == [[1, 2], [30, 20]]
    assert list(first["test"]) == [9, 8]


def test_a_run_that_diverged_is_a_row_without_counts(trained: list[Task]) -> None:
    main(["--points", "2", "--repeated", "0"])
    rows = read_rows(path_of("fashion_mnist_lt"))
    assert len(rows.iloc[1]["val"]) == 0
    assert rows.iloc[1]["test"] is None


def test_recorded_runs_are_not_trained_again(trained: list[Task]) -> None:
    main(["--points", "2", "--repeated", "0", "--minutes", "0"])
    main(["--points", "3", "--repeated", "0"])
    main(["--points", "3", "--repeated", "0"])
    assert [json.loads(task_point(task)) for task in trained] == [active_point(SPACE, index) for index in (0, 1, 2)]
    assert len(read_rows(path_of("fashion_mnist_lt"))) == 3


@pytest.mark.parametrize(
    "other", [["--set", "epochs=3"], ["--precision", "float32"], ["--data", "fashion_mnist_lt:ir=10"]]
)
def test_another_recipe_precision_or_subset_is_another_run(trained: list[Task], other: list[str]) -> None:
    for _ in range(2):
        for more in ([], other):
            main(["--points", "1", "--repeated", "0", *more])
    assert len(trained) == len(read_rows(path_of("fashion_mnist_lt"))) == 2


def task_point(task: Task) -> str:
    return json.dumps({name: task.config[name] for name in SPACE.distributions if name in task.config})


@pytest.mark.parametrize("index", range(8))
def test_an_inactive_knob_is_absent(index: int) -> None:
    point = active_point(SPACE, index)
    assert ("kd_weight" in point) == point["use_kd"]
