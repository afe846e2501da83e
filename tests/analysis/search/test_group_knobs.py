"""Knobs that trade groups of classes for others are named, with where each group is best; others are not."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.page.writer import Writer
from analysis.reading.study_data import StudyData
from analysis.reading.study_folder import load_study
from analysis.search.group_knobs import GroupEffect, group_effects, group_sentences
from analysis.search.importance import importance_sentences, importances
from analysis.sections.knobs.importance import importance_blocks
from tests.analysis.simulation import rewriting, set_last_counts
from trainables.cckd.records import ClassCounts

Simulated = Callable[..., Path]
SMALL = {"n_trials": 40, "n_pruned": 0, "n_failed": 0, "n_seeds": 1}
N_MANY, N_FEW = 3, 4


def trading_groups(folder: Path) -> StudyData:
    """Let Many fall and Few rise with mix_ratio in a simulated study, so that their mean hardly moves."""
    with rewriting(folder) as ledger:
        for row in ledger.rows():
            assert row.val is not None
            seen, shift = row.val.seen, row.params["mix_ratio"]
            many, few = (round((0.5 + sign * 0.3 * shift) * seen[0]) for sign in (-1, 1))
            middle = row.val.correct[N_MANY:-N_FEW]
            set_last_counts(ledger, row.number, ClassCounts((*[many] * N_MANY, *middle, *[few] * N_FEW), seen))
    return load_study(folder)


@pytest.fixture
def traded(simulated: Simulated) -> StudyData:
    return trading_groups(simulated(**SMALL))


def test_what_trades_groups_is_named_with_where_each_is_best(traded: StudyData) -> None:
    found = {effect.group: effect for effect in importances(traded, n_samples=3).groups if effect.knob == "mix_ratio"}
    assert {"many", "few"} <= set(found)
    values = [trial.params["mix_ratio"] for trial in traded.complete]
    low, high = min(values), max(values)
    assert (found["many"].best, found["many"].worst) == pytest.approx((low, high), rel=0.1)
    assert (found["few"].best, found["few"].worst) == pytest.approx((high, low), rel=0.1)
    for effect in (found["many"], found["few"]):
        assert effect.falls == pytest.approx(0.3 * (high - low), abs=0.02)
        assert effect.p == pytest.approx(3 * 0.002)


def test_the_first_screen_says_it_beside_what_all_classes_show(traded: StudyData) -> None:
    (_, said, *_) = importance_sentences(importances(traded, n_samples=3))
    assert said.startswith("For groups of classes mix_ratio is shown to matter (p 0.006, too small where a sampler ")
    assert " Many is highest at 0.1" in said
    assert "Few is highest at 0." in said


def test_a_table_holds_every_knob_and_group(traded: StudyData, tmp_path: Path) -> None:
    ranked = importances(traded, n_samples=3)
    importance_blocks(ranked, Writer(tmp_path, draw=lambda *_: None))
    table = pd.read_csv(tmp_path / "tables" / "group_knobs.csv")
    assert table[["knob", "group"]].to_numpy().tolist() == [[effect.knob, effect.group] for effect in ranked.groups]


def test_groups_share_the_level(traded: StudyData) -> None:
    rows = [{"target": group, "knob": "mix_ratio", "p_family": 0.02} for group in ("many", "few")]
    assert {effect.p for effect in group_effects(traded, rows)} == {0.04}
    assert group_effects(traded, [*rows, {"target": "medium", "knob": "mix_ratio", "p_family": 0.9}]) == ()
    assert group_effects(traded, [{"target": "all", "knob": "mix_ratio", "p_family": 0.002}]) == ()


def test_two_knobs_have_a_sentence_each_and_the_rest_none() -> None:
    effects = [GroupEffect(name, "few", 0.006, 1.5, 0.5, 0.0962) for name in ("tau", "kd_weight", "mix_op")]
    effects.append(GroupEffect("tau", "many", 0.03, np.float64(0.5), 1.5, 0.02))
    first, second = group_sentences(effects, learned=False)
    assert first == (
        "For groups of classes tau is shown to matter (p 0.030). Few is highest at 1.5, and 9.6 points lower at 0.5. "
        "Many is highest at 0.5, and 2.0 points lower at 1.5."
    )
    assert second.startswith("For groups of classes kd_weight")
    first, _ = group_sentences(effects, learned=True)
    assert "is shown to matter (p 0.030, too small where a sampler learned). Few" in first


def test_a_knob_named_for_all_classes_is_named_again_only_where_its_groups_differ() -> None:
    effects = [GroupEffect("cckd_weight", group, 0.006, 2.1, 0.1, 0.1) for group in ("few", "many")]
    effects += [GroupEffect("tau", "few", 0.006, 1.5, 0.5, 0.1), GroupEffect("tau", "many", 0.006, 0.5, 1.5, 0.1)]

    def told(*named: str) -> list[str]:
        return [sentence.split()[4] for sentence in group_sentences(effects, learned=False, named=named)]

    assert told() == ["cckd_weight", "tau"]
    assert told("cckd_weight", "tau") == ["tau"]
    assert told("tau", "another") == ["cckd_weight", "tau"]
