"""The embedded backbone: the right weights in the right places, frozen, fed as it was trained."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from trainables.cckd.data.images.views import apply_views, draw_views
from trainables.cckd.errors import TeacherError
from trainables.cckd.teacher.backbone import Backbone, build_backbone, measure
from trainables.cckd.teacher.features import extract
from trainables.cckd.teacher.spec import TeacherSpec, check_teacher
from trainables.cckd.teacher.teacher_file import TeacherFile


def _images(n: int = 5, *, channels: int = 1, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, channels, 8, 8), dtype=np.uint8)


class _Pixels(nn.Module):
    """Stands in for a timm network: its features are the pixels it was shown."""

    num_features = 3 * 4 * 4
    pretrained_cfg = {"mean": (0.5, 0.25, 0.0), "std": (0.5, 0.5, 2.0)}  # noqa: RUF012

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1)


def test_every_tensor_of_the_file_is_in_its_place(backbone: Backbone, teacher_file: TeacherFile) -> None:
    stored = list(torch.load(teacher_file.path, weights_only=True).items())
    state = backbone.network.state_dict()
    assert len(state) == 294  # the file's 296 without the classifier's two
    assert torch.equal(state["conv_stem.weight"], stored[0][1])
    assert all(torch.equal(ours, theirs) for ours, (_, theirs) in zip(state.values(), stored, strict=False))


def test_the_files_names_and_timms_agree_in_kind(backbone: Backbone, teacher_file: TeacherFile) -> None:
    # Four tensors of a batch norm share one shape: only their names tell a gain from a variance.
    stored = torch.load(teacher_file.path, weights_only=True)
    kinds = [[name.rsplit(".", 1)[1] for name in names] for names in (backbone.network.state_dict(), stored)]
    assert kinds[0] == kinds[1][:294]


def test_a_file_of_other_tensors_is_refused(teacher_file: TeacherFile, tmp_path: Path) -> None:
    tensors = torch.load(teacher_file.path, weights_only=True)
    first = next(iter(tensors))
    torch.save({**tensors, first: torch.zeros(32, 3, 5, 5)}, tmp_path / "shape.pth")
    torch.save({key: value for key, value in tensors.items() if key != first}, tmp_path / "count.pth")
    with pytest.raises(TeacherError, match=r"conv_stem.weight must have shape \(32, 3, 3, 3\); got \(32, 3, 5, 5\)"):
        build_backbone(replace(teacher_file, path=tmp_path / "shape.pth"), size=32)
    with pytest.raises(TeacherError, match="296 tensors each; got 295 in the file"):
        build_backbone(replace(teacher_file, path=tmp_path / "count.pth"), size=32)


def test_building_it_draws_nothing_from_the_global_generator(teacher_file: TeacherFile) -> None:
    before = torch.get_rng_state()
    build_backbone(teacher_file, size=32)
    assert torch.equal(torch.get_rng_state(), before)


def test_it_is_frozen_and_stays_in_eval_mode_inside_a_training_parent(backbone: Backbone) -> None:
    nn.Sequential(backbone).train()
    assert not any(module.training for module in backbone.modules())
    assert not any(parameter.requires_grad for parameter in backbone.parameters())
    images = torch.rand(2, 1, 8, 8, requires_grad=True)
    assert not backbone(images * 255).requires_grad


def test_grey_images_fill_three_channels_normalised_as_the_network_was_trained() -> None:
    grey = torch.full((1, 1, 4, 4), 255.0)
    seen = Backbone(_Pixels(), size=4)(grey).view(3, 16)
    np.testing.assert_allclose(seen.numpy(), np.repeat([[1.0], [1.5], [0.5]], 16, axis=1))


def test_grey_and_the_same_in_colour_give_the_same_features(backbone: Backbone) -> None:
    grey = torch.from_numpy(_images())
    torch.testing.assert_close(backbone(grey), backbone(grey.expand(-1, 3, -1, -1)))


@pytest.mark.parametrize("side", [2, 8])
def test_a_flat_image_stays_flat_when_resized(side: int) -> None:
    seen = Backbone(_Pixels(), size=4)(torch.full((1, 3, side, side), 51.0)).view(3, 16)
    np.testing.assert_allclose(seen.numpy(), np.repeat([[-0.6], [-0.1], [0.1]], 16, axis=1), rtol=1e-5)


def test_other_channel_counts_are_refused(backbone: Backbone) -> None:
    with pytest.raises(TeacherError, match="1 or 3 channels; got 4"):
        backbone(torch.zeros(1, 4, 8, 8))


def test_each_view_passes_exactly_once_and_lands_in_its_own_row(backbone: Backbone) -> None:
    images = _images(5)
    views = draw_views(5, 3, padding=2, flip=True, height=8, width=8, seed=1)
    before = backbone.n_images_seen
    features = extract(backbone, images, views, batch_size=4)
    assert backbone.n_images_seen - before == 15
    assert (features.shape, features.dtype) == ((5, 3, 1280), np.float16)
    for view in range(3):
        alone = extract(backbone, apply_views(images, views[:, view]))
        np.testing.assert_allclose(features[:, view].astype(float), alone.astype(float), atol=2e-3, rtol=2e-3)


def test_extract_reads_arrays_that_are_lent_read_only(backbone: Backbone) -> None:
    images = _images(3)
    images.flags.writeable = False
    assert extract(backbone, images).shape == (3, 1280)


@pytest.mark.parametrize(
    ("name", "size", "why"),
    [
        ("inception_v3", 64, "Calculated padded input size per channel: (2 x 2). Kernel size: (3 x 3)"),
        ("efficientformer_l1", 40, "The size of tensor a (4) must match the size of tensor b (49)"),
        ("xcit_nano_12_p8_224", 36, "`patch_size` should divide image dimensions evenly"),
    ],
)
def test_a_size_that_the_model_does_not_take_is_one_fault(tmp_path: Path, name: str, size: int, why: str) -> None:
    save_file(timm.create_model(name).state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(TeacherError) as caught:
        check_teacher(TeacherSpec(name=name, weights=str(tmp_path / "w.safetensors"), size=size))
    (fault,) = caught.value.faults
    assert fault.startswith(f"teacher {name} does not take images of {size} pixels: {why}")
    assert "\n" not in fault


@pytest.mark.parametrize("error", [RuntimeError("a\nb"), AssertionError(), ValueError("a")])
def test_each_way_in_which_a_model_refuses_a_size_is_one_fault(
    teacher_file: TeacherFile, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr(Backbone, "forward", refuse)
    why = "AssertionError" if isinstance(error, AssertionError) else "a"
    with pytest.raises(TeacherError, match=f"^teacher tf_efficientnet_lite0 does not take images of 32 pixels: {why}$"):
        measure(teacher_file, size=32)
