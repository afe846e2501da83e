"""The careful script trains the same student as the others, from outputs that the teacher gave once."""

import numpy as np
import torch

from benchmarks.careful_optuna import Seen, epochs_of
from benchmarks.peer_script import settings_of
from trainables.cckd.config import TrialConfig
from trainables.cckd.data.load import load_data
from trainables.cckd.data.spec import parse_data

N_VIEWS, N_FEATURES = 8, 6


def test_all_scripts_train_by_the_recipe_that_a_study_has(tmp_path) -> None:
    data = load_data(parse_data("digits_lt"), data_root=tmp_path)
    recipe = parse_data("digits_lt").info.recipe()
    trial = TrialConfig.build({"method": "acckd", **settings_of(data, 4, 7)})
    assert (trial.epochs, trial.seed) == (4, 7)
    assert (trial.batch_size, trial.lr, trial.student) == (recipe.batch_size, recipe.lr, recipe.student)


def test_its_students_learn_from_the_teachers_outputs(tmp_path) -> None:
    data = load_data(parse_data("digits_lt"), data_root=tmp_path)
    labels = torch.from_numpy(data.train.labels)
    pixels = torch.from_numpy(data.train.images)
    right = 8.0 * torch.nn.functional.one_hot(labels, 10).float()
    seen = Seen(
        pixels[:, None].expand(-1, N_VIEWS, -1, -1, -1),
        right[:, None].expand(-1, N_VIEWS, -1),
        torch.randn(len(labels), N_VIEWS, N_FEATURES, generator=torch.Generator().manual_seed(0)).half(),
        np.full(10, np.log(0.1)),
    )
    settings = {"method": "acckd", "epochs": 4, "batch_size": 32, "mix_until": 0.5}
    trial = TrialConfig.build(settings)
    assert trial.n_mixed > 0
    found = list(epochs_of(trial, data, seen))
    assert len(found) == 4
    assert found[-1] > 0.3, "three times the accuracy by chance"
    assert found == list(epochs_of(trial, data, seen)), "the seed decides"
    assert found != list(epochs_of(TrialConfig.build(settings | {"mix_until": 1.0}), data, seen)), "mixing counts"
