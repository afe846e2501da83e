"""The example studies: each opens with what a reader needs, and asks for nothing that a study refuses."""

import re
from pathlib import Path

import pytest

from study.planning.check import check
from study.planning.parser import parse
from trainables.cckd.data.images.sets import DataUnavailableError
from trainables.cckd.data.registry import DATA_SETS
from trainables.cckd.data.spec import parse_data
from trainables.cckd.errors import UsageError

STUDIES = sorted((Path(__file__).parents[2] / "examples" / "studies").glob("*.yaml"))
HEAD = ("Question", "Command", "Time", "Expect")

#: What this machine may lack: images, a GPU, cores, weights. Nothing else may be wrong with an example.
LACKS = re.compile(
    "must be a folder|needs a CUDA device|the cores of this machine|weights of teacher .* are not on this machine"
)


def test_every_data_set_has_an_example_of_its_name() -> None:
    assert {path.stem for path in STUDIES} == set(DATA_SETS)


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_an_example_opens_with_question_command_time_and_what_to_expect(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [line[2:].partition(":")[0] for line in lines[:4] if line.startswith("# ")][:2] == list(HEAD[:2])
    head = "\n".join(line for line in lines if line.startswith("#"))
    assert [word for word in HEAD if not re.search(rf"^# {word}: +\S", head, re.MULTILINE)] == []
    assert f"python -m study.run --config examples/studies/{path.name}" in lines[1]


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_an_example_asks_for_nothing_that_a_study_refuses(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # a test downloads no data set
    faults: tuple[str, ...] = ()
    try:
        checked = check(*parse(["--config", str(path), "--storage", str(tmp_path)]))
    except DataUnavailableError:
        return  # all flags were judged before
    except UsageError as error:
        faults = error.faults
    else:
        assert parse_data(checked.plan.data).name == path.stem
    assert [fault for fault in faults if not LACKS.search(fault)] == []
