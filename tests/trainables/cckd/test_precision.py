"""bfloat16 is chosen where it is faster, and a student trained in it stays what a trainer promises."""

from math import nan
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainables.cckd.bundle.trial_data import TrialData
from trainables.cckd.config import TrialConfig
from trainables.cckd.methods import METHODS
from trainables.cckd.precision import LEAST_GAIN, StepShape, default_precision, faster_precision
from trainables.cckd.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("one_thread")


def _config(method: str = "acckd") -> TrialConfig:
    return TrialConfig.build({"method": method, "epochs": 4, "batch_size": 16, "lr": 0.05, "seed": 3})


_GAINS = st.floats(0.01, 100)


@given(st.lists(_GAINS, min_size=1), _GAINS)
def test_bfloat16_is_chosen_where_every_machine_gains_a_tenth_by_it(gains: list[float], more: float) -> None:
    chosen = faster_precision(gains)
    assert LEAST_GAIN == 1.1
    assert (chosen == "bfloat16") == (min(gains) >= LEAST_GAIN)
    assert faster_precision(gains[::-1]) == chosen, "their order says nothing"
    assert faster_precision([gain + more for gain in gains]) in {chosen, "bfloat16"}, "a larger gain takes nothing back"
    assert faster_precision([*gains, more]) in {chosen, "float32"}, "a further machine can only forbid it"


@given(st.integers(2, 512), st.integers(0, 512), st.data())
def test_fewer_samples_have_the_proportion_of_a_step_and_some_of_each_set(n_plain: int, n_mixed: int, data) -> None:
    shape = StepShape("resnet8_cifar", 10, 1, 28, n_plain, n_mixed, "separate")
    assert shape.split(n_plain + n_mixed, 2) == (n_plain, n_mixed)
    least = 2, min(2, n_mixed)
    n = data.draw(st.integers(sum(least), n_plain + n_mixed))
    plain, mixed = shape.split(n, 2)
    assert plain + mixed == n
    assert least[0] <= plain <= n_plain
    assert least[1] <= mixed <= n_mixed
    assert mixed in least or plain in least or abs(mixed - n * n_mixed / (n_plain + n_mixed)) <= 0.5


@pytest.mark.parametrize("gains", [[], [nan], [2.0, nan]])
def test_without_a_gain_of_every_machine_it_is_float32(gains: list[float]) -> None:
    assert faster_precision(gains) == "float32"


def test_a_trainer_that_is_not_told_times_nothing(trial_data: TrialData) -> None:
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
    seen, answered = [], []
    trainer.student.net.blocks.register_forward_hook(lambda _, __, maps: seen.append(maps.dtype))
    trainer.student.net.fc.register_forward_hook(lambda _, __, logits: answered.append(logits.dtype))
    trainer.run_epoch()
    assert answered[0] == torch.bfloat16
    answered.clear()
    trainer.evaluate(trial_data.val_images, trial_data.val_labels)
    assert set(seen) == {torch.bfloat16}
    assert set(answered) == {torch.float32}, "equal logits would favour the first class"
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
