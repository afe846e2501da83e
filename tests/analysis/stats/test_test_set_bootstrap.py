"""The part of the test images against the binomial variance."""

from itertools import product
from math import isnan

import pandas as pd
import pytest

from analysis.stats.test_set_bootstrap import image_part


def test_the_test_images_part_is_the_binomial_spread_of_both_entries() -> None:
    recall = {"best1": [0.9, 0.5], "la": [0.8, 0.4]}
    n_test = [300, 100]
    table = pd.DataFrame(
        [
            {"entry": entry, "class_id": c, "n_test": n_test[c], "recall": values[c] + shift}
            for (entry, values), c, shift in product(recall.items(), range(2), (-0.02, 0.02))
        ]
    )
    expected = (
        sum(p * (1 - p) / n for values in recall.values() for p, n in zip(values, n_test, strict=True)) ** 0.5 / 2
    )
    found = image_part(table, "best1", "la", n_draws=20_000)
    assert found.sd == pytest.approx(expected, rel=0.03)
    assert found.mean == pytest.approx(0.1, abs=0.002)
    assert isnan(image_part(table, "best1", "absent").sd)
