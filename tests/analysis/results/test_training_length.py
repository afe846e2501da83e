"""Planted courses and gains are called by their names, and curves alone are evidence of nothing."""

import re
from collections.abc import Callable, Sequence
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.page.document import Gallery, Paragraph, Picture, ReportTable, unfolded
from analysis.page.writer import Writer
from analysis.reading.study_folder import load_study
from analysis.results.accuracies import scores
from analysis.results.claim_sentences import claim_sentences
from analysis.results.comparisons import claim_terms, primary_family
from analysis.results.findings import Findings, find
from analysis.results.training_length import TOLERANCE, check_length, curve_bands, fate_of, training_states
from analysis.search.importance import Importances
from analysis.sections.confirmation.comparisons import comparison_table
from analysis.sections.recommendation import recommendation_section
from analysis.sections.training_length import training_section
from tests.analysis.simulation import RECALLS, fail_run, rewriting
from tests.support.prose import long_sentences

#: The baselines in the words of a headline.
OF_LA = "logit adjustment (la)"
OF_KD = "logit adjustment with classic distillation (kd)"

Simulated = Callable[..., Path]
SMALL = {"n_trials": 4, "n_pruned": 0, "n_failed": 0}
COMPARED = ("la", "kd", "best1")


def _one_cycle(last: float, epochs: int = 40) -> np.ndarray:
    """A curve under a rate that falls to 0: it climbs to its end, where it flattens at `last`."""
    done = np.arange(1, epochs + 1) / epochs
    return last - 0.25 * np.cos(np.pi * done / 2)


def _state(changes: Sequence[float], rises: Sequence[float] = (), **others: Sequence[float]) -> str:
    return training_states({"it": changes, **others}, {"it": rises})["it"].state


def test_a_run_under_one_cycle_rises_at_its_end_whether_it_is_trained_out_or_not() -> None:
    curve = _one_cycle(0.75)
    rises = [curve[-1] - curve[29]] * 3
    assert min(rises) > 0.05
    assert _state([], rises) == "unchecked", "the curve alone is no evidence"
    assert _state([0.001, -0.002, 0.0], rises) == "trained out"
    assert _state([0.031, 0.028, 0.034], rises) == "climbs"


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ([0.03, 0.035, 0.04], "climbs"),
        ([0.004, 0.005, 0.006], "climbs"),
        ([-0.004, 0.0, 0.004], "trained out"),
        ([-0.05, -0.06, -0.04], "trained out"),
        ([-0.03, 0.01, 0.05], "open"),
        ([0.03], "unchecked"),
        ([], "unchecked"),
    ],
)
def test_the_state_follows_from_the_interval_of_the_change(changes: list[float], state: str) -> None:
    assert _state(changes) == state


def test_the_scatter_of_the_other_entries_counts_too() -> None:
    alone, beside = [0.02, 0.001, 0.03], {"b": [0.001, 0.002, 0.003], "c": [-0.001, 0.0, 0.001]}
    assert _state(alone) == "open"
    assert _state(alone, **beside) == "climbs"
    assert _state([0.01, 0.01, 0.01], b=[0.1, -0.1, 0.0]) == "open"


def test_a_trained_out_entry_is_called_climbing_in_a_fortieth_of_studies() -> None:
    """Three entries, three seeds, no change: the upper half of what a two-sided 95 % interval leaves out."""
    drawn = np.random.default_rng(0).normal(0, 0.01, size=(2000, 3, 3))
    wrong = [_state(a, b=b, c=c) == "climbs" for a, b, c in drawn]
    assert 0.015 < np.mean(wrong) < 0.035


@pytest.mark.parametrize(
    ("before", "after", "fate"),
    [
        (0.05, 0.05, "holds"),
        (0.05, 0.08, "holds"),
        (0.08, 0.03, "shrinks"),
        (0.08, 0.001, "vanishes"),
        (0.08, -0.03, "vanishes"),
        (0.01, -0.001, "not seen"),
        (0.011, 0.0, "not seen"),
        (0.008, 0.006, "open"),
    ],
)
def test_the_fate_of_a_gain_follows_from_the_interval_at_the_longer_training(
    before: float, after: float, fate: str
) -> None:
    noise = np.array([-0.01, 0.0, 0.01])
    first, second, found = fate_of(before + np.tile(noise, 2), after + noise)
    assert found == fate
    assert (first.n, second.n) == (6, 3)
    assert (first.mean, second.mean) == pytest.approx((before, after))


