"""How much of a gain depends on the sample of test images: a bootstrap of the test set, class by class."""

import numpy as np
import pandas as pd

from analysis.stats.paired_tests import Spread, spread


def image_part(recalls: pd.DataFrame, entry: str, baseline: str, *, n_draws: int = 2000) -> Spread:
    """Return mean and sd of `entry` minus `baseline` in balanced accuracy over resampled test sets.

    Each class is resampled by itself, which keeps its number of images (stratified; Efron & Tibshirani 1993). The
    study keeps counts, not which image was right. So a draw is a binomial of the class's mean recall over runs, for
    each entry separately. Images that are hard for both would cancel in the difference: the sd is an upper bound.

    Args:
        recalls: the table of accuracies.class_recalls: entry, class_id, n_test, recall; one row per (run, class).
        entry, baseline: names in `recalls`.
        n_draws: resampled test sets.
    """
    rng = np.random.default_rng(0)
    means = []
    for name in (entry, baseline):
        classes = recalls[recalls["entry"] == name].groupby("class_id").agg({"recall": "mean", "n_test": "first"})
        seen = classes.dropna()
        if seen.empty:
            return spread([])
        n = seen["n_test"].to_numpy(dtype=int)
        means.append((rng.binomial(n, seen["recall"].to_numpy(dtype=float), (n_draws, len(n))) / n).mean(axis=1))
    return spread(means[0] - means[1])
