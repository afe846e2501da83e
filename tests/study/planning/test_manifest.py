"""study.json holds what a resumed study needs, and a study is not continued on other data."""

import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from study.planning import manifest as module
from study.planning.check import check
from study.planning.checked import Checked
from study.planning.manifest import checked_again, class_sizes, first_manifest, git_commit, hardware, versions
from study.planning.parser import build_parser
from trainables.cckd.data.images.sets import RawData
from trainables.cckd.data.registry import DATA_SETS
from trainables.cckd.errors import DataError, UsageError


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Checked:
    out = tmp_path_factory.mktemp("out")
    words = [
        "--space",
        "acckd_full",
        "--data",
        "digits_lt:ir=10",
        "--recipe",
        "quick",
        "--out",
        str(out),
        "--name",
        "mine",
    ]
    settings = ["--set", "lr=0.1", "--trials", "9", "--data-root", str(out / "data")]
    return check(build_parser().parse_args([*words, *settings]))


@pytest.fixture
def manifest(checked: Checked) -> dict[str, Any]:
    """As read back from disk."""
    return json.loads(json.dumps(first_manifest(checked, "python -m study.run ..."), allow_nan=False))


def test_a_study_is_rebuilt_from_its_manifest_alone(checked: Checked, manifest: dict[str, Any]) -> None:
    again = checked_again(checked.folder, manifest)
    assert (again.plan, again.space, again.folder) == (checked.plan, checked.space, checked.folder)
    assert (again.teacher, again.teacher_file) == (checked.teacher, checked.teacher_file)
    assert again.data.sha256 == checked.data.sha256
    assert again.data.counts == checked.data.counts


def test_the_manifest_says_what_the_data_are(checked: Checked, manifest: dict[str, Any]) -> None:
    data = manifest["data"]
    assert data["spec"] == "digits_lt:n_max=90,ir=10,imb_type=exp"
    assert data["n_train"] == list(checked.data.counts)
    assert data["n_val"] == data["n_test"] == [40] * 10
    assert (data["split"], data["selected_on"]) == ("holdout", "val")
    assert data["image_shape"] == [1, 8, 8]
    assert data["image_store"] is None
    assert len(data["classes"]) == 10
    grouped = [class_id for name in ("many", "medium", "few") for class_id in manifest["groups"][name]]
    assert sorted(grouped) == list(range(10))


def test_the_manifest_says_where_each_value_comes_from_and_a_resumed_study_keeps_them(
    checked: Checked, manifest: dict[str, Any]
) -> None:
    recipe = manifest["recipe"]
    assert recipe["name"] == "quick"
    assert recipe["not_trained_out"].startswith("recipe quick, ")
    assert recipe["length_not_measured"] is None, "the stamp stands in its place"
    assert recipe["values"]["lr"] == {"value": 0.1, "from": "--set"}
    assert recipe["values"]["batch_size"] == {"value": 64, "from": "recipe: our choice for a first look"}
    planned = manifest["plan"] | {"recipe_settings": {"lr": 0.3, "batch_size": 7}}
    again = checked_again(checked.folder, manifest | {"plan": planned})
    assert (again.plan.training["lr"], again.plan.training["batch_size"]) == (0.1, 7)


def test_the_manifest_says_what_is_known_of_the_training_length(tmp_path: Path) -> None:
    def told(*flags: str, data: str = "digits_lt") -> tuple[str | None, str | None]:
        argv = ["--space", "acckd_smoke", "--data", data, "--recipe", "field", "--out", str(tmp_path), *flags]
        recipe = first_manifest(check(build_parser().parse_args(argv)), "")["recipe"]
        return recipe["not_trained_out"], recipe["length_not_measured"]

    short, nothing = told("--epochs", "3")
    assert short == "27 of the 1,080 steps of recipe field (3 epochs at batch 32 in place of 120 at 32)"
    assert nothing is None
    assert told() == told("--epochs", "121") == (None, None)
    nothing, unknown = told(data="digits_lt:n_max=60")
    assert nothing is None
    assert unknown == "length not measured for this cut (n_max=60); that of recipe field was measured for n_max=90"


def test_a_plan_of_a_version_without_recipes_keeps_the_general_defaults(
    checked: Checked, manifest: dict[str, Any]
) -> None:
    older = {key: value for key, value in manifest["plan"].items() if not key.startswith("recipe")}
    plan = checked_again(checked.folder, manifest | {"plan": older}).plan
    assert plan.recipe is None
    assert plan.training == {"student": "resnet8_cifar", "epochs": 40, "lr": 0.1}


def test_the_manifest_says_what_is_planned_and_has_not_happened(manifest: dict[str, Any]) -> None:
    assert manifest["plan"]["rungs"] == [10, 20, 30, 40]
    assert (manifest["name"], manifest["status"], manifest["ended"]) == ("mine", "running", None)
    assert set(manifest["counts"].values()) == {0}
    assert {"python", "torch", "ray", "optuna"} <= set(manifest["versions"])
    assert manifest["hardware"]["cores"] >= 1
    assert [start["command"] for start in manifest["starts"]] == [manifest["command"]]