@pytest.mark.parametrize(
    ("before", "after", "half", "fate"),
    [
        (0.046, -0.004, 0.092, "not seen"),
        (0.046, -0.060, 0.092, "vanishes"),
        (0.020, -0.100, 0.130, "not seen"),
        (0.046, 0.004, 0.092, "open"),
    ],
)
def test_a_gain_vanishes_only_where_its_fall_is_shown(before: float, after: float, half: float, fate: str) -> None:
    sd = half * 3**0.5 / 2.3646  # t of seven degrees
    short = before + sd * (5 / 6) ** 0.5 * np.array([1, -1] * 3)
    _, longer, found = fate_of(short, after + sd * np.array([-1, 0, 1]))
    assert (longer.mean, longer.low, longer.high) == pytest.approx((after, after - half, after + half), abs=1e-5)
    assert found == fate
    assert (found == "vanishes") == (longer.high < before)


@pytest.mark.parametrize("after", [[], [0.01]])
def test_a_gain_without_two_longer_seeds_is_unchecked(after: list[float]) -> None:
    assert fate_of([0.05, 0.06, 0.04], after)[2] == "unchecked"


def _find(folder: Path) -> Findings:
    return find(load_study(folder), Importances(pd.DataFrame(), 4, ()))


def _studied(simulated: Simulated, **longer: tuple[float, float]) -> Path:
    at_length = {name: RECALLS[name] for name in COMPARED}
    return simulated(longer=at_length | longer, **SMALL)


def test_gains_that_hold_are_said_to_hold_with_both_figures(simulated: Simulated) -> None:
    folder = _studied(simulated)
    check, found = check_length(load_study(folder)), _find(folder)
    assert (check.epochs, check.factor, check.longer_epochs) == (20, 2, 40)
    assert {name: check.states[name].state for name in COMPARED} == dict.fromkeys(COMPARED, "trained out")
    assert check.states["ce"].state == "unchecked"
    assert found.headline == f"A gain over {OF_LA} and {OF_KD} that holds at 40 epochs"
    assert "beats logit adjustment (la) by 5." in found.sentences[0]
    assert found.sentences[2].startswith(
        "la, kd and best1 are trained out at 20 epochs. The change on validation at 40 epochs: la "
    )
    assert found.sentences[3].startswith("The gain over la holds at 40 epochs: +5.")
    assert "points at 20 epochs (6 seeds), +5." in found.sentences[3]
    assert "at 40 (3 seeds, 95 % interval +" in found.sentences[3]
    assert found.sentences[4].startswith("The gain over kd holds at 40 epochs")


def test_a_diverged_longer_run_counts_in_the_gain_and_says_nothing_of_who_climbs(simulated: Simulated) -> None:
    folder = _studied(simulated)
    before = check_length(load_study(folder))
    fail_run(folder, "best1", 1002, "non-finite loss: it became inf", epochs_factor=2)
    after = check_length(load_study(folder))
    assert after.gain("la").at_length == before.gain("la").at_length
    assert (after.gain("la").longer.n, after.fate("la")) == (3, "not seen")
    assert after.gain("la").longer.mean < -0.1
    assert (after.states["best1"].state, after.states["best1"].change.n) == ("trained out", 2)
    found = _find(folder)
    assert (
        found.headline == f"A gain over {OF_LA} and {OF_KD} that is not seen at 40 epochs, where the seeds cannot tell"
    )
    assert found.sentences[0].count("; not seen at 40 epochs).") == 2
    (of_la,) = (said for said in found.sentences if said.startswith("The gain over la "))
    assert of_la.startswith("The gain over la is not seen at 40 epochs, but 3 seeds cannot tell: +5.")


def test_a_rung_that_still_climbs_is_named_and_carries_no_claim(simulated: Simulated) -> None:
    folder = _studied(simulated, kd=(0.95, 0.60))
    found = _find(folder)
    assert check_length(load_study(folder)).climbing() == ["kd"]
    assert (
        found.headline == f"A gain over {OF_LA} that holds at 40 epochs, none claimed over {OF_KD}, which still climbs"
    )
    assert found.sentences[0].endswith("). This carries no claim, because kd still climbs.")
    assert "beats logit adjustment (la)" in found.sentences[0]
    assert "beats logit adjustment with" not in found.sentences[0]
    assert found.sentences[2].startswith(
        "kd still climbs at 20 epochs and carries no claim. The change on validation at 40 epochs: kd +1"
    )
    assert any(said.startswith("No gain over kd is claimed; best1 minus kd: +") for said in found.sentences)


