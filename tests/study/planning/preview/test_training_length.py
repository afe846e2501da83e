"""Students are trained out by their steps; the length of a recipe is known for the data it was found on."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from study.planning.check import check
from study.planning.checked import Checked
from study.planning.parser import build_parser
from study.planning.preview.dry_run import dry_run
from study.planning.preview.training_length import TrainingLength, training_length
from trainables.cckd.data.registry import list_data
from trainables.cckd.data.sources.user_files import INFOS as OWN_FILES
from trainables.cckd.data.spec import parse_data
from trainables.cckd.recipe import QUICK

#: Steps of an epoch of the 303 training images of digits_lt at the recipe's batch of 32, and of the recipe.
OF_EPOCH, OF_RECIPE = 9, 1080


@pytest.fixture
def asked(tmp_path: Path) -> Any:
    def build(*flags: str, data: str = "digits_lt") -> Checked:
        argv = ["--space", "acckd_smoke", "--data", data, "--out", str(tmp_path), *flags]
        return check(build_parser().parse_args(argv))

    return build


@pytest.mark.parametrize(
    ("flags", "steps", "how"),
    [
        (("--epochs", "3"), 3 * OF_EPOCH, "3 epochs at batch 32"),
        (("--set", "batch_size=256"), 120, "120 epochs at batch 256"),
        (("--set", "batch_size=64", "--epochs", "200"), 800, "200 epochs at batch 64"),
        (("--set", "batch_size=303", "--epochs", "1079"), 1079, "1079 epochs at batch 303"),
    ],
)
def test_fewer_steps_than_the_recipe_takes_are_not_trained_out(asked, flags: tuple[str, ...], steps: int, how) -> None:
    found = training_length(asked(*flags))
    said = f"{steps:,} of the {OF_RECIPE:,} steps of recipe field ({how} in place of 120 at 32)"
    assert found == TrainingLength(said, None)
    assert found.notes == [f"the students are not trained out: {said}"]


@pytest.mark.parametrize(
    "flags",
    [
        (),
        ("--epochs", "121"),
        ("--set", "batch_size=16", "--epochs", "60"),
        ("--set", "batch_size=303", "--epochs", "1080"),
    ],
)
def test_as_many_steps_are_trained_out_however_they_are_cut_into_epochs(asked, flags: tuple[str, ...]) -> None:
    found = training_length(asked(*flags))
    assert found == (None, None)
    assert found.notes == []


def test_a_searched_batch_counts_with_its_largest(asked, tmp_path: Path) -> None:
    space = tmp_path / "mine.yaml"
    space.write_text(
        "name: mine\npurpose: Which batch?\nmethod: la\ntrials: 4\nknobs:\n"
        "  batch_size: {range: [16, 100], type: int, unit: images, reason: Both ways., reference: 32}\n"
    )
    reason = training_length(asked("--space", str(space))).not_trained_out
    assert reason == "360 of the 1,080 steps of recipe field (120 epochs at batch 100 in place of 120 at 32)"


def test_the_short_recipe_is_stamped_whatever_it_is_given(asked) -> None:
    short = training_length(asked("--recipe", QUICK)).not_trained_out
    assert short == "recipe quick, 160 of the 1,080 steps of recipe field (40 epochs at batch 64 in place of 120 at 32)"
    assert training_length(asked("--recipe", QUICK, "--epochs", "900")).not_trained_out == "recipe quick"


def test_a_cut_that_does_not_fill_the_recipes_batch_still_has_steps(asked) -> None:
    small = "digits_lt:n_max=4,ir=4"
    found = training_length(asked("--set", "batch_size=8", "--epochs", "7", data=small))
    assert found.not_trained_out == "14 of the 120 steps of recipe field (7 epochs at batch 8 in place of 120 at 32)"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("digits_lt:n_max=60", "(n_max=60); that of recipe field was measured for n_max=90"),
        ("digits_lt:ir=10,n_max=60", "(n_max=60, ir=10); that of recipe field was measured for n_max=90, ir=20"),
        ("digits_lt:imb_type=step", "(imb_type=step); that of recipe field was measured for imb_type=exp"),
    ],
)
def test_another_cut_than_the_measured_one_is_said_and_not_stamped(asked, data: str, said: str) -> None:
    checked = asked(data=data)
    found = training_length(checked)
    assert found == (None, f"length not measured for this cut {said}")
    shown = " ".join(dry_run(checked).split())
    assert f"NOTE length not measured for this cut {said}" in shown
    assert "not trained out" not in shown


def test_the_stamp_stands_in_place_of_that_sentence(asked) -> None:
    checked = asked("--epochs", "3", data="digits_lt:n_max=60")
    found = training_length(checked)
    assert found.not_trained_out
    assert found.not_measured is None
    assert "NOTE the students are not trained out: " in " ".join(dry_run(checked).split())


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("cifar10_lt", None),
        ("cifar100_lt:ir=50,groups=ir100", None),
        ("cifar100_lt:ir=10,imb_type=step", None),
        (
            "cifar10_lt:n_max=500,ir=100",
            "length not measured for this cut (n_max=500); that of recipe field is as published, for n_max=5000",
        ),
        (
            "cifar100_lt:ir=200",
            "length not measured for this cut (ir=200); that of recipe field is as published, for ir=10 or 50 or 100",
        ),
        ("imagenet_lt:root=/elsewhere,lists=/lists", None),
        (
            "places_lt:size=64",
            "length not measured for these images (size=64); that of recipe field is as published, for size=224",
        ),
        ("image_folder:path=x", "length not measured for these images; that of recipe field is a first guess"),
        ("image_folder:path=x,n_max=9,ir=3", "length not measured for this cut; that of recipe field is a first guess"),
    ],
)
def test_a_published_length_is_known_for_the_published_data(asked, data: str, said: str | None) -> None:
    """The images of these sets are elsewhere; as many of the digits stand for them."""
    checked, spec = asked(), parse_data(data)
    recipe = spec.info.recipe()
    settings = {**recipe.training, "batch_size": 32}
    plan = replace(checked.plan, recipe=recipe.name, epochs=50 * recipe.epochs, recipe_settings=settings)
    assert training_length(replace(checked, plan=plan, data=replace(checked.data, spec=spec))) == (None, said)


def test_every_length_that_is_known_is_known_for_the_sets_own_defaults() -> None:
    for info in list_data():
        recipe = info.recipe()
        assert bool(recipe.length) == (info not in OWN_FILES)
        assert bool(recipe.length_at) == bool(recipe.length)
        assert all(info.options[name] in values for name, values in recipe.length_at.items())
        assert info.recipe(QUICK).length == ""
