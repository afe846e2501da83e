"""The number format is decided once per study, by what is kept or timed, and every later start has it from the plan."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from study.execution.tasks import TaskDied
from study.execution.workers import Workers
from study.measured.machine import Machine, this_machine
from study.measured.step_times import StepTimeFile, kept_time
from study.phases.precision import begin_timing, decide_precision
from study.phases.state.study_in_progress import Study
from study.planning.manifest import checked_again
from study.planning.preview.dry_run import dry_run
from study.terminal.home import CACHE_VARIABLE
from study.terminal.progress import Progress
from tests.study.phases.played import WORKERS
from trainables.cckd.precision import StepTime

HERE = this_machine()
#: Processor seconds of a step in float32, whatever it gains.
STEP_S = 0.08
NODES = {"a": HERE, "b": Machine("An EPYC", "02"), "c": HERE}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def decided(study: Study) -> Callable[..., str]:
    """Start the study on workers whose steps gain so much, node by node (None is the driver's); return what is said."""

    def decide(gains: dict[str | None, float | Exception], workers: Workers = WORKERS) -> str:
        said = io.StringIO()
        study.progress = Progress(said)
        left = dict(gains)

        def time_steps(node: str | None, shape: Any) -> Any:
            assert shape == study.checked.step_shape
            found = left.pop(node)
            return SimpleNamespace(result=lambda: _found(found))

        study.engine = replace(study.engine, time_steps=time_steps)
        decide_precision(study, begin_timing(study, workers))
        assert left == {}, "all of these were asked, and each once"
        return " ".join(said.getvalue().split())

    return decide


def _found(gain: float | Exception) -> StepTime:
    if isinstance(gain, Exception):
        raise gain
    return StepTime(STEP_S, gain)


def _cluster(*nodes: str) -> Workers:
    roster: Any = SimpleNamespace(machine=NODES.__getitem__, usable=lambda: {node: {"CPU": 2.0} for node in nodes})
    return Workers(n_workers=2, roster=roster)


def test_the_first_study_here_times_steps_and_the_second_reads_what_was_found(study: Study, decided) -> None:
    undecided = study.checked
    assert undecided.plan.precision is None
    told = decided({None: 1.63})
    said, how_long = told.split(" time ")
    assert said == "format students train in bfloat16: bfloat16 is 1.63 times as fast as float32"
    assert how_long.endswith("on 2 workers, by a step that was timed here; --recipe quick is for a first look")
    assert study.checked.plan.precision == "bfloat16"
    assert kept_time(HERE, undecided.step_shape) == StepTime(STEP_S, 1.63)
    study.checked = undecided
    assert decided({}) == f"{said}, measured before"
    assert study.checked.plan.precision == "bfloat16"


def test_a_gain_that_is_too_small_leaves_float32(study: Study, decided) -> None:
    assert "students train in float32: bfloat16 is 1.06 times as fast" in decided({None: 1.06})
    assert study.checked.plan.precision == "float32"


def test_study_json_and_study_yaml_have_the_choice_and_resuming_keeps_it(study: Study, decided) -> None:
    decided({None: 1.63})
    manifest = study.store.manifest()
    assert manifest["plan"]["precision"] == "bfloat16"
    assert manifest["step_gains"] == [{"processor": HERE.processor, "gain": 1.63}]
    assert "precision: bfloat16" in (study.store.path / "study.yaml").read_text()
    # Another machine by now, or another torch: it would find another gain.
    StepTimeFile(HERE, study.checked.step_shape).path.unlink()
    study.checked = checked_again(study.store.path, manifest | {"teacher": None})
    assert study.checked.plan.precision == "bfloat16"
    assert decided({}) == ""
    assert study.store.manifest() == manifest


def test_a_study_whose_driver_died_before_the_choice_makes_it_when_it_is_resumed(study: Study, decided) -> None:
    study.checked = checked_again(study.store.path, study.store.manifest() | {"teacher": None})
    assert study.checked.plan.precision is None
    decided({None: 0.7})
    assert study.checked.plan.precision == "float32"


def test_what_a_flag_decides_is_not_timed(study: Study, decided) -> None:
    study.checked = replace(study.checked, plan=replace(study.checked.plan, precision="bfloat16"))
    assert decided({}) == ""
    assert "step_gains" not in study.store.manifest()


def test_a_study_that_goes_on_with_a_gpu_before_the_choice_has_that_of_the_gpu(study: Study, decided) -> None:
    study.checked = replace(study.checked, plan=replace(study.checked.plan, device="cuda", gpus_per_trial=1.0))
    assert decided({}) == ""
    assert study.checked.plan.precision == "bfloat16"
    assert "step_gains" not in study.store.manifest()


@pytest.mark.parametrize(("other", "chosen"), [(1.3, "bfloat16"), (0.8, "float32")])
def test_unlike_nodes_train_in_one_format_that_helps_all_of_them(
    study: Study, decided, other: float, chosen: str
) -> None:
    # "a" and "c" are of one kind, so one of them is timed.
    told = decided({"c": 1.6, "b": other}, _cluster("a", "b", "c"))
    assert study.checked.plan.precision == chosen
    assert f"students train in {chosen}: " in told
    assert f"1.60 times as fast as float32 on {HERE.processor}; {other:.2f} times as fast as float32 on An EPYC" in told
    assert [row["gain"] for row in study.store.manifest()["step_gains"]] == [1.6, other]


def test_nodes_of_a_kind_that_was_timed_before_are_not_timed(study: Study, decided) -> None:
    StepTimeFile(HERE, study.checked.step_shape).keep(StepTime(STEP_S, 1.6))
    assert "measured before; 1.50 times as fast" in decided({"b": 1.5}, _cluster("a", "b"))


def test_a_timing_that_dies_ends_nothing_and_leaves_float32(study: Study, decided) -> None:
    told = decided({"b": TaskDied("killed\nby the kernel"), "c": 1.6}, _cluster("b", "c"))
    assert "NOTE steps could not be timed on An EPYC: killed by the kernel" in told
    assert "students train in float32, because not every kind of machine could be timed: bfloat16 is 1.60 times" in told
    assert study.checked.plan.precision == "float32"
    assert kept_time(NODES["b"], study.checked.step_shape) is None


def test_a_cluster_that_has_lost_its_nodes_leaves_float32_and_says_why(study: Study, decided) -> None:
    assert decided({}, _cluster()) == (
        "format students train in float32, because not every kind of machine could be timed"
    )
    assert study.checked.plan.precision == "float32"


def test_a_damaged_file_is_told_once_and_timed_again(study: Study, decided) -> None:
    file = StepTimeFile(HERE, study.checked.step_shape)
    file.keep(StepTime(STEP_S, 1.6))
    file.path.write_text(file.path.read_text().replace("1.6", "0.6"))
    told = decided({None: 1.5})
    assert told.count("NOTE") == 1
    assert "steps are timed again, since what was kept of them is damaged" in told
    assert file.read() == StepTime(STEP_S, 1.5)


def test_a_folder_that_cannot_be_written_is_told_once_and_ends_nothing(study: Study, decided, cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    told = decided({None: 1.5})
    assert told.count("NOTE") == 1
    assert "the timing is not kept, so a later study times again: " in told
    assert study.checked.plan.precision == "bfloat16"


def test_a_dry_run_says_what_is_known_and_times_nothing(study: Study) -> None:
    def student() -> str:
        return " ".join(dry_run(study.checked).partition("\nstudent ")[2].partition("recipe ")[0].split())

    assert student() == "resnet8_cifar, 4 epochs, in float32 or bfloat16, decided by a timed second at the start"
    file = StepTimeFile(HERE, study.checked.step_shape)
    file.keep(StepTime(STEP_S, 1.6))
    assert student() == "resnet8_cifar, 4 epochs, in bfloat16 (measured before: bfloat16 is 1.60 times as fast)"
    file.path.unlink()
    file.keep(StepTime(STEP_S, 0.9))
    assert student() == "resnet8_cifar, 4 epochs, in float32 (measured before: bfloat16 is 0.90 times as fast)"
    study.checked = replace(study.checked, plan=replace(study.checked.plan, address="auto"))
    assert student().endswith("decided by a timed second on its nodes at the start")
    study.checked = replace(study.checked, plan=replace(study.checked.plan, precision="bfloat16"))
    assert student() == "resnet8_cifar, 4 epochs, in bfloat16"