def test_nothing_is_claimed_where_best1_still_climbs(simulated: Simulated) -> None:
    found = _find(_studied(simulated, best1=(0.90, 0.75)))
    assert found.headline == "No claim: best1 still climbs at 20 epochs"
    assert "beats" not in found.sentences[0]


def test_a_loss_to_a_rung_that_still_climbs_is_no_claim_either(simulated: Simulated, tmp_path: Path) -> None:
    recalls = {"la": (0.86, 0.50), "kd": (0.93, 0.30), "best1": (0.82, 0.46)}
    folder = simulated(
        recalls=recalls, longer={name: recalls[name] for name in COMPARED} | {"la": (0.95, 0.7)}, **SMALL
    )
    found, study = _find(folder), load_study(folder)
    assert (
        found.headline == f"A gain over {OF_KD} that holds at 40 epochs, none claimed over {OF_LA}, which still climbs"
    )
    assert "points below logit adjustment (la) in this study (95 % interval −" in found.sentences[0]
    assert "). This carries no claim, because la still climbs. It beats" in found.sentences[0]
    comparison_table(study, primary_family(scores(study), claim_terms(study)), Writer(tmp_path))
    verdicts = pd.read_csv(tmp_path / "tables" / "comparisons.csv")["verdict"].tolist()
    assert verdicts == ["no claim: la not trained out", "gain"]
    trust = "Chosen on validation; on test no gain over every baseline is claimed (see the first screen)."
    assert recommendation_section(study, Writer(tmp_path)).blocks[0] == Paragraph(trust)


def test_one_longer_run_per_entry_checks_nothing(simulated: Simulated, tmp_path: Path) -> None:
    folder = simulated(longer={name: RECALLS[name] for name in COMPARED}, n_long_seeds=1, **SMALL)
    section = training_section(load_study(folder), Writer(tmp_path))
    assert section is not None
    assert section.blocks[0] == Paragraph(
        "A claim belongs to a training length. One longer run per entry checks nothing: that takes two seeds. Runs at "
        "40 epochs have the seeds of the confirmation, and their schedule spans all of their epochs."
    )
    assert _find(folder).sentences[2].endswith("--epochs-factor 2, on two seeds or more, checks it.")


@pytest.mark.parametrize("n_cuts", [1, 6])
def test_the_texts_of_the_section_are_short_and_name_the_own_subset_beside_claims_over_all(
    simulated: Simulated, tmp_path: Path, n_cuts: int
) -> None:
    longer = {name: RECALLS[name] for name in COMPARED}
    study = load_study(simulated(longer=longer, n_cuts=n_cuts, n_seeds=6 if n_cuts == 1 else 2, **SMALL))
    section = training_section(study, Writer(tmp_path))
    assert section is not None
    captions = [block.caption for block in unfolded(section.blocks) if isinstance(block, Picture | ReportTable)]
    galleries = [block for block in unfolded(section.blocks) if isinstance(block, Gallery)]
    captions += [picture.caption for gallery in galleries for picture in gallery.pictures]
    assert len(captions) == 6
    assert long_sentences(" ".join(captions)) == []
    (gains,) = (caption for caption in captions if caption.startswith("Differences of test balanced accuracy"))
    assert (" on the study's own subset, in points" in gains) == (n_cuts > 1)


@pytest.mark.parametrize("longer", [{}, {"kd": (0.95, 0.60)}])
def test_one_epoch_is_in_the_singular(simulated: Simulated, longer: dict[str, tuple[float, float]]) -> None:
    study = load_study(_studied(simulated, **longer) if longer else simulated(**SMALL))
    study.manifest["plan"]["epochs"] = 1
    found = find(study, Importances(pd.DataFrame(), 4, ()))
    told = " ".join([found.headline, *found.sentences, check_length(study).climbing_text])
    assert "1 epoch" in told
    assert not re.search(r"\b1 epochs", told)


