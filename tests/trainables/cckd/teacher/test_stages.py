"""Features from intermediate stages: which maps are read, and that they are the means of what the network computes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from trainables.cckd.errors import TeacherError
from trainables.cckd.teacher import backbone as module
from trainables.cckd.teacher.backbone import Backbone, build_backbone
from trainables.cckd.teacher.features import extract
from trainables.cckd.teacher.fit.probe import fit_probe
from trainables.cckd.teacher.forward import ForwardTeacher
from trainables.cckd.teacher.spec import FEATURES, TeacherSpec, check_teacher
from trainables.cckd.teacher.stages import stage_indices, stage_width
from trainables.cckd.teacher.teacher_file import TeacherFile

IMAGES = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 3, 16, 16), dtype=np.uint8))


def _network(name: str, **options: object) -> torch.nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return timm.create_model(name, num_classes=0, **options).eval()


def _seen(backbone: Backbone, *modules: str) -> list[np.ndarray]:
    """The outputs of modules of the network for IMAGES, float64."""
    found: dict[str, np.ndarray] = {}
    hooks = [
        backbone.network.get_submodule(name).register_forward_hook(
            lambda _, __, output, name=name: found.update({name: output.double().numpy()})
        )
        for name in modules
    ]
    backbone(IMAGES)
    for hook in hooks:
        hook.remove()
    return [found[name] for name in modules]


def test_stages_are_the_means_over_all_places_of_the_maps_of_every_resolution(teacher_file: TeacherFile) -> None:
    backbone = build_backbone(replace(teacher_file, features="stages"), size=64)
    maps = _seen(backbone, "blocks.0", "blocks.1", "blocks.2", "blocks.4", "blocks.6")
    assert [of.shape[2] for of in maps] == [32, 16, 8, 4, 2]
    expected = np.concatenate([of.mean(axis=(2, 3)) for of in maps], axis=1)
    np.testing.assert_allclose(backbone(IMAGES).numpy(), expected, rtol=1e-5, atol=1e-5)
    assert backbone.n_features == expected.shape[1] == 512


def test_final_features_are_the_networks_own_to_the_last_bit_and_both_begin_with_them(
    teacher_file: TeacherFile,
) -> None:
    final, stages, both = (build_backbone(replace(teacher_file, features=kind), size=32)(IMAGES) for kind in FEATURES)
    assert torch.equal(build_backbone(teacher_file, size=32)(IMAGES), final)
    assert torch.equal(both, torch.cat([final, stages], dim=1))


@pytest.mark.parametrize("kind", FEATURES)
def test_the_embedded_teachers_widths_are_known_without_torch(kind: str) -> None:
    file = check_teacher(TeacherSpec(features=kind))
    assert (file.features, file.n_features) == (kind, build_backbone(file, size=32)(IMAGES).shape[1])


@pytest.mark.parametrize(
    ("name", "indices", "width"),
    [
        ("vit_tiny_patch16_224", (2, 5, 8, 11), 4 * 192),
        ("test_vit", (0, 2, 3, 5), 4 * 64),
        ("resnet18", (0, 1, 2, 3, 4), 64 + 64 + 128 + 256 + 512),
        ("convnext_atto", (0, 1, 2, 3), 40 + 80 + 160 + 320),
    ],
)
def test_blocks_of_one_resolution_are_read_at_equal_distances_up_to_the_last(
    name: str, indices: tuple[int, ...], width: int
) -> None:
    network = _network(name)
    assert stage_indices(network) == indices
    assert stage_width(network, indices) == width


def test_a_transformers_blocks_are_averaged_over_their_patches(tmp_path: Path) -> None:
    save_file(_network("test_vit", img_size=32).state_dict(), tmp_path / "vit.safetensors")
    spec = TeacherSpec(name="test_vit", weights=str(tmp_path / "vit.safetensors"), size=32, features="both")
    file = check_teacher(spec)
    backbone = build_backbone(file, size=32)
    blocks = _seen(backbone, *(f"blocks.{index}" for index in stage_indices(backbone.network)))
    expected = np.concatenate([tokens[:, backbone.network.num_prefix_tokens :].mean(axis=1) for tokens in blocks], 1)
    found = backbone(IMAGES).numpy()
    assert found.shape[1] == file.n_features
    np.testing.assert_allclose(found[:, -expected.shape[1] :], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("lacking", ["feature_info", "forward_intermediates"])
@pytest.mark.parametrize("kind", ["stages", "both"])
def test_a_network_that_names_no_stages_is_refused_by_name(kind: str, lacking: str) -> None:
    network = _network("test_resnet")
    stageless = type("Stageless", (torch.nn.Module,), {})()
    stageless.pretrained_cfg, stageless.num_features = network.pretrained_cfg, 1
    if lacking == "forward_intermediates":
        stageless.feature_info = network.feature_info
    told = "stages and both need a model of timm that names its intermediate stages; test_resnet names none: use final"
    with pytest.raises(TeacherError, match=told):
        Backbone(stageless, size=32, features=kind)
    Backbone(stageless, size=32)


def test_a_teacher_without_stages_is_refused_when_it_is_checked(tmp_path: Path, monkeypatch) -> None:
    save_file(_network("test_resnet").state_dict(), tmp_path / "it.safetensors")
    spec = TeacherSpec(name="test_resnet", weights=str(tmp_path / "it.safetensors"), features="stages")
    assert check_teacher(spec).n_features == build_backbone(check_teacher(spec), size=64).n_features
    build = module._build_network

    def without_stages(*given: object, **options: object) -> torch.nn.Module:
        network = build(*given, **options)
        del network.feature_info
        return network

    monkeypatch.setattr(module, "_build_network", without_stages)
    with pytest.raises(TeacherError, match="test_resnet names none: use final"):
        check_teacher(spec)
    check_teacher(replace(spec, features="final"))


@pytest.mark.parametrize("kind", ["stages", "both"])
def test_the_whole_teacher_reads_the_features_that_its_readout_was_fitted_to(
    teacher_file: TeacherFile, kind: str
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (12, 1, 8, 8), dtype=np.uint8)
    backbone = build_backbone(replace(teacher_file, features=kind), size=32)
    cached, labels = extract(backbone, images), np.arange(12) % 3
    probe = fit_probe(cached[:, None], labels, cached, labels, n_classes=3, strengths=(1.0,))
    state = probe.state(name="tf_efficientnet_lite0", size=32, features=kind)
    for teacher in (ForwardTeacher(state), ForwardTeacher(state, shared=backbone.share())):
        logits, features = teacher(torch.from_numpy(images).float())
        np.testing.assert_allclose(features.numpy(), probe.standardise(cached), atol=0.05)
        np.testing.assert_allclose(logits.numpy(), probe.logits(cached), atol=0.05)
