"""One Ray trial without Ray: its legs carry every epoch once, and a restart goes on where the last one stopped."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from tests.trainables.legs import FLAT, config_of, outcome_of, outcomes_of, run_legs, tiny_world
from trainables import trial as module
from trainables.cckd.bundle.trial_data import TestData, TrialData
from trainables.cckd.config import TrialConfig
from trainables.cckd.precision import Precision
from trainables.cckd.students.export import load_model
from trainables.cckd.teacher.readout import TeacherState
from trainables.cckd.training.trainer import Trainer
from trainables.trial import CckdTrial
from trainables.trial_context import TrialContext

Start = Callable[..., CckdTrial]


@pytest.fixture(scope="module")
def data() -> TrialData:
    return tiny_world()


@pytest.fixture(scope="module")
def whole(data: TrialData) -> list[tuple[Any, ...]]:
    """Outcome of every epoch of an undisturbed trial, by the plain trainer."""
    return [outcome_of(record.to_dict()) for record in Trainer(TrialConfig.build(FLAT), data, threads=1)]


@pytest.fixture
def start(data: TrialData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Start a trial as Ray would: `start(number=..., teacher=..., test=..., leg_s=..., export=..., **config)`."""
    # The context holds object references; here a reference is the object.
    monkeypatch.setattr(module, "ray", SimpleNamespace(get=lambda reference: reference))

    def begin(
        *,
        number: int | str = 7,
        attempt: int = 1,
        teacher: Mapping[str, Any] | None = None,
        test: TestData | None = None,
        leg_s: float = 1e9,
        precision: Precision = "float32",
        export: str | None = None,
        curve: bool = False,
        opens_test: bool | None = None,
        **changes: Any,
    ) -> CckdTrial:
        trial = object.__new__(CckdTrial)
        context = TrialContext(
            data=data, teacher=teacher, test=test, device="cpu", precision=precision, threads=1, leg_s=leg_s
        )
        opens_test = test is not None if opens_test is None else opens_test
        config = config_of(tmp_path, number, attempt, export, **changes)
        trial.setup(config | {"curve": curve, "opens_test": opens_test}, context=context)
        return trial

    return begin


def test_a_trial_reports_at_every_rung_and_every_epoch_exactly_once(start: Start) -> None:
    legs = run_legs(start())
    assert [[record["epoch"] for record in leg["records"]] for leg in legs] == [[1, 2], [3], [4], [5]]
    assert [leg["done"] for leg in legs] == [False, False, False, True]
    assert all((leg["number"], leg["attempt"], leg["cause"]) == (7, 1, None) for leg in legs)
    evaluated = [record["epoch"] for leg in legs for record in leg["records"] if record["val"] is not None]
    assert evaluated == [2, 3, 4, 5]


def test_students_train_in_the_precision_of_the_study(start: Start) -> None:
    exact, rounded = (
        run_legs(start(precision=numbers, number=number)) for number, numbers in ((1, "float32"), (2, "bfloat16"))
    )
    ours, theirs = (legs[0]["records"][0]["losses"]["total"] for legs in (exact, rounded))
    assert ours != theirs
    assert ours == pytest.approx(theirs, rel=0.05)


def test_a_slow_trial_reports_after_every_epoch(start: Start) -> None:
    legs = run_legs(start(leg_s=0.0))
    assert [[record["epoch"] for record in leg["records"]] for leg in legs] == [[1], [2], [3], [4], [5]]


def test_a_leg_is_plain_data(start: Start) -> None:
    leg = start().step()
    assert json.loads(json.dumps(leg))["records"][0]["epoch"] == 1


def test_a_trial_trains_as_the_plain_trainer_does(start: Start, whole) -> None:
    assert outcomes_of(run_legs(start())) == whole


@pytest.mark.parametrize("n_legs", [1, 2, 3])
def test_a_restart_goes_on_from_the_checkpoint_and_ends_bitwise_as_if_undisturbed(start: Start, n_legs: int) -> None:
    undisturbed = start(number=1)
    whole = run_legs(undisturbed)
    killed = start(number=2)
    for _ in range(n_legs):
        killed.step()
    again = start(number=2, attempt=2)
    epochs_before = again._run._trainer.epoch
    legs = run_legs(again)
    assert epochs_before == n_legs + 1, "it must not begin anew"
    assert outcomes_of(legs) == outcomes_of(whole)
    assert _weights(again) == _weights(undisturbed)


def test_a_restart_reports_all_epochs_so_far_once_more(start: Start) -> None:
    start().step()
    legs = run_legs(start(attempt=2))
    assert [record["epoch"] for leg in legs for record in leg["records"]] == [1, 2, 3, 4, 5]
    assert [record["epoch"] for record in legs[0]["records"]] == [1, 2, 3]


def test_a_restart_takes_the_furthest_checkpoint_of_all_attempts(start: Start) -> None:
    first = start(attempt=1)
    second = start(attempt=2)  # a survivor and its successor, both at work
    first.step()
    first.step()
    second.step()
    assert start(attempt=3)._run._trainer.epoch == 3