def test_a_gain_that_does_not_hold_says_so_in_the_sentence_that_claims_it(simulated: Simulated) -> None:
    """best1 gets worse at twice the length, and the baselines stay."""
    found = _find(_studied(simulated, best1=(0.84, 0.52)))
    assert (
        found.headline
        == f"A gain over {OF_LA} that vanishes at 40 epochs, a gain over {OF_KD} that shrinks at 40 epochs"
    )
    first, *others = found.sentences
    assert "; vanishes at 40 epochs). It beats logit adjustment with classic distillation (kd) by 12." in first
    assert first.endswith("at 40 epochs).")
    assert "; shrinks to 6." in first
    assert [said[:24] for said in others if said.startswith("The gain over")] == [
        "The gain over la vanishe",
        "The gain over kd shrinks",
    ]


def test_without_longer_runs_the_first_screen_says_that_nothing_was_checked(simulated: Simulated) -> None:
    folder = simulated(**SMALL)
    found = _find(folder)
    assert check_length(load_study(folder)).factor == 1
    assert found.sentences[2].startswith("Whether any of this holds at a longer training than 20 epochs is not checked")


def test_a_higher_factor_counts_once_the_compared_entries_have_two_seeds_there(simulated: Simulated) -> None:
    folder = _studied(simulated)
    with rewriting(folder) as ledger:
        recorded = [run for run in ledger.runs.confirm_runs() if run.epochs_factor == 2]
        for run in (run for run in recorded if run.seed == 1001):
            ledger.runs.add_confirm_run(run.entry, run.seed, run.trial, run.record, epochs_factor=4)
    assert check_length(load_study(folder)).factor == 2
    with rewriting(folder) as ledger:
        for run in recorded:
            ledger.runs.add_confirm_run(run.entry, run.seed, run.trial, run.record, epochs_factor=4)
    assert check_length(load_study(folder)).longer_epochs == 80


def test_runs_at_a_longer_training_change_nothing_else(simulated: Simulated, tmp_path: Path) -> None:
    alone = load_study(simulated(**SMALL))
    (tmp_path / "runs" / "simulated").rename(tmp_path / "alone")
    both = load_study(_studied(simulated, la=(0.99, 0.99)))
    for name in ("confirm", "classes", "confirm_all", "classes_all", "confusion", "separability"):
        pd.testing.assert_frame_equal(getattr(alone, name), getattr(both, name))
    assert len(both.longer) == 9


def test_a_curves_band_is_the_median_and_the_range_over_seeds(simulated: Simulated) -> None:
    study = load_study(_studied(simulated))
    bands = curve_bands(study, ("best1", "la"), "val_few")
    keys: list[tuple[Any, ...]] = [
        (name, f, f * k) for name in ("best1", "la") for f in (1, 2) for k in (5, 10, 15, 20)
    ]
    assert list(bands[["entry", "epochs_factor", "epoch"]].itertuples(index=False, name=None)) == keys
    row = bands.iloc[3]
    values = study.curves.query("entry == 'best1' and epochs_factor == 1 and epoch == 20")["val_few"]
    assert (row["n"], row["median"], row["low"], row["high"]) == (6, values.median(), values.min(), values.max())


def test_the_tolerance_is_the_bound_of_being_trained_out() -> None:
    just = TOLERANCE - 0.001
    assert _state([just, just, 0.0], b=[0.0, 0.0, 0.0]) in ("open", "climbs")
    assert _state([-0.001, 0.001, 0.0]) == "trained out"
    assert isnan(training_states({}, {"it": [0.1]})["it"].change.mean)


def test_the_gain_from_tuning_is_checked_where_the_reference_point_was_trained_longer(simulated: Simulated) -> None:
    folder = _studied(simulated, acckd=(0.86, 0.72))
    (told,) = (said for said in _find(folder).sentences if said.startswith("From tuning itself: best1 is "))
    assert told.endswith("; not tested).")
    assert [gain.baseline for gain in check_length(load_study(folder)).gains] == ["la", "kd", "acckd"]


def test_where_best1_is_the_reference_point_tuning_gained_nothing(simulated: Simulated) -> None:
    folder = _studied(simulated, acckd=(0.86, 0.72))
    study = load_study(folder)
    table = scores(study)
    same = table.loc[table["entry"] == "best1"].assign(entry="acckd")
    changed = pd.concat([table.loc[table["entry"] != "acckd"], same])
    told = claim_sentences(study, changed, primary_family(changed, claim_terms(study)), check_length(study))
    assert "From tuning itself: nothing, because best1 is acckd at its reference point." in told
