"""Features that stay in their file: read as if they were in memory, and never sent."""

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from trainables.cckd.batches.teacher_targets import gather, resident_features
from trainables.cckd.bundle import assemble as module
from trainables.cckd.bundle.mapped_features import FileArray, RawFeatures
from trainables.cckd.bundle.trial_data import TrialData
from trainables.cckd.config import TrialConfig
from trainables.cckd.errors import DataError
from trainables.cckd.teacher.fit.row_blocks import feature_statistics
from trainables.cckd.teacher.readout import Readout
from trainables.cckd.training.trainer import Trainer

CPU = torch.device("cpu")


@pytest.fixture
def raw(tmp_path: Path) -> NDArray[np.float16]:
    """Raw features of the 42 images in 3 views, 5 wide, behind a header in a file."""
    features = np.random.default_rng(0).normal(5, 3, (42, 3, 5)).astype(np.float16)
    (tmp_path / "features").write_bytes(b"header.." + features.tobytes())
    return np.memmap(tmp_path / "features", np.float16, "r", offset=8, shape=features.shape)


def _kept(raw: NDArray[np.float16], *, one_machine: bool = True) -> NDArray[np.float16] | RawFeatures:
    mean, std = feature_statistics(raw)
    readout = Readout(
        weight=np.zeros((3, 5), np.float32), bias=np.zeros(3, np.float32), feature_mean=mean, feature_std=std
    )
    return module._teacher_features(readout, raw, one_machine=one_machine)


def _standard(raw: NDArray[np.float16]) -> NDArray[np.float64]:
    wide = raw.astype(np.float64)
    return (wide - wide.mean((0, 1))) / wide.std((0, 1))


def test_few_features_are_standardised_in_memory(raw: NDArray[np.float16]) -> None:
    kept = _kept(raw)
    assert isinstance(kept, np.ndarray)
    assert kept.dtype == np.float16
    np.testing.assert_allclose(kept.astype(float), _standard(raw), atol=2e-3)


@pytest.mark.parametrize("one_machine", [True, False])
def test_many_features_stay_raw_and_are_standardised_as_they_are_read(
    raw: NDArray[np.float16], one_machine: bool, trial_data: TrialData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "IN_MEMORY_BYTES", raw.nbytes - 1)
    kept = _kept(raw, one_machine=one_machine)
    assert isinstance(kept, RawFeatures)
    assert isinstance(kept.values, FileArray) == one_machine
    data = pickle.loads(pickle.dumps(replace(trial_data, teacher_features=kept)))
    images, views = np.array([3, 0, 41]), np.array([1, 0, 2])
    found = gather(resident_features(data, CPU), torch.from_numpy(3 * images + views))
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), _standard(raw)[images, views], atol=1e-5)


def test_a_file_crosses_as_its_name_alone() -> None:
    array = FileArray(Path("/cache/features.safetensors"), 80, (437_513, 8, 1280), "<f2")
    assert len(pickle.dumps(array)) < 300
    assert pickle.loads(pickle.dumps(array)) == array


def test_a_trial_learns_the_same_from_mapped_features(
    raw: NDArray[np.float16], make_trial_data: Callable[..., TrialData], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = TrialConfig.build({"method": "acckd", "epochs": 2, "batch_size": 16, "lr": 0.05})
    in_memory = replace(make_trial_data(), teacher_features=_kept(raw))
    monkeypatch.setattr(module, "IN_MEMORY_BYTES", 0)
    mapped = replace(in_memory, teacher_features=_kept(raw))
    first, second = (list(Trainer(config, data, threads=1)) for data in (in_memory, mapped))
    for one, other in zip(first, second, strict=True):
        assert one.losses == pytest.approx(other.losses, rel=2e-3)  # half precision rounds the standardised ones
        assert one.losses["imitation"] != 0


def test_mapped_features_must_fit_the_images(raw: NDArray[np.float16], trial_data: TrialData) -> None:
    kept = RawFeatures(raw[:-1], np.zeros(5, np.float32), np.ones(5, np.float32))
    with pytest.raises(DataError, match=r"teacher_features must have shape \(42, 3, D\); got \(41, 3, 5\)"):
        replace(trial_data, teacher_features=kept)
