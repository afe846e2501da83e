"""The lines that load the exported student are those its description holds, escaped, and only where there are any."""

import html
import json
from pathlib import Path

import pytest

from analysis.page.document import Report, Section
from analysis.page.render import to_html, to_markdown
from analysis.reading.study_folder import StudyFolderError
from analysis.sections.recommendation import loading_lines

LINES = ["import timm, torch", 'net = timm.create_model("resnet18", num_classes=3 < 4).eval()']
ABOUT = {
    "load": LINES,
    "preprocessing": "(pixels / 255 - pixel_mean) / pixel_std, channels first",
    "input_shape": [1, 28, 28],
    "pixel_mean": [0.28604],
    "pixel_std": [0.35302],
}


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
