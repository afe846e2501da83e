"""How the search was set up, in words."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from analysis.page.document import Note
from analysis.page.writer import Writer
from analysis.reading.study_folder import load_study
from analysis.sections.setup import provenance_section, teacher_section
from tests.support.prose import long_sentences


@pytest.mark.parametrize(
    ("sampler", "n_spread", "said"),
    [
        ("lhs", 4, "sampler lhs (all spread evenly), pruner"),
        ("lhs+tpe", 4, "sampler lhs+tpe (4 evenly spread trials first), pruner"),
        ("tpe", 0, "sampler tpe, pruner"),
    ],
)
def test_the_page_says_which_trials_are_spread_evenly(
    sampler: str, n_spread: int, said: str, simulated: Callable[[], Path], tmp_path: Path
) -> None:
    study = load_study(simulated())
    plan = {**study.manifest["plan"], "sampler": sampler, "n_sobol": n_spread}
    section = provenance_section(replace(study, manifest={**study.manifest, "plan": plan}), Writer(tmp_path))
    assert said in str(section)


def _said(study, changes, tmp_path: Path) -> str:
    return str(provenance_section(replace(study, manifest={**study.manifest, **changes}), Writer(tmp_path)))


def test_the_page_says_how_many_points_are_the_users_own(simulated: Callable[[], Path], tmp_path: Path) -> None:
    study = load_study(simulated())
    for points, words in (([], "first"), ([{"tau": 1.0}], ", 1 point of the user's own first, pruner")):
        said = _said(study, {"plan": {**study.manifest["plan"], "sampler": "lhs", "points": points}}, tmp_path)
        assert (words in said) == bool(points)


def test_the_page_says_whose_word_the_evidence_of_another_tool_is(
    simulated: Callable[[], Path], tmp_path: Path
) -> None:
    study = load_study(simulated())
    for source, told in (({}, False), ({"source": {"file": "old.db"}}, True)):
        said = _said(
            study, {"warm_start": {"study": "old.db", "trials": 9, "left_out": {}, "behind": 0, **source}}, tmp_path
        )
        assert "the sampler knew 9 trials of old.db; no table or figure here counts them" in said
        assert ("is the word of who ran the study" in said) == told


def test_the_page_names_the_image_store_of_a_study_that_has_one(simulated: Callable[[], Path], tmp_path: Path) -> None:
    study = load_study(simulated())
    assert "image store" not in str(provenance_section(study, Writer(tmp_path)))
    data = {**study.manifest["data"], "image_store": 256}
    section = provenance_section(replace(study, manifest={**study.manifest, "data": data}), Writer(tmp_path))
    assert "shorter side 256 pixels" in str(section)


def test_the_page_names_the_version_of_the_toolkit_where_the_study_knows_it(
    simulated: Callable[[], Path], tmp_path: Path
) -> None:
    study = load_study(simulated())
    assert "cckd-study" not in _said(study, {}, tmp_path)
    assert "('cckd-study', '9.8')" in _said(study, {"toolkit": "9.8"}, tmp_path)


def test_a_teacher_that_knows_its_training_images_by_heart_is_told_in_short_sentences(
    simulated: Callable[[], Path], tmp_path: Path
) -> None:
    study = load_study(simulated())
    (note,) = (block for block in teacher_section(study, Writer(tmp_path)).blocks if isinstance(block, Note))
    assert "far more of its training images than of new ones: 97.0 against 74.0 %." in str(note)
    assert long_sentences(note.text) == []
