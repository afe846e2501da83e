"""The example of docs/extending.md enters a study, and every fault of an own method is told before anything is made."""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from study.run import main, run_study
from tests.whole.whole import TEACHER, csv_rows
from trainables.cckd.errors import UsageError
from trainables.cckd.methods import OWN_SOURCE

ROOT = Path(__file__).resolve().parents[2]

#: Runs `study.run` once per source of my_module.py, in one process that forgets our modules in between.
SEVERAL = """
import contextlib, io, json, sys
from pathlib import Path
sys.dont_write_bytecode = True
for source in json.loads(sys.argv[1]):
    Path("my_module.py").write_text(source)
    for name in [name for name in sys.modules if name.split(".")[0] in ("study", "trainables", "search_spaces")]:
        del sys.modules[name]
    from study.run import main
    with contextlib.redirect_stderr(io.StringIO()) as err:
        code = main(["--method", "my_module:METHOD", "--data", "digits_lt", "--out", "out"])
    print(json.dumps([code, err.getvalue()]))
"""
HEAD = "from trainables.own_method import OwnKnob, OwnMethod\ndef loss(z, t, s):\n    return z.mean()\n"


def example() -> str:
    page = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    section = page.partition("\n## Your own method (no file of ours)\n")[2]
    found = re.search(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run Python in `folder`."""
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "80"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_example_has_at_most_30_lines() -> None:
    assert len(example().splitlines()) <= 30


def test_the_dry_run_shows_the_example_everywhere(tmp_path: Path) -> None:
    (tmp_path / "my_module.py").write_text(example())
    ended = run(
        tmp_path,
        *("-m", "study.run", "--method", "my_module:METHOD", "--space", "focal_kd", "--data", "digits_lt", "--dry-run"),
        *("--tuned-baselines", "la,kd", "--set", "focus=2.0"),
    )
    assert ended.returncode == 2
    assert (
        ended.stderr == "error: --set focus: space focal_kd searches focus; choose a space that does not, or drop it\n"
    )
    ended = run(
        tmp_path,
        *("-m", "study.run", "--method=my_module:METHOD", "--space", "acckd_core", "--data", "digits_lt", "--dry-run"),
        *("--tuned-baselines", "la,kd,focal_kd"),
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "\nladder    ce, la, kd, cckd, acckd_no_fi, acckd, focal_kd\n" in ended.stdout
    assert "\nown       focal_kd (my_module:METHOD): Distillation on D, weighed by what the\n" in ended.stdout
    assert "\ntune      focal_kd: " in ended.stdout
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "__pycache__") == ["my_module.py"]


FAULTS = (
    ("raise RuntimeError('no')", "cannot be imported: RuntimeError: no"),
    ("METHOD = 3", "METHOD in", "must be an OwnMethod; got int"),
    (f"{HEAD}METHOD = OwnMethod('a b', '', loss)", "name must be a Python name", "text must say in words"),
    (f"{HEAD}METHOD = OwnMethod('kd', 'x', loss)", "the name kd is taken, for kd_weight is a built-in knob"),
    (
        f"{HEAD}METHOD = OwnMethod('cckd_mix', 'x', loss)",
        "the name cckd_mix is taken, for cckd_mix_weight is a built-in",
    ),
    (
        f"{HEAD}METHOD = OwnMethod('cckd_prior', 'x', loss)",
        "name must not be that of a built-in method",
        "'cckd_prior'",
    ),
    (f"{HEAD}METHOD = OwnMethod('imitation', 'x', loss)", "name must not be that of a built-in term", "'imitation'"),
    (f"{HEAD}METHOD = OwnMethod('acckd_core', 'x', loss)", "name must not be that of a built-in space"),
    (
        f"{HEAD}METHOD = OwnMethod('mine', 'x', loss, knobs=(OwnKnob('tau', 1, 0, 2, 'x'),))",
        "the name of knob tau is taken; choose another",
    ),
    (
        f"{HEAD}a, b = OwnKnob('build', 1, 0, 2, 'x'), OwnKnob('copy', 1, 0, 2, 'x')\n"
        "METHOD = OwnMethod('mine', 'x', loss, knobs=(a, b))",
        "the name of knob build is taken; choose another",
        "the name of knob copy is taken; choose another",
    ),
    (
        f"{HEAD}METHOD = OwnMethod('mine', 'x', loss, knobs=(OwnKnob('batch_size', 1, 0, 2, 'x'),))",
        "no knob may have the name of a training setting; got batch_size",
    ),
    (
        f"{HEAD}a, b = OwnKnob('k', 1, 2, 1, 'x'), OwnKnob('l', 1, 0, 2, 'x', True)\n"
        "METHOD = OwnMethod('mine', 'x', loss, knobs=(a, b))",
        "knob k: low must be below high",
        "knob l: low must be above 0 on a log scale",
    ),
    (
        f"{HEAD}METHOD = OwnMethod('mine', 'x', loss, uses={{'lr': 0.1}})",
        "uses must name built-in knobs (tau, temp",
        "'lr'",
    ),
    (f"{HEAD}METHOD = OwnMethod('mine', 'x', loss, uses={{'tau': -1}})", "tau must be a finite number >= 0"),
)


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[int, str]]:
    """The exit code and the message of each of FAULTS."""
    folder = tmp_path_factory.mktemp("refused")
    ended = run(folder, "-c", SEVERAL, json.dumps([source for source, *_ in FAULTS]))
    assert ended.returncode == 0, ended.stderr
    assert not (folder / "out").exists()
    return [(code, err) for code, err in map(json.loads, ended.stdout.splitlines())]


@pytest.mark.parametrize("number", range(len(FAULTS)))
def test_a_fault_is_told_before_anything_is_made(number: int, refused: list[tuple[int, str]]) -> None:
    code, err = refused[number]
    assert code == 2
    lines = err.splitlines()
    assert all(line.startswith("error: own method") for line in lines), err
    assert all(part in err for part in FAULTS[number][1:]), err


@pytest.mark.parametrize(
    ("argv", "fault"),
    [
        (
            ("--method", "my_module"),
            "--method must read module:ATTRIBUTE, a Python file without .py and an OwnMethod in it",
        ),
        (("--method",), "--method must read module:ATTRIBUTE"),
        (
            ("--method", "gone:METHOD"),
            "--method gone:METHOD: a file gone.py must be in the current folder or on PYTHONPATH",
        ),
    ],
)
def test_a_method_that_is_not_there_is_told(argv: tuple[str, ...], fault: str, tmp_path: Path) -> None:
    ended = run(tmp_path, "-m", "study.run", *argv)
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"error: {fault}")
    assert len(ended.stderr.splitlines()) == 1


def test_a_loss_without_a_gradient_is_told(tmp_path: Path) -> None:
    (tmp_path / "my_module.py").write_text(f"{HEAD}METHOD = OwnMethod('mine', 'x', lambda z, t, s: z.detach().mean())")
    ended = run(tmp_path, "-m", "study.run", "--method", "my_module:METHOD", "--data", "digits_lt", "--out", "out")
    assert ended.returncode == 2
    assert ended.stderr.startswith(
        "error: own method mine: loss was tried on a made-up batch; its value must have a grad"
    )
    assert not (tmp_path / "out").exists()


def test_a_process_that_has_built_its_tables_refuses(
    capsys: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert OWN_SOURCE is None
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_module.py").write_text(example())
    assert main(["--method", "my_module:METHOD"]) == 2
    fault = "this process has built its tables for none; start a new process for another"
    assert fault in capsys.readouterr().err
    with pytest.raises(UsageError, match=fault):
        run_study(own_method="my_module:METHOD")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, data_root: Path) -> Path:
    """The folder of my_module.py, with a finished study of it in runs/own; it is a tuned baseline there."""
    here = tmp_path_factory.mktemp("here")
    (here / "my_module.py").write_text(example())
    ended = run(
        here,
        *("-m", "study.run", "--method", "my_module:METHOD", "--space", "la", "--tuned-baselines", "focal_kd"),
        *("--data", "digits_lt", *TEACHER, "--trials", "2", "--epochs", "2", "--finalists", "0"),
        *("--confirm-seeds", "1", "--long-seeds", "0", "--ablation-seeds", "0", "--max-concurrent", "1"),
        *("--ladder", "la,kd,focal_kd", "--name", "own", "--data-root", str(data_root)),
    )
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stderr
    return here


# Each of these has a time limit of its own.
@pytest.mark.slow
def test_the_example_is_searched_and_confirmed_like_a_method_of_ours(finished: Path) -> None:
    folder = finished / "runs" / "own"
    entries = {row["entry"] for row in csv_rows(folder, "confirm.csv")}
    assert entries == {"best1", "focal_kd", "focal_kd_tuned", "kd", "la", "teacher"}
    rows = csv_rows(folder, "baselines.csv")
    assert [len({row[f"config/{knob}"] for row in rows}) for knob in ("focus", "focal_kd_weight", "tau")] == [2, 2, 2]
    own = json.loads((folder / "study.json").read_text())["own_method"]
    assert (own["method"], own["name"]) == ("my_module:METHOD", "focal_kd")
    assert own["sha256"] == hashlib.sha256(example().encode()).hexdigest()


@pytest.mark.slow
def test_the_report_is_the_same_without_the_module(finished: Path, tmp_path: Path) -> None:
    folder = finished / "runs" / "own"
    ladder = folder / "report" / "tables" / "ladder.csv"
    before = ladder.read_text()
    ended = run(tmp_path, "-m", "analysis.report", str(folder))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ladder.read_text() == before
    rungs = [line.split(",")[0] for line in before.splitlines()[1:]]
    assert rungs == ["teacher", "la", "kd", "focal_kd", "focal_kd_tuned", "best1"]
    assert "Distillation on D, weighed by what the student misses." in (folder / "report" / "report.md").read_text()


@pytest.mark.slow
def test_a_study_goes_on_with_the_module_of_its_beginning(finished: Path) -> None:
    folder = finished / "runs" / "own"
    ended = run(finished, "-m", "study.confirm", str(folder), "--seeds", "2")
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stderr
    assert len([row for row in csv_rows(folder, "confirm.csv") if row["entry"] == "focal_kd"]) == 2


@pytest.mark.slow
def test_a_trial_of_the_example_replays_equal_to_the_last_bit(finished: Path) -> None:
    ended = run(finished, "-m", "study.replay", str(finished / "runs" / "own"), "focal_kd-1")
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.slow
def test_a_module_that_is_gone_or_has_changed_is_refused(finished: Path, tmp_path: Path) -> None:
    folder = finished / "runs" / "own"
    before = (folder / "study.json").read_text()
    ended = run(tmp_path, "-m", "study.resume", str(folder))
    assert ended.returncode == 2
    assert "a file my_module.py must be in the current folder or on PYTHONPATH; there is none" in ended.stderr
    (tmp_path / "my_module.py").write_text(example().replace("mean()", "sum()"))
    for command in (("study.resume",), ("study.confirm", "--seeds", "4"), ("study.replay", "focal_kd-1")):
        ended = run(tmp_path, "-m", command[0], str(folder), *command[1:])
        assert ended.returncode == 2
        assert re.fullmatch(
            r"error: own method my_module:METHOD: .* has changed since the study began; .*\n", ended.stderr
        )
    assert (folder / "study.json").read_text() == before
