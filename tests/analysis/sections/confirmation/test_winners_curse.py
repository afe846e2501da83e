"""The tables of the winner's curse in a report."""

from pathlib import Path

import pandas as pd
import pytest


def test_the_report_shows_shrinkage_and_the_set(reported: Path) -> None:
    tables = reported / "report" / "tables"
    shrinkage, confirm = pd.read_csv(tables / "shrinkage.csv"), pd.read_csv(reported / "confirm.csv")
    runs = confirm[confirm["entry"] == "best1"]
    assert shrinkage["entry"].tolist() == ["best1"]
    assert shrinkage.loc[0, "val_again"] == pytest.approx(runs["val_balanced_accuracy"].mean())
    assert shrinkage.loc[0, "test"] == pytest.approx(runs["test_balanced_accuracy"].mean())
    kept = pd.read_csv(tables / "not_worse.csv")
    assert 1 <= kept["n_kept"].iloc[0] <= 16
    comparisons = pd.read_csv(tables / "comparisons.csv")
    assert {"p_holm", "smallest_p_sign_flip_holm", "sd_test_images", "verdict"} <= set(comparisons)
