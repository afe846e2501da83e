"""Any timm model from a weight file: read safely, measured, its classifier found, its weights shared."""

import re
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from trainables.cckd.errors import TeacherError
from trainables.cckd.teacher.backbone import Backbone, build_backbone, read_classifier
from trainables.cckd.teacher.forward import ForwardTeacher
from trainables.cckd.teacher.readout import TeacherState
from trainables.cckd.teacher.spec import TeacherSpec, check_teacher
from trainables.cckd.teacher.teacher_file import TeacherFile

MODEL = "test_resnet.r160_in1k"  # timm's own small model for tests, 0.5 M parameters
IMAGES = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 3, 16, 16), dtype=np.uint8))


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return timm.create_model(MODEL, num_classes=7).eval()


@pytest.fixture(scope="module")
def path(network: torch.nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "tuned.safetensors"
    save_file(network.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def file(path: Path) -> TeacherFile:
    return check_teacher(TeacherSpec(name=MODEL, form="checkpoint", weights=str(path), size=32))


def test_a_weight_file_is_measured(file: TeacherFile, network: torch.nn.Module) -> None:
    assert (file.n_features, file.n_outputs, file.model_size) == (network.num_features, 7, 160)


def test_classifier_on_features_gives_the_networks_own_outputs(file: TeacherFile, network: torch.nn.Module) -> None:
    backbone = build_backbone(file, size=32)
    weight, bias = read_classifier(file, size=32)
    seen: list[torch.Tensor] = []
    hook = backbone.network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    features = backbone(IMAGES).numpy()
    hook.remove()
    with torch.no_grad():
        expected = network(seen[0]).numpy()
    np.testing.assert_allclose(features @ weight.T + bias, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model"])
def test_pickles_of_weights_are_read_bare_or_wrapped(
    network: torch.nn.Module, file: TeacherFile, tmp_path: Path, wrapper: str | None
) -> None:
    tensors = {f"module.{name}": tensor for name, tensor in network.state_dict().items()}
    torch.save(tensors if wrapper is None else {wrapper: tensors, "epoch": 3}, tmp_path / "tuned.pth")
    again = build_backbone(replace(file, path=tmp_path / "tuned.pth"), size=32)
    assert torch.equal(again(IMAGES), build_backbone(file, size=32)(IMAGES))


@pytest.mark.parametrize("prefix", ["_orig_mod.", "model.", "module._orig_mod.", "model.module.", "backbone."])
def test_tensors_of_a_wrapped_model_are_read_under_their_own_names(
    network: torch.nn.Module, file: TeacherFile, tmp_path: Path, prefix: str
) -> None:
    tensors = {f"{prefix}{name}": tensor for name, tensor in network.state_dict().items()}
    torch.save(tensors, tmp_path / "wrapped.pth")
    again = build_backbone(replace(file, path=tmp_path / "wrapped.pth"), size=32)
    assert torch.equal(again(IMAGES), build_backbone(file, size=32)(IMAGES))


def test_timms_own_checkpoint_is_read_with_its_training_arguments(
    network: torch.nn.Module, file: TeacherFile, tmp_path: Path
) -> None:
    kept = {"epoch": 3, "arch": MODEL, "args": Namespace(lr=0.1, data="x"), "metric": 0.5}
    torch.save({**kept, "state_dict": network.state_dict(), "optimizer": {"state": {}}}, tmp_path / "last.pth.tar")
    again = build_backbone(replace(file, path=tmp_path / "last.pth.tar"), size=32)
    assert torch.equal(again(IMAGES), build_backbone(file, size=32)(IMAGES))


@pytest.mark.parametrize("prefix", ["net.", "student.body.", "0."])
def test_tensors_of_other_names_are_told_in_a_line(
    network: torch.nn.Module, file: TeacherFile, tmp_path: Path, prefix: str
) -> None:
    torch.save({f"{prefix}{name}": tensor for name, tensor in network.state_dict().items()}, tmp_path / "other.pth")
    begin = re.escape(prefix)
    with pytest.raises(
        TeacherError, match=rf"its tensors are called {begin}\S+, {begin}\S+ and so on, the model's "
    ) as caught:
        build_backbone(replace(file, path=tmp_path / "other.pth"), size=32)
    assert len(str(caught.value)) < 600


class _Code:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("code of the file's author",)


def test_a_pickle_that_would_run_code_is_refused(file: TeacherFile, tmp_path: Path) -> None:
    torch.save({"state_dict": _Code()}, tmp_path / "bad.pth")
    with pytest.raises(TeacherError, match="weights_only=True"):
        build_backbone(replace(file, path=tmp_path / "bad.pth"), size=32)


@pytest.mark.parametrize(
    "content",
    # What the unpickler of torch raises for each: EOFError, UnpicklingError, IndexError, KeyError, AssertionError.
    [b"", b"nonsense", b"root:x:0:0:root:/root:/bin/bash\n", b"hq", b"(lp0\nI1\nsu.", bytes(range(256))],
)
@pytest.mark.parametrize("name", ["bad.pth", "bad.safetensors"])
def test_a_file_that_is_no_weight_file_is_refused(file: TeacherFile, tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TeacherError, match="must be a safetensors file or one that torch"):
        build_backbone(replace(file, path=tmp_path / name), size=32)


def test_weights_of_another_model_are_refused(path: Path) -> None:
    with pytest.raises(TeacherError, match="does not fit timm's resnet18 at 32 pixels"):
        check_teacher(TeacherSpec(name="resnet18", form="head", weights=str(path), size=32))
    with pytest.raises(TeacherError) as caught:
        check_teacher(TeacherSpec(name="test_vit", form="head", weights=str(path), size=32))
    assert len(str(caught.value)) < 600, "not the names of all its tensors"


def test_a_transformer_is_built_for_the_size_that_is_asked_for(tmp_path: Path) -> None:
    save_file(timm.create_model("test_vit", num_classes=5).state_dict(), tmp_path / "vit.safetensors")
    spec = TeacherSpec(name="test_vit", form="checkpoint", weights=str(tmp_path / "vit.safetensors"), size=64)
    file = check_teacher(spec)
    assert build_backbone(file, size=64)(IMAGES).shape == (3, file.n_features)
    assert file.n_outputs == 5


def test_shared_weights_give_the_same_features_without_a_copy(file: TeacherFile) -> None:
    own = build_backbone(file, size=32)
    arrays = own.share()
    for array in arrays.values():
        array.flags.writeable = False
    lent = build_backbone(TeacherFile(MODEL, Path(), ""), size=32, shared=arrays)
    assert torch.equal(lent(IMAGES), own(IMAGES))
    kernel = lent.network.get_parameter("conv1.weight" if "conv1.weight" in arrays else next(iter(arrays)))
    assert kernel.data_ptr() in {array.__array_interface__["data"][0] for array in arrays.values()}


def test_a_teacher_on_another_file_than_it_was_fitted_on_is_refused(file: TeacherFile) -> None:
    arrays = {"weight": np.zeros((7, file.n_features), np.float32), "bias": np.zeros(7, np.float32)}
    statistics = {name: np.ones(file.n_features, np.float32) for name in ("feature_mean", "feature_std")}
    state = TeacherState(name=MODEL, size=32, **arrays, **statistics, weights=str(file.path), sha256=file.sha256)
    assert ForwardTeacher(state)(IMAGES)[0].shape == (3, 7)
    with pytest.raises(TeacherError, match="must be the file the teacher was fitted on"):
        ForwardTeacher(replace(state, sha256="other"))


def test_cosines_of_the_whole_teacher_are_those_of_the_readout(file: TeacherFile) -> None:
    from trainables.cckd.teacher.readout import Readout, unit

    rng = np.random.default_rng(0)
    readout = Readout(
        weight=unit(rng.normal(size=(4, 5)).astype(np.float32)),
        bias=np.zeros(4, np.float32),
        feature_mean=np.ones(file.n_features, np.float32),
        feature_std=np.ones(file.n_features, np.float32),
        scale=20.0,
        projection=rng.normal(size=(5, file.n_features)).astype(np.float32),
        offset=rng.normal(size=5).astype(np.float32),
    )
    backbone: Backbone = build_backbone(file, size=32)
    logits, _ = ForwardTeacher(readout.state(name=MODEL, size=32, weights=str(file.path)))(IMAGES)
    np.testing.assert_allclose(logits.numpy(), readout.logits(backbone(IMAGES).numpy()), atol=1e-3)


def test_the_home_of_nobody_is_a_folder_that_is_not_there() -> None:
    with pytest.raises(TeacherError, match=r"teacher weights must be a file; .*~nobody-of-this-name/w\.pt is none"):
        check_teacher(TeacherSpec(name=MODEL, form="checkpoint", weights="~nobody-of-this-name/w.pt", size=32))
