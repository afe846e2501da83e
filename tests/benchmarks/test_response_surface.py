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
COMMITTED = response_surface.RESULTS


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
    ("other", "differs"),
    [
        (["--set", "epochs=3"], "epochs 60 and 3"),
        (["--set", "student=resnet20_cifar"], 'student "resnet8_cifar" and "resnet20_cifar"'),
        (["--precision", "float32"], 'precision "bfloat16" and "float32"'),
        (["--data", "fashion_mnist_lt:ir=10"], 'ir=50,imb_type=exp" and "fashion_mnist_lt:n_max=200,ir=10,'),
        (["--space", "acckd_core"], '"searched" and '),
    ],
)
def test_another_training_is_refused_before_anything_is_trained(
    trained: list[Task], other: list[str], differs: str
) -> None:
    main(["--points", "1", "--repeated", "0"])
    path = path_of("fashion_mnist_lt")
    before = path.read_bytes()
    with pytest.raises(SystemExit) as refused:
        main(["--points", "1", "--repeated", "0", *other])
    said = str(refused.value)
    assert said.startswith(f"error: {path} holds runs of another training")
    assert differs in said
    assert "CCKD_RESULTS=DIR" in said
    assert (len(trained), path.read_bytes()) == (1, before)


@pytest.mark.parametrize(
    ("column", "value", "differs"),
    [
        ("precision", "float32", 'precision "bfloat16" and "float32"'),
        ("data", "fashion_mnist_lt:n_max=500,ir=50,imb_type=exp", "n_max=500"),
        ("point", 0, "point 0 {"),
    ],
)
def test_a_file_of_mixed_trainings_is_refused(trained: list[Task], column: str, value: object, differs: str) -> None:
    main(["--points", "2", "--repeated", "0"])
    path = path_of("fashion_mnist_lt")
    rows = read_rows(path)
    rows.loc[1, column] = value
    rows.to_parquet(path)
    with pytest.raises(SystemExit) as refused:
        read_rows(path)
    assert str(refused.value).startswith(f"error: {path} mixes runs of several trainings")
    assert differs in str(refused.value)


_CIFAR = (
    "--data cifar10_lt:n_max=200,ir=50 --points 120 --precision bfloat16 --set student=resnet8_cifar --set epochs=60 "
    "--set batch_size=32 --set lr=0.15 --set nesterov=true --set weight_decay=0.0005 --set schedule=one_cycle"
)


@pytest.mark.parametrize(("data_set", "command"), [("fashion_mnist_lt", ""), ("cifar10_lt", _CIFAR)])
def test_the_committed_files_go_on_under_the_commands_of_the_docstring(
    trained: list[Task], data_set: str, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told = " ".join((response_surface.__doc__ or "").split())
    assert command.replace(" --points", " --data-root DIR --points") in told
    path = path_of(data_set)
    path.write_bytes((COMMITTED / path.name).read_bytes())
    before = read_rows(path)
    assert main([*command.split(), "--minutes", "0"]) == 0
    planned = 216 if data_set == "cifar10_lt" else 352
    assert f"{len(before)} runs recorded, {planned - len(before)} to train" in capsys.readouterr().out
    recorded = set(zip(before["point"], before["seed"], strict=True))
    assert not recorded & {(point_of(task), task.config["seed"]) for task in trained}


def point_of(task: Task) -> int:
    return next(k for k in range(120) if active_point(SPACE, k) == json.loads(task_point(task)))


def task_point(task: Task) -> str:
    return json.dumps({name: task.config[name] for name in SPACE.distributions if name in task.config})


@pytest.mark.parametrize("index", range(8))
def test_an_inactive_knob_is_absent(index: int) -> None:
    point = active_point(SPACE, index)
    assert ("kd_weight" in point) == point["use_kd"]