def test_attempts_write_into_folders_of_their_own(start: Start, tmp_path: Path) -> None:
    start(attempt=1).step()
    start(attempt=2).step()
    assert {path.name for path in (tmp_path / "checkpoints" / "7").iterdir()} == {"1", "2"}


def test_a_trial_that_was_killed_after_its_last_epoch_only_reports(start: Start) -> None:
    whole = run_legs(start())
    (leg,) = run_legs(start(attempt=2))
    assert leg["done"]
    assert outcomes_of([leg]) == outcomes_of(whole)


@pytest.mark.parametrize("damage", ["no mark", "half a mark", "half the tensors", "a flipped byte", "empty mark"])
def test_a_damaged_checkpoint_is_passed_over(start: Start, whole, tmp_path: Path, damage: str) -> None:
    start(number=2, attempt=1).step()  # whole, epoch 2
    further = start(number=2, attempt=2)
    further.step()  # continues at epoch 2, saves epoch 3
    _damage(tmp_path / "checkpoints" / "2" / "2", damage)
    again = start(number=2, attempt=3)
    assert again._run._trainer.epoch == 2
    assert outcomes_of(run_legs(again)) == whole


def test_a_non_finite_loss_is_reported_with_its_term_and_not_raised(start: Start) -> None:
    legs = run_legs(start(lr=1e30))
    assert legs[-1]["done"]
    assert "non-finite loss: loss term '" in legs[-1]["cause"]
    assert "epoch" in legs[-1]["cause"]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"batch_size": 10_000}, "10000"),
        ({"student": "no_such_student"}, "no_such_student"),
        ({"kd_weight": 1.0}, "kd_weight"),
    ],
)
def test_a_configuration_no_trial_accepts_is_reported_with_its_cause(start: Start, changes, named: str) -> None:
    (leg,) = run_legs(start(**changes))
    assert (leg["records"], leg["done"]) == ([], True)
    assert leg["cause"].startswith("bad configuration: ")
    assert named in leg["cause"]


def test_a_checkpoint_of_another_configuration_is_a_cause_not_a_crash(start: Start) -> None:
    start(lr=0.05).step()
    (leg,) = run_legs(start(lr=0.06, attempt=2))
    assert "belongs to another trial" in leg["cause"]


