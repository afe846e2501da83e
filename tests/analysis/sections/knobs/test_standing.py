"""Where each knob should stand: a range around the best value of a knob that matters, a bound for every knob."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.page.document import Code, Paragraph, ReportTable
from analysis.page.writer import Writer
from analysis.reading.study_data import StudyData
from analysis.reading.study_folder import load_study
from analysis.reading.wording import listing
from analysis.search.importance import importances
from analysis.search.slices import slices_of
from analysis.sections.knobs.standing import standing_blocks
from search_spaces.acckd import ACCKD_FULL
from study.planning.points.points_file import read_points
from study.terminal.faults import Faults


def _load(folder: Path) -> StudyData:
    found = load_study(folder)
    rng = np.random.default_rng(0)
    for trial in found.complete:
        trial.values = [0.75 - 0.4 * (trial.params["tau"] - 1) ** 2 + rng.normal(0, 0.004)]
    return found


@pytest.fixture(scope="module")
def folder(simulate: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("standing")
    return simulate(place, space=ACCKD_FULL, n_trials=44, n_pruned=0, n_failed=0, n_seeds=0)


@pytest.fixture
def study(folder: Path) -> StudyData:
    """A study in which tau decides all: its best value is 1, and each unit away costs twenty points."""
    return _load(folder)


@dataclass(frozen=True)
class Standing:
    """What the section shows of a study: its table, also as it is written, its point, and the knobs of groups."""

    lead: Paragraph
    shown: ReportTable
    together: Code | None
    written: pd.DataFrame
    moving: tuple[str, ...]


def _standing(study: StudyData, folder: Path) -> Standing:
    judged = importances(study, n_samples=4)
    writer = Writer(folder, draw=lambda *_: None)
    lead, shown, *together = standing_blocks(study, slices_of(study.complete, study.knobs), judged, writer)
    assert isinstance(lead, Paragraph)
    assert isinstance(shown, ReportTable)
    assert all(isinstance(block, Code) for block in together)
    written = pd.read_csv(folder / "tables" / "standing.csv").set_index("knob")
    return Standing(lead, shown, next(iter(together), None), written, tuple(effect.knob for effect in judged.groups))


@pytest.fixture(scope="module")
def standing(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Standing:
    """Of the study as it is, judged once: that takes seconds."""
    return _standing(_load(folder), tmp_path_factory.mktemp("judged"))


def test_a_knob_that_decides_has_a_range_around_its_best_value(standing: Standing) -> None:
    found = standing.written
    assert found.index[0] == "tau"
    tau = found.loc["tau"]
    assert bool(tau["matters"])
    low, high = float(str(tau["from"])), float(str(tau["to"]))
    assert 0.7 < low < 1 < high < 1.3
    assert tau["costs_at_most"] < 0.04
    assert tau["reference_costs"] < 0.01


def test_an_open_knob_keeps_the_range_that_was_tried_and_has_a_bound(study: StudyData, standing: Standing) -> None:
    found = standing.written
    assert set(found.index) == {knob.name for knob in study.knobs}
    temperature = found.loc["temperature"]
    assert not bool(temperature["matters"])
    tried = [trial.params["temperature"] for trial in study.complete]
    assert [float(str(temperature[end])) for end in ("from", "to")] == pytest.approx([min(tried), max(tried)])
    assert 0 < temperature["costs_at_most"] < 0.05
    assert (found["low"].dropna() <= found["high"].dropna()).all()


@pytest.fixture
def rising(study: StudyData) -> StudyData:
    """The study with another truth: the more tau, the better."""
    for trial in study.complete:
        trial.values = [trial.values[0] + 0.4 * (trial.params["tau"] - 1) ** 2 + 0.3 * trial.params["tau"]]
    return study


def test_the_value_is_the_reference_unless_it_is_told_to_be_worse(
    study: StudyData, standing: Standing, rising: StudyData, tmp_path: Path
) -> None:
    assert standing.written["value"]["tau"] == "1.0"  # the reference is the best
    stands = _standing(rising, tmp_path)
    found = stands.written
    assert float(str(found["value"]["tau"])) > 1.3
    knob, value, _, _, reference, *_ = stands.shown.rows[0]
    assert knob == "tau"
    assert stands.lead.text.startswith(f"First set tau to {value}")
    assert f"Left at its reference it costs {reference} points." in stands.lead.text
    references = {knob.name: knob.reference for knob in study.knobs}
    assert float(str(found["value"]["temperature"])) == references["temperature"]
    assert found["value"]["mix_op"] == references["mix_op"]


def test_the_first_sentence_says_what_to_set_first_how_sure_that_is_and_what_leaving_it_costs(
    standing: Standing,
) -> None:
    lead = standing.lead
    knob, value, stand, matters, *_ = standing.shown.rows[0]
    assert knob == "tau"
    assert matters.startswith("yes, p ")
    assert lead.text.startswith(
        f"First keep tau at its reference {value}, or elsewhere in {stand} ({matters.removeprefix('yes, ')}). "
    )
    assert "Left at its reference" not in lead.text
    assert "The other knobs are open; the table bounds what each may cost." in lead.text
    moved = listing([name for name in dict.fromkeys(standing.moving) if name != "tau"])
    assert lead.text.endswith(f"For groups of classes {moved} matter: set them by the group that counts for you.")


def test_without_a_knob_that_matters_the_first_sentence_bounds_the_cost_of_the_references(
    study: StudyData, tmp_path: Path
) -> None:
    rng = np.random.default_rng(1)
    for trial in study.complete:
        trial.values = [0.75 + rng.normal(0, 0.004)]
    slices, judged = slices_of(study.complete, study.knobs), importances(study, n_samples=4)
    assert judged.named("all") == []
    lead, *_ = standing_blocks(study, slices, judged, Writer(tmp_path, draw=lambda *_: None))
    assert isinstance(lead, Paragraph)
    written = pd.read_csv(tmp_path / "tables" / "standing.csv").set_index("knob")
    numbers = written["high"].dropna()
    surest = f"(p {written['p_family'].min():.3f} or more)"
    assert lead.text.startswith(
        f"No knob is shown to matter for all classes {surest}, so there is none to set first. Keep the reference"
    )
    assert f"costs at most {100 * numbers.max():.1f} points ({numbers.idxmax()})" in lead.text


def test_the_values_are_a_point_that_a_study_of_the_space_takes(
    standing: Standing, rising: StudyData, tmp_path: Path
) -> None:
    assert standing.together is None  # all values are the references, which are trial 0 of every study
    found = _standing(rising, tmp_path).together
    assert found is not None
    file, faults = tmp_path / "values.yaml", Faults()
    file.write_text(found.text)
    points = read_points(str(file), rising.space, faults)
    assert faults.found == []
    (point,) = points.values()
    assert point == rising.space.reference_point() | {"tau": point["tau"]}
    assert isinstance(point["tau"], float)
    assert point["tau"] > 1.3


def test_a_study_without_a_known_effect_has_no_table(study: StudyData, tmp_path: Path) -> None:
    few = replace(study, trials=study.complete[:7])
    assert (
        standing_blocks(few, slices_of(few.complete, few.knobs), importances(few, n_samples=4), Writer(tmp_path)) == []
    )


def test_a_knob_that_the_reference_lacks_is_told_where_it_exists(study: StudyData, tmp_path: Path) -> None:
    """Without kd, twenty points more; with it, kd_weight decides: so the point has no kd_weight to set."""
    rng = np.random.default_rng(3)
    for trial in study.complete:
        weight = trial.params.get("kd_weight")
        lost = 0.0 if weight is None else 0.2 + 0.1 * np.log(weight / 0.3) ** 2
        trial.values = [0.75 - lost + rng.normal(0, 0.004)]
    assert "kd_weight" not in study.space.reference_point()
    stands = _standing(study, tmp_path)
    values = {row[0]: row[1:3] for row in stands.shown.rows}
    value, told = values["kd_weight"]
    assert f"Where use_kd is True, set kd_weight to {value}, or elsewhere in {told} (p " in stands.lead.text
    assert stands.lead.text.startswith("First keep use_kd at its reference False (p ")
    assert stands.together is None, "all values that exist together are the references"


def test_a_knob_with_too_few_trials_for_an_effect_is_named_all_the_same(study: StudyData, tmp_path: Path) -> None:
    slices = slices_of(study.complete, study.knobs)
    without = [replace(found, effect=None) if found.knob.name == "tau" else found for found in slices]
    judged = importances(study, n_samples=4)
    lead, shown, *_ = standing_blocks(study, without, judged, Writer(tmp_path, draw=lambda *_: None))
    assert isinstance(lead, Paragraph)
    assert isinstance(shown, ReportTable)
    assert "tau" not in {row[0] for row in shown.rows}
    assert "tau matters, but too few trials show at which values." in lead.text
    assert "No knob is shown to matter" not in lead.text
