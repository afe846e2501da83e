"""Every data set brings recipes whose values a trial accepts."""

import pytest

from trainables.cckd.config import TrialConfig, training_settings
from trainables.cckd.data.images.sets import DataSetInfo
from trainables.cckd.data.registry import DATA_SETS, list_data
from trainables.cckd.errors import DataError
from trainables.cckd.recipe import QUICK, quick


@pytest.mark.parametrize("info", list_data(), ids=lambda info: info.name)
def test_every_set_has_a_field_and_a_quick_recipe_that_trials_accept(info: DataSetInfo) -> None:
    assert {recipe.name for recipe in info.recipes} == {"field", QUICK}
    assert len(info.recipes) == 2
    for recipe in info.recipes:
        assert set(recipe.training) == {*training_settings()} - {"seed", "prediction_prior"}
        config = TrialConfig.build({"method": "acckd", **recipe.training})
        assert {name: getattr(config, name) for name in recipe.training} == recipe.training
        assert recipe.teacher_views >= 1
        assert recipe.source
        assert set(recipe.sources) <= {*recipe.training, "teacher_size", "teacher_views"}
    assert info.recipe(QUICK).epochs < info.recipe("field").epochs


@pytest.mark.parametrize("name", ["cifar10_lt", "cifar100_lt"])
def test_cifar_is_trained_as_ldam_trains_it(name: str) -> None:
    info = DATA_SETS[name]
    assert info.recipe().training == {
        "student": "resnet32_cifar",
        "epochs": 200,
        "batch_size": 128,
        "lr": 0.1,
        "momentum": 0.9,
        "nesterov": False,
        "weight_decay": 2e-4,
        "schedule": "step",
        "augment": "none",
    }
    assert (info.padding, info.flip) == (4, True)


@pytest.mark.parametrize("name", ["slow", "", "Field"])
def test_an_unknown_recipe_is_refused_with_the_sets_own(name: str) -> None:
    with pytest.raises(DataError, match=rf"--recipe of cifar10_lt must be one of field, quick; got '{name}'"):
        DATA_SETS["cifar10_lt"].recipe(name)


def test_a_value_with_a_source_of_its_own_names_it() -> None:
    field = DATA_SETS["cifar10_lt"].recipe("field")
    assert field.source_of("lr").startswith("LDAM")
    assert field.source_of("teacher_views").startswith("our choice")
    assert quick(7).source_of("lr") == quick(7).source
