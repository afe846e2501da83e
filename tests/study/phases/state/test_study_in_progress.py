"""What a study in progress writes besides its phases' results."""

from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from search_spaces.registry import get_space
from study.execution.tasks import TaskDied, TaskError
from study.phases.state.study_in_progress import Study, StudyFailed
from study.planning.cores import Cores
from study.planning.preview import estimate
from study.records.run_tables import AblationRun
from study.schema import BASELINE_PREFIX
from study.terminal.command_line import resume_command
from study.terminal.pace import TimeBudget
from trainables.cckd.data.images.image_files import ImageFiles
from trainables.cckd.data.store.image_store import ImageStore
from trainables.cckd.records import ClassCounts

COUNTED = {"name": "cifar_resnet20", "n_parameters": 77_850}


def _raise() -> int:
    raise TaskError("student 'x' cannot be built")


def _die() -> int:
    raise TaskDied("The worker died.")


def test_a_student_is_recorded_when_it_is_counted_and_waited_for_only_if_asked(study: Study) -> None:
    future: Any = SimpleNamespace(is_ready=False, result=lambda: COUNTED["n_parameters"])
    name = study.checked.plan.student
    study.student, before = future, study.store.manifest()["student"]
    study.record_student()
    assert study.store.manifest()["student"] == before
    study.record_student(wait=True)
    assert study.store.manifest()["student"] == COUNTED | {"name": name}
    assert study.student is None


def test_a_count_whose_process_has_died_is_left_to_the_next_start(study: Study) -> None:
    study.student = SimpleNamespace(is_ready=True, result=_die)  # type: ignore[assignment]
    before = study.store.manifest()["student"]
    study.record_student(wait=True)
    assert study.student is None
    assert study.store.manifest()["student"] == before


def test_a_student_that_cannot_be_built_ends_the_study(study: Study) -> None:
    study.student = SimpleNamespace(is_ready=True, result=_raise)  # type: ignore[assignment]
    with pytest.raises(StudyFailed, match=r"^student 'x' cannot be built; begin another study with another --student$"):
        study.record_student()


def test_a_recorded_run_leaves_no_checkpoint_though_its_driver_died_before_it_was_removed(study: Study) -> None:
    table, counts = study.ledger.runs, ClassCounts((1,) * 10, (2,) * 10)
    tuned = study.ledger.tune("la", get_space("la"))
    table.add_selection_run(3, 5, counts)
    table.add_ablation_run(AblationRun(3, "part", "mixing", 5, "val", counts))
    table.add_confirm_run("la", 5, None, {"test": asdict(counts), "selected_on": "val"}, data_seed=1, epochs_factor=2)
    tuned.runs.add_selection_run(4, 6, counts)
    recorded = ["candidate-trial3-seed5", "ablation-val-part-mixing-trial3-seed5", "la-seed5-cut1-x2"]
    under_way = ["candidate-trial4-seed5", "ablation-test-part-mixing-trial3-seed5", "la-seed5"]
    of_la = study.checkpoints_of("la")
    stored = [
        (study.checkpoints, recorded + under_way),
        (of_la, ["candidate-la-trial4-seed6", "candidate-la-trial3-seed6"]),
    ]
    for store, runs in stored:
        for run in runs:
            store.workplace(run, "1").mkdir(parents=True)
    study.export()
    assert set(study.checkpoints.runs()) == {*under_way, f"{BASELINE_PREFIX}la"}
    assert of_la.runs() == ["candidate-la-trial3-seed6"]


def test_before_a_speed_is_measured_the_trials_of_study_db_say_what_fits(study: Study, epoch, monkeypatch) -> None:
    monkeypatch.setattr(estimate, "allotted_cores", lambda: Cores(2, ""))
    now = [1000.0]
    monkeypatch.setattr("study.terminal.pace.time.monotonic", lambda: now[0])
    epochs = study.checked.plan.epochs
    assert study.has_time_for(1e9), "nobody asked for an end"
    study.checked = replace(study.checked, plan=replace(study.checked.plan, max_hours=0.1))
    study.time = TimeBudget(0.1)
    assert study.has_time_for(1e9), "nothing is known"
    number = study.ledger.ask(lambda *_: 1).number
    study.ledger.record(number, [epoch(k) for k in range(1, epochs + 1)])
    study.ledger.complete(number)
    of_trial = study.ledger.mean_duration_s()
    assert of_trial > 0
    n_fitting = 2 * 360 / of_trial
    assert study.has_time_for(0.99 * n_fitting)
    assert not study.has_time_for(1.01 * n_fitting)
    for k in range(1, 4):
        now[0] += 10
        study.pace.note(epochs * k)
    assert study.has_time_for(1.01 * n_fitting), "the measured speed is higher"
    now[0] += 331
    assert not study.has_time_for(0)


def test_a_damaged_image_ends_the_study_in_one_line_that_says_how_to_go_on(study: Study) -> None:
    study.budget.damage = "damaged image: /a/3.png cannot be read as an image: torn"
    with pytest.raises(StudyFailed) as caught:
        study.check_failures()
    said = str(caught.value)
    assert said.startswith("/a/3.png cannot be read as an image: torn; restore what is damaged, or leave it out: ")
    assert said.endswith(f"resume {study.store.path} --skip-corrupt")
    assert len(said.splitlines()) == 1
    assert (study.store.path / "trials.csv").exists()


def test_a_damaged_file_that_only_another_cut_has_must_be_restored(study: Study) -> None:
    data, plan = study.checked.data, study.checked.plan
    own = replace(data, train=ImageFiles.listed(Path("/a"), ["ant/1.jpg", "bee/2.jpg"], [0, 1]))
    study.checked = replace(study.checked, plan=replace(plan, data_seeds=2))
    object.__setattr__(study.checked, "data", own)
    resume = resume_command(study.store.path)
    assert study.with_damage("/a/ant/1.jpg cannot be read as an image: torn").endswith("--skip-corrupt")
    said = study.with_damage("/a/ant/7.jpg cannot be read as an image: torn")
    assert said.startswith("/a/ant/7.jpg cannot be read as an image: torn; a file that only another cut has cannot be ")
    assert said.endswith(f"left out; restore it, then go on: {resume}")
    object.__setattr__(study.checked, "plan", plan)
    assert study.with_damage("/a/ant/7.jpg cannot be read").endswith("--skip-corrupt"), "there is no other cut"


def test_a_damaged_file_of_the_image_store_is_made_again_not_left_out(study: Study) -> None:
    store = ImageStore(study.store.path / "image-store", 64)
    study.checked = replace(study.checked)
    object.__setattr__(study.checked, "image_store", store)
    said = study.with_damage(f"{store.folder}/ab/ab.jpg is not as the image store wrote it")
    assert said.startswith(
        f"{store.folder}/ab/ab.jpg is not as the image store wrote it; a file of the image store is "
    )
    assert said.endswith(f"made again when the study goes on: {resume_command(study.store.path)}")
    assert study.with_damage("/a/3.png is torn").endswith("--skip-corrupt")
