"""Head for tail, and where errors go: against sums done by hand on a simulated study."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.reading.study_folder import load_study
from analysis.results.accuracies import scores
from analysis.results.class_gains import class_gains
from analysis.results.comparisons import paired_gain
from analysis.results.head_tail_exchange import (
    confusion_flow,
    exchange,
    group_separability,
    leading_confusions,
    price_sentences,
)
from tests.analysis.simulation import paired_values, rewriting, with_gains

Simulated = Callable[..., Path]


def test_the_price_is_points_of_many_for_a_point_of_few(simulated: Simulated) -> None:
    study = load_study(simulated(n_trials=4, n_pruned=0, n_failed=0))
    table = exchange(study).set_index("entry")
    assert "teacher" not in table.index
    assert "la" not in table.index
    few, many = (paired_gain(scores(study), "best1", "la", column=name) for name in ("few", "many"))
    assert table.loc["best1", ["few", "few_low", "many", "many_high"]].tolist() == [
        few.mean,
        few.low,
        many.mean,
        many.high,
    ]
    assert table.loc["best1", "price"] == pytest.approx(-many.mean / few.mean)
    assert 0 < table.loc["best1", "price"] < 1
    assert np.isnan(table.loc["ce", "price"]), "ce loses on Few: there is nothing to pay for"


def test_every_baseline_has_its_own_exchange(simulated: Simulated) -> None:
    study = load_study(simulated(n_trials=4, n_pruned=0, n_failed=0))
    table = exchange(study, baselines=("la", "kd", "absent"))
    assert list(dict.fromkeys(table["baseline"])) == ["la", "kd"]
    alone = exchange(study, baselines=("kd",))
    pd.testing.assert_frame_equal(table[table["baseline"] == "kd"].reset_index(drop=True), alone)
    few = paired_gain(scores(study), "best1", "kd", column="few")
    assert alone.set_index("entry").loc["best1", "few"] == few.mean


def test_nothing_is_priced_from_few_seeds(simulated: Simulated) -> None:
    study = load_study(simulated(n_trials=4, n_pruned=0, n_failed=0, n_seeds=3))
    assert exchange(study)["price"].isna().all()


@pytest.mark.parametrize(
    ("few", "many", "price"),
    [
        ((0.001, 0.031), (-0.020, 0.010), None),  # -2.0 / 0.1 would be 20 points of Many per point of Few
        ((0.005, 0.006), (-0.010, 0.004), None),
        ((-0.010, 0.004), (-0.020, 0.010), None),
        ((0.010, 0.006), (-0.020, 0.010), "2.00"),
        ((0.010, 0.006), (-0.020, 0.030), "0.00"),
    ],
)
def test_the_first_screen_and_the_table_give_a_price_by_one_rule(
    simulated: Simulated, few: tuple[float, float], many: tuple[float, float], price: str | None
) -> None:
    study = load_study(simulated(n_trials=4, n_pruned=0, n_failed=0, recalls={"la": (0.8, 0.5), "best1": (0.8, 0.5)}))
    for group, (mean, half) in (("few", few), ("many", many)):
        study = with_gains(study, "la", f"test_{group}", paired_values(mean, half))
    row = exchange(study).set_index("entry").loc["best1"]
    assert (row["few_low"], row["few_high"]) == pytest.approx((few[0] - few[1], few[0] + few[1]))
    said = price_sentences(study, "la")[0]
    if price is None:
        assert np.isnan(row["price"])
        assert said.endswith(" Many lies below la with its whole 95 % interval; Few shows no gain.")
    else:
        assert f"{row['price']:.2f}" == price
        told = f"Per point more on Few there are {price} points less on Many."
        assert said.endswith(told if row["price"] else "No price for the head is shown.")


def _lowered(folder: Path, entry: str, class_id: int, n: int) -> None:
    """Take `n` right test images of a class from every run of an entry."""
    path = f"$.test.correct[{class_id}]"
    with rewriting(folder) as ledger:
        ledger._database.connection.execute(
            "UPDATE confirm_runs SET record = json_set(record, ?, json_extract(record, ?) - ?) WHERE entry = ?",
            (path, path, n, entry),
        )


def test_classes_that_lie_below_the_baseline_are_named_beside_the_price(simulated: Simulated) -> None:
    folder = simulated(n_trials=4, n_pruned=0, n_failed=0, recalls={"la": (0.8, 0.5), "best1": (0.8, 0.6)})
    before = price_sentences(load_study(folder), "la")
    assert before[0].startswith("By groups, best1 minus la, not tested: Few +")
    assert before[0].endswith("No price for the head is shown.")
    assert before[1:] == ["No class lies below la with its whole 95 % interval."]
    _lowered(folder, "best1", 8, 60)
    study = load_study(folder)
    gains = class_gains(study, entries=("best1",), baseline="la").set_index("class_id")
    gain, low, high = (100 * gains.loc[8, name] for name in ("gain", "low", "high"))
    told, named = price_sentences(study, "la")
    assert told.endswith("No price for the head is shown.")
    assert named == (
        f"1 of 10 classes lies below la with its whole 95 % interval: \u2068Bag\u2069 (Few) −{-gain:.1f} points "
        f"(−{-low:.1f} to −{-high:.1f}). Holm's correction for all classes leaves 1 of them."
    )


@pytest.mark.parametrize("without", ["many", "few"])
def test_one_group_of_the_ends_does_not_stand_alone(simulated: Simulated, without: str) -> None:
    folder = simulated(n_trials=4, n_pruned=0, n_failed=0, recalls={"la": (0.8, 0.5), "best1": (0.75, 0.6)})
    study = load_study(folder)
    emptied = {name: getattr(study, name).assign(**{f"test_{without}": np.nan}) for name in ("confirm", "confirm_all")}
    said = price_sentences(replace(study, **emptied), "la")[0]
    assert {"many": "Few", "few": "Many"}[without] in said
    assert "Medium" in said
    assert "No price" not in said
    assert without.capitalize() not in said
    whole = price_sentences(study, "la")[0]
    assert "Medium" not in whole


def test_many_losing_classes_are_counted_and_the_largest_losses_named(simulated: Simulated) -> None:
    folder = simulated(n_trials=4, n_pruned=0, n_failed=0, recalls={"la": (0.8, 0.5), "best1": (0.75, 0.44)})
    (named,) = price_sentences(load_study(folder), "la")[1:]
    assert " of 10 classes lie below la with their whole 95 % interval: " in named
    n = int(named.split()[0])
    assert n > 5
    assert f", and {n - 5} more." in named or f" and {n - 5} more." in named


def test_from_few_seeds_no_class_is_said_to_fall_to_holms_correction(simulated: Simulated) -> None:
    recalls = {"la": (0.8, 0.5), "best1": (0.75, 0.44)}
    folder = simulated(n_trials=4, n_pruned=0, n_failed=0, n_seeds=3, recalls=recalls)
    (named,) = price_sentences(load_study(folder), "la")[1:]
    assert named.endswith(". No class is told apart: that takes 6 pairs of runs.")
    assert "Holm" not in named


def test_flow_is_the_shares_of_each_groups_images(simulated: Simulated) -> None:
    study = load_study(simulated(n_trials=4, n_pruned=0, n_failed=0))
    flow = confusion_flow(study, entries=("la", "best1"))
    assert list(flow["group"]) == ["many", "medium", "few"] * 2
    parts = flow[["right", "to_many", "to_medium", "to_few"]].sum(axis=1)
    assert parts.to_numpy() == pytest.approx(1.0)
    few = list(study.groups["few"])
    la = study.classes[(study.classes["entry"] == "la") & study.classes["class_id"].isin(few)]
    row = flow[(flow["entry"] == "la") & (flow["group"] == "few")].iloc[0]
    assert row["right"] == pytest.approx(la["n_correct"].sum() / la["n_test"].sum())
    assert row["n_test"] == 300 * len(few)
    # Only the largest Few class borders on a Medium one, and errors go to the next larger class.
    first = la[la["class_id"] == few[0]]
    assert row["to_medium"] == pytest.approx((first["n_test"] - first["n_correct"]).sum() / la["n_test"].sum())
    assert row["to_many"] == 0.0


def test_leading_confusions_are_those_of_the_baseline(simulated: Simulated) -> None:
    study = load_study(simulated(n_trials=4, n_pruned=0, n_failed=0))
    table = leading_confusions(study, entry="best1", baseline="la", n=3)
    assert list(table["class_name"]) == ["Ankle boot", "Bag", "Sneaker"]
    assert list(table["predicted_name"]) == ["Bag", "Sneaker", "Shirt"]
    assert (table["entry"] < table["baseline"]).all()
    la = study.classes[(study.classes["entry"] == "la") & (study.classes["class_name"] == "Bag")]
    assert table.loc[1, "baseline"] == pytest.approx((la["n_test"] - la["n_correct"]).mean())


def test_a_study_without_confusions_has_no_flow(simulated: Simulated) -> None:
    folder = simulated(n_trials=4, n_pruned=0, n_failed=0)
    with rewriting(folder) as ledger:
        ledger._database.connection.execute("UPDATE confirm_runs SET record = json_remove(record, '$.test.confusion')")
    study = load_study(folder)
    assert confusion_flow(study, entries=("la", "best1")).empty
    assert isinstance(study.confusion, pd.DataFrame)


def test_features_are_measured_in_distances_between_classes(simulated: Simulated) -> None:
    study = load_study(simulated(n_trials=4, n_pruned=0, n_failed=0))
    table = group_separability(study, entries=("la", "best1"))
    assert list(table["group"]) == ["many", "medium", "few"] * 2
    row = table[(table["entry"] == "la") & (table["group"] == "few")].iloc[0]
    la = study.classes[(study.classes["entry"] == "la") & study.classes["class_id"].isin(study.groups["few"])]
    assert row["deviation"] == pytest.approx((1 - la["n_correct"] / la["n_test"]).mean())
    assert row["spread"] == pytest.approx(0.5)
    assert (row["n_seeds"], row["n_classes"]) == (6, len(study.groups["few"]))