def test_changed_images_are_refused(checked, manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    info = DATA_SETS["digits_lt"]

    def altered(root: Path, download: bool, options: Mapping[str, Any]) -> RawData:
        raw = info.read(root, download, options)
        raw.test.images[0, 0, 0, 0] ^= 1
        return raw

    others = dict(DATA_SETS) | {"digits_lt": replace(info, read=altered)}
    monkeypatch.setattr("trainables.cckd.data.spec.DATA_SETS", others)
    with pytest.raises(DataError, match="begun on other images"):
        checked_again(checked.folder, manifest)


def test_an_altered_teacher_is_refused(checked, manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "weights").write_bytes(b"other")
    monkeypatch.setattr("trainables.cckd.teacher.weights._embedded_file", lambda: tmp_path / "weights")
    with pytest.raises(UsageError, match="must have SHA-256"):
        checked_again(checked.folder, manifest)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda manifest: manifest.pop("plan"),
        lambda manifest: manifest["plan"].pop("epochs"),
        lambda manifest: manifest["plan"].update(colour="red"),
        lambda manifest: manifest["space"].pop("tunable"),
        lambda manifest: manifest["space"]["tunable"][0].update(reference=1e9),
        lambda manifest: manifest.update(space=None),
        lambda manifest: manifest.pop("data"),
    ],
)
def test_a_manifest_that_is_not_as_we_wrote_it_is_refused_by_name(checked, manifest, spoil) -> None:
    spoil(manifest)
    with pytest.raises(UsageError, match=r"mine/study\.json must be as the study wrote it"):
        checked_again(checked.folder, manifest)


def test_class_sizes_counts_absent_classes_too() -> None:
    assert class_sizes([2, 0, 2], 4) == [1, 0, 2, 0]


def test_versions_are_those_installed_and_absent_packages_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PACKAGES", ("numpy", "no-such-package"))
    assert versions().keys() == {"python", "numpy"}
    assert versions()["numpy"] == version("numpy")


def test_the_machine_is_described_in_plain_types() -> None:
    found = hardware("cpu")
    assert json.loads(json.dumps(found)) == found
    assert found["cores"] >= 1
    assert found["memory_gb"] > 0
    assert found["cpu"]
    assert found["gpu"] is None


def test_outside_a_checkout_or_without_git_there_is_no_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_git(*args: object, **kwargs: object) -> None:
        raise FileNotFoundError("git")

    monkeypatch.setattr(subprocess, "run", no_git)
    assert git_commit() is None


@pytest.mark.parametrize("ignored", [True, False])
@pytest.mark.parametrize("below", [".venv/lib/site-packages/study/planning", "vendored"])
def test_a_repository_that_does_not_track_the_package_has_not_its_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, below: str, ignored: bool
) -> None:
    def git(*words: str) -> None:
        who = ("-c", "user.name=me", "-c", "user.email=me@example.org")
        subprocess.run(["git", *who, *words], cwd=tmp_path, check=True, capture_output=True)

    here = tmp_path / below / "manifest.py"
    here.parent.mkdir(parents=True)
    here.touch()
    (tmp_path / "mine.py").touch()
    (tmp_path / ".gitignore").write_text(below.partition("/")[0] if ignored else "")
    git("init")
    git("add", "mine.py")
    git("commit", "-m", "mine")
    monkeypatch.setattr(module, "__file__", str(here))
    assert git_commit() is None
    git("add", "--force", str(here))
    git("commit", "-m", "a checkout of ours")
    assert re.fullmatch("[0-9a-f]{12}", git_commit() or "")


def test_the_manifest_names_the_version_of_the_toolkit(checked: Checked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda name: f"{name} 9.8")
    assert first_manifest(checked, "...")["toolkit"] == "cckd-study 9.8"


def test_a_checkpoint_whose_class_map_has_changed_is_another_teacher(
    checked: Checked, manifest: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "check_teacher", lambda spec: replace(checked.teacher_file, n_outputs=10))
    names = list(checked.data.class_names)
    teacher = {"form": "checkpoint", "weights": "w", "classes": str(tmp_path / "map.txt")}
    begun = manifest | {
        "plan": manifest["plan"] | {"teacher": manifest["plan"]["teacher"] | teacher},
        "teacher": {"sha256": checked.teacher_file.sha256, "embeddings_sha256": None, "classes": names[::-1]},
    }
    (tmp_path / "map.txt").write_text("\n".join(names[::-1]))
    assert checked_again(checked.folder, begun).outputs == tuple(names[::-1])
    (tmp_path / "map.txt").write_text("\n".join(names))
    with pytest.raises(UsageError, match="begun with another teacher: classes was"):
        checked_again(checked.folder, begun)
