import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.trainables.cckd.losses.rivals import references
from trainables.cckd.losses.rivals.class_weights import class_weights


@pytest.mark.parametrize("beta", [0.0, 0.9, 0.9999])
def test_weights_go_by_the_effective_number_of_samples(beta: float) -> None:
    counts = np.array([500.0, 40.0, 7.0, 1.0])
    found = class_weights(torch.from_numpy(counts), beta)
    np.testing.assert_allclose(found.numpy(), references.class_weights(counts, beta), rtol=1e-9)


@given(st.lists(st.integers(1, 5000), min_size=2, max_size=20), st.floats(0, 0.99999))
def test_weights_sum_to_the_number_of_classes_and_rise_towards_rare_ones(counts: list[int], beta: float) -> None:
    found = class_weights(torch.tensor(sorted(counts, reverse=True), dtype=torch.float64), beta)
    assert found.sum().item() == pytest.approx(len(counts))
    assert (found.diff() >= -1e-9).all()


def test_at_beta_0_every_class_weighs_1() -> None:
    assert class_weights(torch.tensor([100.0, 3.0, 1.0], dtype=torch.float64), 0.0).tolist() == [1.0, 1.0, 1.0]
