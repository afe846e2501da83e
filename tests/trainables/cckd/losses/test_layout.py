import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainables.cckd.losses.layout import student_log_prior

COUNTS = np.array([200.0, 54.0, 4.0])
LOG_TRAIN = torch.from_numpy(np.log(COUNTS / COUNTS.sum()))


def test_a_plainly_trained_student_carries_the_training_prior() -> None:
    torch.testing.assert_close(student_log_prior(LOG_TRAIN, 0.0), LOG_TRAIN)


def test_a_fully_adjusted_student_is_uniform() -> None:
    torch.testing.assert_close(student_log_prior(LOG_TRAIN, 1.0).exp(), torch.full((3,), 1 / 3).double())


@given(st.floats(0, 3))
def test_the_prior_is_the_normalised_power_of_the_training_prior(tau: float) -> None:
    power = (COUNTS / COUNTS.sum()) ** (1 - tau)
    np.testing.assert_allclose(student_log_prior(LOG_TRAIN, tau).exp().numpy(), power / power.sum(), rtol=1e-9)


def test_strengths_above_one_favour_rare_classes() -> None:
    log_prior = student_log_prior(LOG_TRAIN, 1.5)
    assert log_prior.tolist() == pytest.approx(sorted(log_prior.tolist()))
    assert log_prior[2] > log_prior[0]
