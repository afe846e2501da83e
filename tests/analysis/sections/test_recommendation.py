"""The lines that load the exported student are those its description holds, escaped, and only where there are any."""

import html
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from analysis.page.document import Paragraph, Report, ReportTable, Section, unfolded
from analysis.page.render import to_html, to_markdown
from analysis.page.writer import Writer
from analysis.reading.study_folder import StudyFolderError, load_study
from analysis.sections.recommendation import loading_lines, recommendation_section
from search_spaces.registry import get_space
from tests.analysis.simulation import RECALLS

LINES = ["import timm, torch", 'net = timm.create_model("resnet18", num_classes=3 < 4).eval()']
ABOUT = {
    "load": LINES,
    "preprocessing": "(pixels / 255 - pixel_mean) / pixel_std, channels first",
    "input_shape": [1, 28, 28],
    "pixel_mean": [0.28604],
    "pixel_std": [0.35302],
}


Simulated = Callable[..., Path]
UNCLAIMED = "Chosen on validation; on test no gain over every baseline is claimed (see the first screen)."
SMALL = {"n_trials": 6, "n_pruned": 0, "n_failed": 0}


@pytest.mark.parametrize(
    ("longer", "trust"),
    [
        ({}, "Chosen on validation, confirmed on test with fresh seeds."),
        ({"best1": (0.90, 0.75)}, UNCLAIMED),
    ],
)
def test_best1_that_still_climbs_is_not_confirmed(
    simulated: Simulated, tmp_path: Path, longer: dict[str, tuple[float, float]], trust: str
) -> None:
    folder = simulated(longer={name: RECALLS[name] for name in ("la", "kd", "best1")} | longer, **SMALL)
    assert recommendation_section(load_study(folder), Writer(tmp_path)).blocks[0] == Paragraph(trust)


def test_a_reference_point_that_is_a_tested_baseline_is_not_called_untested(
    simulated: Simulated, tmp_path: Path
) -> None:
    recalls = {"la": (0.86, 0.50), "kd": (0.93, 0.50), "best1": (0.86, 0.50)}
    folder = simulated(space=get_space("kd"), recalls=recalls, n_seeds=5, **SMALL)
    trust = recommendation_section(load_study(folder), Writer(tmp_path)).blocks[0]
    assert trust == Paragraph(UNCLAIMED)


@pytest.mark.parametrize(("chosen", "guards"), [(1, {}), (0, {"many": 1.0})])
def test_the_finalist_in_bold_is_the_one_that_was_chosen(
    simulated: Simulated, tmp_path: Path, chosen: int, guards: dict[str, float]
) -> None:
    study = load_study(simulated(n_seeds=0, finalists={1: (0.8, 0.81), 0: (0.7, 0.71)}, **SMALL))
    study.manifest["plan"]["guards"] = guards
    study.manifest["chosen_trial"] = chosen
    blocks = unfolded(recommendation_section(study, Writer(tmp_path)).blocks)
    (table,) = (block for block in blocks if isinstance(block, ReportTable))
    assert [row[0] for row in table.rows] == ["1", "0"]
    assert table.strong == ([row[0] for row in table.rows].index(str(chosen)),)
    assert ("(± sd) among those that keep the guards. The" in table.caption) == bool(guards)


def _study(folder: Path, about: object) -> Path:
    (folder / "models").mkdir()
    text = about if isinstance(about, str) else json.dumps(about)
    (folder / "models" / "best1.json").write_text(text, encoding="utf-8")
    return folder


def test_the_lines_stand_in_the_report_as_they_are_and_escaped(tmp_path: Path) -> None:
    (code,) = loading_lines(_study(tmp_path, ABOUT), "best1")
    *lines, recipe = code.text.splitlines()
    assert lines == LINES
    for part in ("1, 28, 28", "(pixels / 255 - pixel_mean) / pixel_std", "0.286", "0.353"):
        assert part in recipe
    assert "timm alone" in code.title
    report = Report("t", "s", "h", (), (), (), (Section("k", "K", (code,)),))
    assert html.escape(LINES[1], quote=False) in to_html(report, tmp_path).replace("&#34;", '"')
    assert LINES[1] not in to_html(report, tmp_path).replace("&#34;", '"')
    assert f"```\n{code.text}\n```" in to_markdown(report)


def test_a_student_of_ours_is_said_to_need_this_package(tmp_path: Path) -> None:
    lines = ["import timm, trainables.cckd.students.timm_models", "net = 1"]
    (code,) = loading_lines(_study(tmp_path, ABOUT | {"load": lines}), "best1")
    assert "timm and this package" in code.title


def test_without_a_model_or_lines_there_is_nothing(tmp_path: Path) -> None:
    assert loading_lines(tmp_path, "best1") == ()
    older = {key: value for key, value in ABOUT.items() if key != "load"}
    assert loading_lines(_study(tmp_path, older), "best1") == ()


@pytest.mark.parametrize("about", ["{", "[1]", {"load": LINES}, ABOUT | {"pixel_mean": None}])
def test_a_description_that_is_none_is_named(about: object, tmp_path: Path) -> None:
    with pytest.raises(StudyFolderError, match=r"best1\.json does not describe a model"):
        loading_lines(_study(tmp_path, about), "best1")
