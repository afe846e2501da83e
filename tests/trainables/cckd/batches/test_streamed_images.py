import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.damaged_images import flipped
from trainables.cckd.batches.streamed_images import evaluation_batches
from trainables.cckd.bundle.trial_data import TrialData
from trainables.cckd.config import TrialConfig
from trainables.cckd.data.images.crops import centre_views
from trainables.cckd.data.images.decode import read_views
from trainables.cckd.data.images.image_files import ImageFiles
from trainables.cckd.data.images.view_stream import hold
from trainables.cckd.errors import DamagedImageError, DataError
from trainables.cckd.training.trainer import Trainer

CPU = torch.device("cpu")


def _config(**settings: object) -> TrialConfig:
    flat = {"method": "acckd", "epochs": 4, "batch_size": 8, "lr": 0.05, "mix_op": "cutmix", **settings}
    return TrialConfig.build({key: value for key, value in flat.items() if value is not None})


def _weights(trainer: Trainer) -> list[np.ndarray]:
    return [tensor.numpy() for tensor in trainer.student.state_dict().values()]


WITHOUT_TEACHER = {"method": "la", "mix_op": None}


@pytest.mark.parametrize("flat", [{"mix_op": "mixup"}, {"mix_op": "cutmix"}, WITHOUT_TEACHER])
def test_files_memory_and_workers_give_the_same_weights(file_data: TrialData, flat: dict[str, object]) -> None:
    held = replace(
        file_data,
        train_images=hold(file_data.train_images, workers=1),
        val_images=hold(file_data.val_images, workers=1),
    )
    trainers = [
        Trainer(_config(**flat, epochs=2), data, threads=1, decoders=decoders)
        for data, decoders in ((file_data, 0), (file_data, 2), (held, 1))
    ]
    records = [[(r.losses, r.val) for r in trainer] for trainer in trainers]
    assert records[0] == records[1] == records[2]
    for weights in map(_weights, trainers[1:]):
        for found, expected in zip(weights, _weights(trainers[0]), strict=True):
            np.testing.assert_array_equal(found, expected)


def test_streamed_pixels_equal_an_array_of_the_same_views(file_data: TrialData) -> None:
    # One view an image, so that the views can be cut out beforehand and trained on as an array.
    files = replace(
        file_data,
        views=file_data.views[:, :1],
        teacher_features=file_data.teacher_features[:, :1],
    )
    still = np.zeros_like(files.views)
    still[..., 2:4] = 16
    array = replace(
        files,
        train_images=np.ascontiguousarray(read_views(files.train_images, np.arange(42), files.views[:, 0], 16)),
        val_images=np.ascontiguousarray(
            read_views(files.val_images, np.arange(6), centre_views(files.val_images.sizes), 16)
        ),
        views=still,
        size=None,
    )
    streamed, resident = (list(Trainer(_config(), data, threads=1, decoders=0)) for data in (files, array))
    assert [record.losses for record in streamed] == [record.losses for record in resident]
    assert [record.val for record in streamed] == [record.val for record in resident]


@pytest.mark.parametrize("flat", [{}, WITHOUT_TEACHER])
def test_a_streamed_trial_continues_bitwise_from_its_checkpoint(
    file_data: TrialData, tmp_path: Path, flat: dict[str, object]
) -> None:
    whole = Trainer(_config(**flat), file_data, threads=1, decoders=1)
    list(whole)
    first = Trainer(_config(**flat), file_data, threads=1, decoders=1)
    first.run_epoch()
    first.save(tmp_path)
    again = Trainer.load(tmp_path, file_data, threads=1, decoders=0)
    list(again)
    for found, expected in zip(_weights(again), _weights(whole), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_evaluation_sees_every_image_once_whatever_the_batch(
    image_files: ImageFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = read_views(image_files, np.arange(42), centre_views(image_files.sizes), 16)
    for most in (5, 42, 500):
        monkeypatch.setattr("trainables.cckd.batches.streamed_images.EVAL_BATCH", most)
        for images in (image_files, np.ascontiguousarray(expected)):
            batches = list(evaluation_batches(images, image_shape=(3, 16, 16), device=CPU, workers=0))
            assert max(map(len, batches)) <= most
            np.testing.assert_array_equal(torch.cat(batches).numpy(), expected)


def test_large_images_are_evaluated_in_small_batches(image_files: ImageFiles) -> None:
    batches = evaluation_batches(image_files, image_shape=(3, 512, 512), device=CPU, workers=0)
    assert len(next(batches)) == 8


def test_a_bundle_of_files_is_small_and_survives_pickling(file_data: TrialData) -> None:
    blob = pickle.dumps(file_data)
    assert len(blob) < 20_000
    again = pickle.loads(blob)
    assert again.image_shape == (3, 16, 16)
    assert again.train_images.paths == file_data.train_images.paths


def test_a_source_needs_the_students_size(file_data: TrialData) -> None:
    with pytest.raises(DataError, match="size must be given where images come from a source"):
        replace(file_data, size=None)


def test_resnet18_trains_from_files_at_224_pixels(file_data: TrialData) -> None:
    config = _config(student="resnet18", epochs=1, batch_size=2)
    trainer = Trainer(config, replace(file_data, size=224), threads=1, decoders=1)
    assert not trainer.student.small_stem
    batch = next(iter(trainer.batches.epoch(1)))
    assert batch.images.shape == (4, 3, 224, 224)
    assert torch.isfinite(trainer.learner.step(batch, 0.01)).all()


@pytest.mark.parametrize("decoders", [0, 1])
def test_a_file_that_is_damaged_between_two_epochs_is_named(
    file_data: TrialData, tmp_path: Path, decoders: int
) -> None:
    files = file_data.train_images
    assert isinstance(files, ImageFiles)
    for path in files.paths:
        (tmp_path / path).write_bytes((files.root / path).read_bytes())
    data = replace(file_data, train_images=replace(files, root=tmp_path))
    trainer = Trainer(_config(batch_size=6), data, threads=1, decoders=decoders)
    trainer.run_epoch()
    content = (tmp_path / files.paths[0]).read_bytes()
    (tmp_path / files.paths[0]).write_bytes(flipped(content, len(content) // 2))
    with pytest.raises(DamagedImageError, match=r"0\.png cannot be read as an image: damaged: a checksum is wrong"):
        trainer.run_epoch()
