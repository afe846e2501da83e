import pickle
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from trainables.cckd.bundle.trial_data import TrialData
from trainables.cckd.errors import DataError


def test_counts_describe_the_training_labels(trial_data: TrialData) -> None:
    assert trial_data.counts.tolist() == [24, 12, 6]
    assert (trial_data.n_classes, trial_data.n_views, trial_data.image_shape) == (3, 3, (1, 8, 8))


def test_a_bundle_survives_pickling(trial_data: TrialData) -> None:
    again = pickle.loads(pickle.dumps(trial_data))
    np.testing.assert_array_equal(again.teacher_features, trial_data.teacher_features)
    assert again.class_names == trial_data.class_names


def test_all_misfits_are_named_at_once(make_trial_data: Callable[..., TrialData]) -> None:
    data = make_trial_data()
    with pytest.raises(DataError) as caught:
        replace(
            data,
            views=data.views[:, :, :4],
            teacher_features=data.teacher_features[:-1],
            val_labels=data.val_labels + 1,
        )
    text = " | ".join(caught.value.faults)
    assert len(caught.value.faults) == 3
    assert "views must have shape (42, V, 5); got (42, 3, 4)" in text
    assert "teacher_features must have shape (42, 3, D); got (41, 3, 5)" in text
    assert "val_labels must lie in 0 to 2; got 1 to 3" in text


def test_a_class_without_a_training_image_is_refused(make_trial_data: Callable[..., TrialData]) -> None:
    data = make_trial_data()
    with pytest.raises(DataError, match="none in classes 2"):
        replace(data, train_labels=data.train_labels.clip(max=1))
