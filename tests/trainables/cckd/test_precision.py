"""bfloat16 is chosen where the hardware multiplies it, and a student trained in it stays what a trainer promises."""

from pathlib import Path

import numpy as np
import pytest
import torch

from trainables.cckd import precision
from trainables.cckd.bundle.trial_data import TrialData
from trainables.cckd.config import TrialConfig
from trainables.cckd.methods import METHODS
from trainables.cckd.precision import default_precision, fastest_precision
from trainables.cckd.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("one_thread")


def _config(method: str = "acckd") -> TrialConfig:
    return TrialConfig.build({"method": method, "epochs": 4, "batch_size": 16, "lr": 0.05, "seed": 3})


INTEL, ZEN_4, ZEN_5 = ("GenuineIntel", 6), ("AuthenticAMD", 25), ("AuthenticAMD", 26)


@pytest.mark.parametrize(
    ("processor", "flags", "expected"),
    [
        (INTEL, "fpu avx512_bf16 amx_bf16 avx512_fp16 amx_tile amx_int8", "bfloat16"),
        (INTEL, "fpu avx512_bf16", "float32"),
        (INTEL, "fpu amx_tile amx_int8", "float32"),
        (ZEN_5, "fpu avx512_bf16", "bfloat16"),
        (ZEN_5, "fpu avx512f", "float32"),
        (ZEN_4, "fpu avx512_bf16", "float32"),
    ],
)
def test_a_processor_is_asked_how_it_multiplies(
    processor: tuple[str, int], flags: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vendor, family = processor
    one = f"vendor_id\t: {vendor}\ncpu family\t: {family}\nvmx flags\t: amx_bf16 amx_tile\nflags\t\t: {flags}"
    info = tmp_path / "cpuinfo"
    info.write_text("".join(f"processor\t: {number}\n{one}\n\n" for number in range(2)))
    monkeypatch.setattr(precision, "_CPU_INFO", info)
    assert fastest_precision("cpu") == expected
    assert fastest_precision("cuda") == "bfloat16"


def test_a_machine_that_tells_nothing_of_its_processor_trains_in_float32(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(precision, "_CPU_INFO", tmp_path / "cpuinfo")
    assert fastest_precision("cpu") == "float32"
    (tmp_path / "cpuinfo").write_text("Processor\t: ARMv8\n")
    assert fastest_precision("cpu") == "float32"


def test_a_trainer_that_is_not_told_does_not_ask_the_processor(trial_data: TrialData) -> None:
    assert (default_precision("cpu"), default_precision("cuda")) == ("float32", "bfloat16")
    assert Trainer(_config(), trial_data).precision == "float32"


@pytest.mark.parametrize("method", METHODS)
def test_the_first_losses_are_those_of_float32_to_the_rounding_of_bfloat16(trial_data: TrialData, method: str) -> None:
    exact, rounded = (
        Trainer(_config(method), trial_data, precision=numbers).run_epoch().losses
        for numbers in ("float32", "bfloat16")
    )
    assert rounded != exact
    assert rounded == pytest.approx(exact, rel=0.05, abs=0.01)


def test_passes_of_training_and_validation_are_rounded_and_nothing_else(trial_data: TrialData) -> None:
    trainer = Trainer(_config(), trial_data, precision="bfloat16")
    seen = []
    trainer.student.net.fc.register_forward_hook(lambda _, __, logits: seen.append(logits.dtype))
    trainer.run_epoch()
    trainer.evaluate(trial_data.val_images, trial_data.val_labels)
    assert set(seen) == {torch.bfloat16}
    seen.clear()
    floats = [tensor for tensor in trainer.learner.tensors().values() if tensor.is_floating_point()]
    assert {tensor.dtype for tensor in floats} == {torch.float32}
    moments = trainer.judge(trial_data.val_images, trial_data.val_labels).moments
    assert set(seen) == {torch.float32}, "what is exported is judged as it will be used"
    assert np.isfinite(moments.mean).all()


def test_a_continued_trial_is_bitwise_the_uninterrupted_one_in_bfloat16_too(
    trial_data: TrialData, tmp_path: Path
) -> None:
    whole = Trainer(_config(), trial_data, precision="bfloat16")
    for _ in range(2):
        whole.run_epoch()
    whole.save(tmp_path / "checkpoint")
    records = list(whole)
    again = Trainer.load(tmp_path / "checkpoint", trial_data, precision="bfloat16")
    assert [record.losses for record in again] == [record.losses for record in records]
    for name, tensor in whole.learner.tensors().items():
        torch.testing.assert_close(again.learner.tensors()[name], tensor, rtol=0, atol=0, msg=name)
