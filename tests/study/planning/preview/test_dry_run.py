"""The lists name everything that can be chosen, in 80 columns."""

import re
from pathlib import Path

import pytest
from PIL import Image

from search_spaces import list_spaces
from study.planning.check import check
from study.planning.checked import Checked
from study.planning.parser import build_parser
from study.planning.preview.dry_run import dry_run, recipe_lines, teacher_lines
from study.run import main
from tests.support.damaged_images import encoded
from trainables.cckd.data.registry import list_data


@pytest.fixture
def listed(capsys: pytest.CaptureFixture[str]):
    def run(flag: str) -> str:
        assert main([flag]) == 0
        return capsys.readouterr().out

    return run


def test_list_spaces_names_every_space_with_each_knob_and_its_reference(listed) -> None:
    blocks = {block.partition(":")[0]: block for block in listed("--list-spaces").split("\n\n")}
    assert list(blocks) == [*(space.name for space in list_spaces()), "your own"]
    assert "FILE.yaml" in blocks["your own"]
    assert "module:ATTRIBUTE" in blocks["your own"]
    for space in list_spaces():
        rows = blocks[space.name].splitlines()
        assert f"method {space.method}, {space.default_trials} trials" in rows[0]
        for knob in space.tunable:
            (row,) = (row for row in rows if row.startswith(f"  {knob.name} "))
            assert f"reference {knob.reference}" in row


def test_a_conditional_knob_is_listed_with_its_condition(listed) -> None:
    assert "only where use_kd is True" in " ".join(listed("--list-spaces").split())


def test_list_data_names_every_set_with_its_options_and_splits(listed) -> None:
    blocks = listed("--list-data").strip().split("\n\n")
    for block, info in zip(blocks, list_data(), strict=True):
        call, *described = re.split(r"\n  (?=\S)", block)  # a full line of the call goes on further to the right
        name, _, given = "".join(call.split()).partition(":")
        assert name == info.name
        assert given.split(",") == [f"{option}=..." for option in info.required] + [
            f"{option}={default}" for option, default in info.options.items() if default != ""
        ]
        without_default = {option for option, default in info.options.items() if default == ""} - set(info.required)
        also = [line.removeprefix("also ") for line in described if line.startswith("also ")]
        assert also == (
            [", ".join(option for option in info.options if option in without_default)] * bool(without_default)
        )
        assert all(f"{recipe.name} ({recipe.epochs} epochs)" in " ".join(block.split()) for recipe in info.recipes)
        assert all(split in block for split in info.splits)


@pytest.mark.parametrize("flag", ["--list-spaces", "--list-data"])
def test_the_lists_fit_80_columns(listed, flag) -> None:
    assert [line for line in listed(flag).splitlines() if len(line) > 80] == []


@pytest.fixture
def asked(tmp_path: Path):
    def build(*flags: str) -> Checked:
        what = ["--space", "acckd_smoke", "--data", "digits_lt", "--out", str(tmp_path)]
        return check(build_parser().parse_args([*what, *flags]))

    return build


def test_the_dry_run_counts_runs_and_passes_of_every_cut(asked) -> None:
    shown = dry_run(asked("--data-seeds", "3", "--confirm-seeds", "2", "--teacher-views", "2"))
    assert "confirm   42 runs (3 cuts x 2 seeds of best 1 and the ladder)" in shown
    assert "passes    1,406 images; 606 for each of 2 further cuts" in shown
    alone = dry_run(asked("--confirm-seeds", "2", "--teacher-views", "2"))
    assert "confirm   14 runs (2 seeds of best 1 and the ladder)" in alone
    assert "further" not in alone
    assert "ladder    la, kd, acckd" in dry_run(asked("--ladder", "acckd"))


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--trials", "1"), "select    3 runs (3 seeds of best 1)"),
        (("--trials", "10", "--finalists", "100"), "select    30 runs (3 seeds of best 10)"),
        (("--trials", "10"), "select    18 runs (3 seeds of best 5 and the reference)"),
        (("--trials", "2", "--objectives", "all,few"), "confirm   48 runs (6 seeds of best 2 and the ladder)"),
    ],
)
def test_the_dry_run_counts_no_run_of_a_trial_that_cannot_exist(asked, flags: tuple[str, ...], told: str) -> None:
    assert told in dry_run(asked(*flags)).splitlines()


def test_every_value_of_a_recipe_is_shown_with_its_origin(asked) -> None:
    shown = " ".join("\n".join(recipe_lines(asked("--recipe", "field", "--set", "lr=0.1", "--epochs", "7"))).split())
    assert shown.startswith("recipe field of digits_lt")
    assert "lr 0.1; --set" in shown
    assert "epochs 7; --epochs" in shown
    assert "batch_size 32; recipe: our choice" in shown
    assert "teacher_size 96; default: the model's own for these images" in shown


def test_a_searched_setting_has_the_recipes_value_as_its_reference(tmp_path: Path) -> None:
    argv = ["--space", "la", "--data", "digits_lt", "--recipe", "field", "--out", str(tmp_path)]
    shown = " ".join(dry_run(check(build_parser().parse_args(argv))).split())
    assert "lr [0.02, 0.8], log scale; reference 0.15" in shown
    assert "lr 0.15 (searched); recipe: our choice" in shown