def test_an_unforeseen_error_goes_up_to_ray_which_retries(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    trial = start()

    def broken(trainer: Trainer) -> None:
        raise MemoryError("no memory")

    monkeypatch.setattr(trial._run, "_run_epoch", broken)
    with pytest.raises(MemoryError):
        trial.step()


def test_a_reused_actor_begins_the_next_trial_from_nothing(start: Start, whole, tmp_path: Path) -> None:
    actor = start(number=2, lr=0.01)
    actor.step()
    assert actor.reset_config(config_of(tmp_path, 3, 1, None)) is True
    legs = run_legs(actor)
    assert all(leg["number"] == 3 for leg in legs)
    assert outcomes_of(legs) == whole


def test_a_fault_of_one_trial_does_not_stay_with_the_reused_actor(start: Start, tmp_path: Path) -> None:
    actor = start(number=2, student="no_such_student")
    assert actor.step()["cause"] is not None
    actor.reset_config(config_of(tmp_path, 3, 1, None))
    assert all(leg["cause"] is None for leg in run_legs(actor))


def test_a_reused_actor_builds_one_teacher_on_the_shared_weights(
    start: Start, data: TrialData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = []

    class Teacher(torch.nn.Module):
        def __init__(self, state: TeacherState, shared: Mapping[str, Any] | None) -> None:
            super().__init__()
            built.append((state, shared))

        def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return torch.zeros(len(images), 3), torch.zeros(len(images), 5)

    monkeypatch.setattr("trainables.cckd.teacher.forward.ForwardTeacher", Teacher)
    weights = {"conv": np.ones(1)}
    actor = start(number=2, teacher=weights)  # cached targets need no teacher
    actor.step()
    assert built == []
    for number in (3, 4):
        actor.reset_config(config_of(tmp_path, number, 1, None, mix_targets="forward"))
        assert actor.step()["cause"] is None
    ((state, shared),) = built
    assert state is data.teacher
    assert shared is weights


def test_a_search_trial_never_opens_the_test_set(start: Start) -> None:
    assert not any("test_correct" in leg for leg in run_legs(start()))


def test_a_run_that_may_not_read_the_test_set_of_its_workers_leaves_it_alone(start: Start) -> None:
    unread: Any = object()
    assert not any("test_correct" in leg for leg in run_legs(start(number="ablate", test=unread, opens_test=False)))


def test_a_confirmation_run_opens_the_test_set_once_at_its_end(start: Start, data: TrialData, tmp_path: Path) -> None:
    test = TestData(data.val_images[:12], data.val_labels[:12])
    trial = start(number="confirm-best1-1001", test=test, export="best1")
    legs = run_legs(trial)
    assert ["test_correct" in leg for leg in legs] == [False] * (len(legs) - 1) + [True]
    assert legs[-1]["test_seen"] == np.bincount(test.labels, minlength=3).tolist()
    pairs = {(true, given): n for true, given, n in legs[-1]["test_confusion"]}
    assert [pairs.get((c, c), 0) for c in range(3)] == legs[-1]["test_correct"]
    distances = [legs[-1][f"test_{name}"] for name in ("deviation", "intra", "inter")]
    assert [len(values) for values in distances] == [3, 3, 3]
    assert all(value is None or value >= 0 for values in distances for value in values)
    bins = [legs[-1][f"test_bin_{name}"] for name in ("n", "confidence", "correct")]
    assert [len(sums) for sums in bins] == [15] * 3
    assert (sum(bins[0]), sum(bins[2])) == (12, sum(legs[-1]["test_correct"]))
    flat = {key for key, value in legs[-1].items() if not isinstance(value, dict)}
    assert flat == set(legs[-1]), "Ray flattens a dictionary within a result: its key would be gone"
    assert [sum(n for (true, _), n in pairs.items() if true == c) for c in range(3)] == legs[-1]["test_seen"]

    exported = tmp_path / "checkpoints" / "confirm-best1-1001" / "model"
    student = load_model(exported, "best1")
    written = json.loads((exported / "best1.json").read_text())
    assert written["test"] == {"correct": legs[-1]["test_correct"], "seen": legs[-1]["test_seen"]}
    assert _correct(student, written, test) == legs[-1]["test_correct"]
    assert sum(bins[1]) == pytest.approx(_confidence(student, written, test), rel=1e-5)


def test_a_run_with_a_curve_is_evaluated_at_every_one_of_a_few_epochs_and_ends_as_without(start: Start, data) -> None:
    test = TestData(data.val_images, data.val_labels)
    plain, curved = start(number="plain", test=test), start(number="curved", test=test, curve=True)
    ends = [run_legs(trial)[-1] for trial in (plain, curved)]
    assert [_evaluated(end["epochs"]) for end in ends] == [[2, 3, 4, 5], [1, 2, 3, 4, 5]]
    assert _weights(plain) == _weights(curved)
    assert ends[0]["test_correct"] == ends[1]["test_correct"]


def test_a_run_that_goes_on_ends_with_the_epochs_of_all_attempts(start: Start, data: TrialData) -> None:
    test = TestData(data.val_images, data.val_labels)
    whole = run_legs(start(number="whole", test=test, curve=True))[-1]
    start(number="cut", test=test, curve=True).step()
    again = run_legs(start(number="cut", attempt=2, test=test, curve=True))[-1]
    assert [outcome_of(record) for record in again["epochs"]] == [outcome_of(record) for record in whole["epochs"]]


def test_a_confirmation_run_exports_nothing_where_it_was_not_asked(start: Start, data, tmp_path: Path) -> None:
    run_legs(start(test=TestData(data.val_images, data.val_labels)))
    assert not list(tmp_path.rglob("model"))


def _evaluated(records: list[dict[str, Any]]) -> list[int]:
    return [record["epoch"] for record in records if record["val"] is not None]


def _weights(trial: CckdTrial) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in trial._run._trainer.student.state_dict().items()}


def _correct(student: Any, description: Mapping[str, Any], test: TestData) -> list[int]:
    predicted = _logits(student, description, test).argmax(1)
    return np.bincount(test.labels[predicted == test.labels], minlength=3).tolist()


def _confidence(student: Any, description: Mapping[str, Any], test: TestData) -> float:
    """Sum over images of the largest softmax probability."""
    exponentials = np.exp(_logits(student, description, test).astype(np.float64))
    return float((exponentials.max(1) / exponentials.sum(1)).sum())


def _logits(student: Any, description: Mapping[str, Any], test: TestData) -> np.ndarray:
    mean, std = (np.array(description[key])[:, None, None] for key in ("pixel_mean", "pixel_std"))
    pixels = torch.from_numpy(((test.images / 255 - mean) / std).astype(np.float32))
    with torch.no_grad():
        return student(pixels.to(memory_format=torch.channels_last))[0].numpy()


def _damage(folder: Path, damage: str) -> None:
    mark, (tensors,) = folder / "checkpoint.json", folder.glob("tensors-*")
    if damage == "no mark":
        mark.unlink()
    elif damage == "empty mark":
        mark.write_bytes(b"")
    elif damage == "half a mark":
        mark.write_bytes(mark.read_bytes()[: mark.stat().st_size // 2])
    elif damage == "half the tensors":
        tensors.write_bytes(tensors.read_bytes()[: tensors.stat().st_size // 2])
    else:
        content = bytearray(tensors.read_bytes())
        content[len(content) // 2] ^= 1
        tensors.write_bytes(bytes(content))
