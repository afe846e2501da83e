"""What training on a GPU must have in common with training on the CPU, and what its host must not wait for."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from trainables.cckd.bundle.trial_data import TrialData
from trainables.cckd.concurrent.side_by_side import SideBySide
from trainables.cckd.config import TrialConfig
from trainables.cckd.methods import METHODS
from trainables.cckd.records import EpochRecord
from trainables.cckd.students.build import StudentNet
from trainables.cckd.teacher.fit.gpu_regression import GpuRegression
from trainables.cckd.teacher.fit.row_blocks import StandardRows
from trainables.cckd.teacher.fit.softmax_regression import Affine, SoftmaxRegression
from trainables.cckd.training import cuda_graph
from trainables.cckd.training.trainer import Trainer

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

#: float32 on both sides, but convolutions sum in another order.
CLOSE = 2e-3

_Exact = partial(Trainer, precision="float32")


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch, smooth: None) -> None:
    """All of float32's digits, and smooth activations: at a ReLU's kink two equal runs part."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)


def _config(method: str, *, seed: int = 3, epochs: int = 5) -> TrialConfig:
    return TrialConfig.build({"method": method, "epochs": epochs, "batch_size": 16, "seed": seed, "lr": 0.02})


def _assert_close(ours: Trainer, theirs: Trainer, *, within: float) -> None:
    expected = theirs.learner.tensors()
    for name, tensor in ours.learner.tensors().items():
        wanted = expected[name].cpu().numpy()
        np.testing.assert_allclose(tensor.cpu().numpy(), wanted, rtol=0, atol=within, err_msg=name)


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("method", METHODS)
def test_ten_steps_on_a_gpu_are_those_on_the_cpu(trial_data: TrialData, method: str) -> None:
    on_cpu, on_gpu = (_Exact(_config(method), trial_data, device=device) for device in ("cpu", "cuda"))
    for ours, theirs in zip(on_gpu, on_cpu, strict=True):
        assert ours.losses == pytest.approx(theirs.losses, rel=CLOSE, abs=CLOSE)
    _assert_close(on_gpu, on_cpu, within=CLOSE)


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("method", ["la", "acckd"])
def test_replayed_steps_are_those_taken_as_they_are(
    trial_data: TrialData, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    replayed = _Exact(_config(method), trial_data, device="cuda")
    list(replayed)
    assert replayed.learner.recorded is not None
    assert replayed.learner.recorded._recording is not None
    monkeypatch.setattr(cuda_graph, "WARM_UP_STEPS", 1000)
    plain = _Exact(_config(method), trial_data, device="cuda")
    list(plain)
    assert plain.learner.recorded is not None
    assert plain.learner.recorded._recording is None
    _assert_close(replayed, plain, within=1e-5)


def test_the_host_waits_for_the_gpu_once_an_epoch(trial_data: TrialData) -> None:
    trainer = Trainer(_config("acckd", epochs=20), trial_data, device="cuda")
    for _ in range(3):
        trainer.run_epoch()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for batch, rate in zip(trainer.batches.epoch(4), trainer.rates(), strict=True):
            trainer.learner.step(batch, rate)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.usefixtures("exact")
def test_a_checkpoint_of_a_gpu_is_continued_there_and_on_the_cpu(trial_data: TrialData, tmp_path: Path) -> None:
    config = _config("acckd", epochs=6)
    whole = _Exact(config, trial_data, device="cuda")
    for _ in range(3):
        whole.run_epoch()
    whole.save(tmp_path)
    list(whole)
    for device, within in (("cuda", 1e-5), ("cpu", CLOSE)):
        continued = Trainer.load(tmp_path, trial_data, device=device, precision="float32")
        assert continued.epoch == 3
        list(continued)
        _assert_close(continued, whole, within=within)


@pytest.mark.usefixtures("exact")
def test_trials_side_by_side_are_solo_ones(trial_data: TrialData) -> None:
    configs = [_config(method, seed=seed, epochs=10) for method, seed in (("la", 3), ("acckd", 4), ("acckd", 5))]
    together, solo = ([_Exact(config, trial_data, device="cuda") for config in configs] for _ in range(2))
    device = SideBySide()
    for _ in range(10):
        assert all(isinstance(outcome, EpochRecord) for outcome in device.run_epochs(together))
    for ours, theirs in zip(together, solo, strict=True):
        list(theirs)
        _assert_close(ours, theirs, within=1e-4)
        assert [record.val for record in ours.records] == [record.val for record in theirs.records]


def test_a_step_that_waits_for_the_gpu_goes_on_as_it_is(trial_data: TrialData, monkeypatch: pytest.MonkeyPatch) -> None:
    forward: Callable[..., tuple[Tensor, Tensor]] = StudentNet.forward

    def curious(student: StudentNet, images: Tensor) -> tuple[Tensor, Tensor]:
        logits, features = forward(student, images)
        assert logits.sum().item() is not None
        return logits, features

    monkeypatch.setattr(StudentNet, "forward", curious)
    trainer = Trainer(_config("la"), trial_data, device="cuda")
    with pytest.warns(UserWarning, match="kernel by kernel"):
        list(trainer)
    assert trainer.done


def test_bfloat16_learns_what_float32_learns(trial_data: TrialData) -> None:
    trainer = Trainer(_config("acckd", epochs=30), trial_data, device="cuda")
    records = list(trainer)
    assert records[-1].losses["total"] < records[0].losses["total"]
    assert records[-1].val is not None
    assert sum(records[-1].val.correct) >= 24  # of 30


@pytest.mark.parametrize("in_expectation", [False, True])
def test_the_passes_of_a_probe_on_a_gpu_are_those_on_the_cpu(in_expectation: bool) -> None:
    rng = np.random.default_rng(0)
    labels, features = np.repeat(np.arange(20), 30), rng.normal(size=(600, 1, 64)).astype(np.float16)
    root = rng.normal(size=(64, 64)).astype(np.float32) / 20
    rows = StandardRows(features, np.zeros(64, np.float32), np.ones(64, np.float32), n_classes=20)
    asked = rows, labels, 20, 1.0, root @ root.T if in_expectation else None
    point = Affine(rng.normal(size=(20, 64)).astype(np.float32), np.zeros(20, np.float32))
    on_gpu, on_cpu = GpuRegression(*asked), SoftmaxRegression(*asked)
    for ours, theirs in zip(on_gpu.loss_and_gradient(point), on_cpu.loss_and_gradient(point), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(on_gpu.predict(rows, point), on_cpu.predict(rows, point))