def test_the_dry_run_shows_the_runs_at_a_longer_training(asked) -> None:
    epochs = asked().plan.epochs
    assert f"longer    9 runs of 2 x {epochs} epochs" in dry_run(asked())
    both = dry_run(asked("--confirm-seeds", "2", "--epochs-factor", "3"))
    assert f"longer    6 runs of 2 x {epochs} epochs\nlonger    14 runs of 3 x {epochs} epochs" in both
    for flags in (("--long-seeds", "0"), ("--confirm-seeds", "0")):
        assert "longer    " not in dry_run(asked(*flags))


def test_the_dry_run_shows_the_most_runs_of_the_ablation(asked) -> None:
    plan, space = asked().plan, asked().space
    shown = " ".join(dry_run(asked()).split())
    assert f"ablate at most {plan.most_ablation_runs(space)} runs (3 seeds of best1 without each setting" in shown
    assert "ablate    " not in dry_run(asked("--ablation-seeds", "0"))


def test_the_teachers_options_are_shown_where_they_matter(asked) -> None:
    assert [line.split()[0] for line in teacher_lines(asked())] == ["teacher", "views", "prior", "passes"]
    flags = ("--teacher-size", "64", "--teacher-targets", "out_of_fold", "--teacher-folds", "3")
    shown = "\n".join(teacher_lines(asked(*flags, "--teacher-prior-smoothing", "0.1")))
    assert "linear_probe, 64 px" in shown
    assert "views     30 of each image; a student uses each 4 times" in shown
    assert "prior     val, 0.1 of it uniform" in shown
    assert "targets   out_of_fold, 3 folds" in shown
    assert teacher_lines(asked("--epochs", "30"))[1] == "views     30 of each image; a student uses each once"


def test_the_dry_run_fits_80_columns_but_for_paths(asked, tmp_path: Path) -> None:
    lines = dry_run(asked("--data-seeds", "3")).splitlines()
    assert [line for line in lines if len(line) > 80 and str(tmp_path) not in line and "data " not in line] == []


def test_the_order_of_classes_is_said_where_they_can_be_sorted_in_two_ways(tmp_path: Path, capsys) -> None:
    def order(*names: str) -> str:
        for part, name in ((part, name) for part in ("train", "val", "test") for name in names):
            (tmp_path / "".join(names) / part / name).mkdir(parents=True)
            Image.new("RGB", (32, 32)).save(tmp_path / "".join(names) / part / name / "a.png")
        folder = f"image_folder:path={tmp_path / ''.join(names)}"
        assert main(["--space", "cckd", "--data", folder, "--set", "batch_size=2", "--dry-run"]) == 0
        lines = " ".join(capsys.readouterr().out.split())
        return lines.partition(" order ")[2].partition(" groups ")[0]

    assert order("1", "2", "10") == "1, 10, 2 in this order; sorted naturally they are 1, 2, 10"
    assert order("ant", "Bee") == "Bee, ant in this order; sorted naturally they are ant, Bee"
    assert order("ant", "bee") == ""


@pytest.fixture
def streamed(asked, tmp_path: Path):
    for part, n in (("train", 10), ("val", 2), ("test", 2)):
        for label, name in enumerate(("ant", "bee")):
            (tmp_path / "images" / part / name).mkdir(parents=True)
            for number in range(n):
                content = encoded("jpeg", 40 if number else 20, 60, seed=50 * label + number)
                (tmp_path / "images" / part / name / f"{number}.jpg").write_bytes(content)
    data = f"image_folder:path={tmp_path / 'images'},size=16"
    where = ("--data-root", str(tmp_path / "data"), "--set", "batch_size=8", "--data-path", "streamed")
    return lambda *flags: asked("--data", data, *where, *flags)


def test_the_dry_run_says_where_the_image_store_lies_and_what_it_takes(streamed, tmp_path: Path) -> None:
    checked = streamed("--image-store", "32")
    shown = " ".join(dry_run(checked).split())
    assert f"store {tmp_path}/data/image-store/32px-1, shorter side 32 px 6 images are not larger" in shown
    assert "22 of 22 images to make: about 0.0 MB and 0 s on " in shown
    assert re.search(r"here; [0-9.]+ [MG]B are free there", shown)
    assert not (tmp_path / "data" / "image-store").exists(), "a dry run writes nothing"
    for files in (checked.data.train, checked.data.val, checked.data.test):
        for row in checked.image_store.absent(files).tolist():
            checked.image_store.make(files, row)
    assert "all 22 images are there" in " ".join(dry_run(checked).split())


def test_the_dry_run_says_that_originals_are_decoded_where_there_is_no_store(streamed, asked) -> None:
    assert "store     none; every use decodes an original" in dry_run(streamed("--image-store", "none"))
    assert "store     " not in dry_run(asked())
    assert "store     " not in dry_run(streamed("--data-path", "resident"))
