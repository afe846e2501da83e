"""The epochs until a search is nearly as good as any are those of its trials, and its regret is the truth's."""

import numpy as np
import pytest
from optuna.trial import create_trial

from benchmarks.regret import N_EPOCHS, REGRETS, TOOLS, Descent, descent, row_of

DATA = ("fashion_mnist_lt", "acckd_full")


@pytest.mark.parametrize("tool", TOOLS)
def test_a_lower_regret_takes_no_fewer_epochs_and_the_last_one_says_which_were_reached(tool: str) -> None:
    found = descent(*DATA, TOOLS[tool], 3)
    assert list(found.epochs) == sorted(found.epochs)
    assert all(epochs <= N_EPOCHS + 60 for epochs in found.epochs if np.isfinite(epochs))
    for most, epochs in zip(REGRETS, found.epochs, strict=True):
        assert np.isfinite(epochs) or 100 * found.last > most


def test_a_search_that_takes_one_point_again_and_again_has_one_regret() -> None:
    def search(space, seed, run):
        params = space.active(space.reference_point())
        curve = run(params)
        distributions = {name: space.distributions[name] for name in params}
        return [
            create_trial(
                params=params, distributions=distributions, value=curve[60], intermediate_values={60: curve[60]}
            )
        ] * 3

    found = descent(*DATA, search, 0)
    assert {epochs for epochs in found.epochs if np.isfinite(epochs)} <= {60.0}
    assert 0 < found.last < 0.05


def test_a_row_has_medians_shares_and_the_mean_of_what_is_left() -> None:
    n = len(REGRETS)
    found = [Descent((60.0,) * (n - 1) + (np.inf,), 0.02), Descent((180.0,) * (n - 1) + (np.inf,), 0.04)]
    cells = ["120 (100%)"] * (n - 1) + ["not reached (0%)"]
    assert row_of("t", found) == f"| t | {' | '.join(cells)} | 3.00 ± 0.71 |"
