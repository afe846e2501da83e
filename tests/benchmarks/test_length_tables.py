"""Tests for the tables of the training lengths."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from benchmarks.length_tables import LIMIT, Row, differences, read_rows, table
from trainables.cckd.config import TrialConfig

SEEN = [50, 50]


def row(method: str, seed: int, epochs: int, correct: list[int], **knobs: Any) -> Row:
    config = TrialConfig.build({"method": method, "epochs": epochs, "seed": seed, **knobs}).flat()
    return Row(
        data="two_classes",
        teacher="linear_probe/8",
        config=config,
        val={str(epochs): correct},
        val_seen=SEEN,
        train_counts=[200, 10],
        test=None,
        train_s=1.0,
        where="here",
    )


ROWS = [
    *(row("la", seed, 4, [40, 20 + seed]) for seed in (0, 1, 2)),
    *(row("la", seed, 8, [40, 24 + 2 * seed]) for seed in (0, 1, 2)),
    *(row("cckd", seed, 4, [42, 30 + seed]) for seed in (0, 1, 2)),
]


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_line_of_json_gives_the_row_back() -> None:
    assert Row.from_json(ROWS[0].to_json()) == ROWS[0]


def test_the_table_has_one_row_per_rung_and_length_with_what_twice_the_length_adds() -> None:
    header, _, *lines = map(cells, table(ROWS).splitlines())
    found = {(line[1], line[2]): dict(zip(header, line, strict=True)) for line in lines}
    assert set(found) == {("la", "4"), ("la", "8"), ("cckd", "4")}

    one = found["la", "4"]
    assert (one["n"], one["many"], one["few"]) == ("3", "80.0", "42.0")
    added = np.array([4.0, 5.0, 6.0])  # one more image of a class of 50 is one point of the mean of two classes
    bound = added.mean() + stats.t.ppf(0.975, 2) * added.std(ddof=1) / np.sqrt(3)
    assert bound > LIMIT
    assert one["twice the length adds (upper bound)"] == f"+5.0 ({bound:+.1f}, not trained out)"


def test_differences_are_paired_by_seed() -> None:
    _, _, line = differences(ROWS).splitlines()
    assert cells(line)[1:] == ["4", "cckd - la", "3", "+12.0 (+12.0 to +12.0)", "+20.0 (+20.0 to +20.0)", "", "", ""]


def test_differences_say_what_twice_the_length_adds_to_them() -> None:
    longer = [row("cckd", seed, 8, [43, 36 + seed]) for seed in (1, 2, 5)]  # the seeds that both lengths have count
    _, _, line, _ = differences([*ROWS, *longer]).splitlines()
    growth = np.array([14.0 - 12.0, 13.0 - 12.0])
    half = stats.t.ppf(0.975, 1) * growth.std(ddof=1) / np.sqrt(2)
    assert cells(line)[-1] == f"{growth.mean():+.1f} ({growth.mean() - half:+.1f} to {growth.mean() + half:+.1f})"


@pytest.mark.parametrize(("method", "knobs"), [("cckd", {"temperature": 4.0}), ("acckd_no_fi", {"mix_balance": 0.0})])
def test_a_rung_names_the_knobs_that_left_their_reference(method: str, knobs: dict[str, Any]) -> None:
    ((name, value),) = knobs.items()
    assert row(method, 0, 4, SEEN, **knobs).rung == f"{method} {name}={value:g}"


def test_results_on_test_stand_beside_those_on_d_val_by_group() -> None:
    opened = [replace(one, test={"correct": [45, 10], "seen": [50, 50]}) for one in ROWS if one.config["epochs"] == 4]
    header, _, _, line = map(cells, table(opened).splitlines())
    assert header[10:14] == ["test", "many on test", "medium on test", "few on test"]
    assert line[10:14] == ["55.0 ± 0.0", "90.0", "", "20.0"]
    _, _, line = map(cells, differences(opened).splitlines())
    assert line[6:8] == ["+0.0 (+0.0 to +0.0)"] * 2


def test_a_run_that_was_trained_again_stands_once_as_it_was_last(tmp_path: Path) -> None:
    opened = replace(ROWS[0], test={"correct": [1, 2], "seen": SEEN})
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(one.to_json() for one in (*ROWS, opened)))
    assert read_rows(path) == [opened, *ROWS[1:]]
    assert read_rows(tmp_path / "absent.jsonl") == []


def test_a_rung_with_a_changed_knob_is_compared_with_itself_too() -> None:
    changed = [row("cckd", seed, 4, [44, 30 + seed], temperature=4.0) for seed in (0, 1, 2)]
    told = [cells(line)[2:5] for line in differences([*ROWS, *changed]).splitlines()[2:]]
    assert ["cckd temperature=4 - la", "3", "+14.0 (+14.0 to +14.0)"] in told
    assert ["cckd temperature=4 - cckd", "3", "+2.0 (+2.0 to +2.0)"] in told
    assert ["cckd - cckd", "3", "+0.0 (+0.0 to +0.0)"] not in told
