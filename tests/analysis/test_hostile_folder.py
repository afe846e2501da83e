"""A study folder from a stranger is reported on without running, following or obeying anything in it."""

import csv
import json
import os
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from analysis import report
from search_spaces.acckd import ACCKD_SMOKE

Simulated = Callable[..., Path]
SMALL: dict[str, Any] = {"space": ACCKD_SMOKE, "n_trials": 4, "n_pruned": 0, "n_failed": 0, "n_seeds": 2}

SCRIPT = "<script>document.title='x'</script>"
#: What opens a script of ours; only the first is run as it stands, and only with the digest that the policy names.
OUR_SCRIPTS = {"<script>", '<script type="text/plain">', '<script type="text/plain" id="library">'}
NASTY = (
    SCRIPT, "<img src=x onerror=alert(1)>", "=cmd|' /C calc'!A0", "+1+cmd|' /C calc'!A0", "@SUM(1)", "-2+3",
    "\x1b[2J\x1b]0;owned\x07", "[click](javascript:alert(1))", "../../../../tmp/evil", "```\n<b>out</b>\n```",
)  # fmt: skip


@dataclass(frozen=True)
class Attacked:
    """A study whose every free text is an attack, with its report; `before` is what lay around it before that."""

    folder: Path
    before: dict[str, bytes]


@pytest.fixture(scope="module")
def attacked(simulate: Callable[..., Path], build_drawn: Callable[[Path], Path], tmp_path_factory: Any) -> Attacked:
    around = tmp_path_factory.mktemp("attacked")
    folder = simulate(around, **{**SMALL, "n_trials": 8, "n_failed": 2}, classes=NASTY)
    with closing(sqlite3.connect(folder / "study.db")) as database, database:
        causes = "UPDATE trial_user_attributes SET value_json = ? WHERE key = 'cause'"
        database.execute(causes, (json.dumps(" ".join(NASTY)),))

    def poison(manifest: dict[str, Any]) -> None:
        manifest["name"], manifest["command"] = NASTY[0] + NASTY[6], NASTY[9]
        manifest["space"]["purpose"] = manifest["data"]["source"] = manifest["data"]["spec"] = NASTY[0] + NASTY[7]
        manifest["teacher"]["name"] = manifest["student"]["name"] = manifest["git_commit"] = NASTY[8] + NASTY[1]
        manifest["failures"] = [f"{one}: {other}" for one, other in zip(NASTY, reversed(NASTY), strict=True)]
        manifest["hardware"]["cpu"] = manifest["versions"]["torch"] = NASTY[2]

    _rewrite(folder, poison)
    before = _tree(around)
    build_drawn(folder)
    return Attacked(folder, before)


def _rewrite(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    manifest = json.loads((folder / "study.json").read_text())
    change(manifest)
    (folder / "study.json").write_text(json.dumps(manifest))


def _tree(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_attacks_in_text_are_shown_as_text(attacked: Attacked) -> None:
    made = attacked.folder / "report"
    page = (made / "index.html").read_text(encoding="utf-8")
    assert SCRIPT not in page
    assert set(re.findall(r"<script[^>]*>", page)) <= OUR_SCRIPTS
    assert not re.search(r"<img(?! src=\"data:image/png)", page)
    assert "&lt;script&gt;" in page
    assert 'href="javascript' not in page
    markdown = (made / "report.md").read_text(encoding="utf-8")
    assert "\x1b" not in markdown
    outside = re.sub(r"(?ms)^(`{3,})\n.*?\n\1$", "", re.sub(r"\\.", "", markdown))
    tags = set(re.findall(r"<[^>]*>?", outside))
    assert tags <= {"<details>", "</details>", "<summary>", "</summary>"}, "no HTML outside of code but folds"
    assert set(re.findall(r"\]\(([^)]*)\)", outside)) <= {str(path.relative_to(made)) for path in made.rglob("*.*")}


def test_no_cell_of_a_table_is_a_formula_to_a_spreadsheet(attacked: Attacked) -> None:
    cells = []
    for path in (attacked.folder / "report" / "tables").glob("*.csv"):
        with path.open(newline="", encoding="utf-8") as handle:
            cells += [cell for row in csv.reader(handle) for cell in row]
    assert any(cell.startswith("'=cmd") for cell in cells), "the attack reached a table"
    formulas = [cell for cell in cells if re.match(r"[=@\t\r]|[+-](?!\d*\.?\d+(e[+-]?\d+)?$)", cell)]
    assert formulas == []


def test_only_the_report_is_written(attacked: Attacked) -> None:
    after = _tree(attacked.folder.parent.parent)
    made = set(after) - set(attacked.before)
    assert made
    assert all(name.startswith(str(attacked.folder / "report") + os.sep) for name in made)
    assert {name: after[name] for name in attacked.before} == attacked.before


def test_a_knob_cannot_name_a_file_elsewhere(simulated: Simulated, capsys: pytest.CaptureFixture[str]) -> None:
    folder = simulated(**SMALL)

    def rename(manifest: dict[str, Any]) -> None:
        manifest["space"]["tunable"][0]["name"] = "../../../evil"

    _rewrite(folder, rename)
    with closing(sqlite3.connect(folder / "study.db")) as database, database:
        first = json.loads((folder / "study.json").read_text())["space"]["tunable"][0]
        known = ACCKD_SMOKE.tunable[0].name
        database.execute("UPDATE trial_params SET param_name = ? WHERE param_name = ?", (first["name"], known))
    before = _tree(folder.parent.parent)
    assert report.main([str(folder)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert _tree(folder.parent.parent) == before


@pytest.mark.parametrize("name", ["study.json", "study.db", "report", ".lock"])
def test_a_link_out_of_the_folder_is_refused_and_not_followed(simulated: Simulated, tmp_path, capsys, name) -> None:
    folder = simulated(**SMALL)
    secret = tmp_path / "secret"
    if (folder / name).is_file():
        shutil.move(folder / name, secret)
    else:
        secret.mkdir()
        (secret / "0").mkdir()
    (folder / name).symlink_to(secret)
    before = _tree(tmp_path)
    assert report.main([str(folder)]) == 2
    error = capsys.readouterr().err
    assert f"links lead out of it: {name}" in error
    assert _tree(tmp_path) == before


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE trial_params SET distribution_json = 'not JSON'",
        "UPDATE trial_params SET distribution_json = '{\"name\": \"os.system\", \"attributes\": {}}'",
        "UPDATE trial_params SET param_value = 'text'",
        "UPDATE trial_user_attributes SET value_json = '{'",
        "UPDATE trial_user_attributes SET value_json = '{\"a\": [1]}'",
        "UPDATE trial_user_attributes SET value_json = '\"\u001b[2J\"'",
        "UPDATE trial_values SET value = 'text'",
        "UPDATE trial_values SET value = 9e999",
        "UPDATE trial_intermediate_values SET intermediate_value = 'text'",
        "UPDATE trials SET state = 'WON'",
        "UPDATE trials SET number = NULL",
        "UPDATE trials SET datetime_start = 'yesterday'",
        "DROP TABLE studies",
    ],
)  # fmt: skip
def test_a_database_with_odd_content_gives_a_report_or_one_message(simulated: Simulated, capsys, statement) -> None:
    folder = simulated(**SMALL)
    with closing(sqlite3.connect(folder / "study.db")) as database, database:
        database.execute(statement)
    _ends_well_or_in_one_message(folder, capsys)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("plan",), []),
        (("plan", "trials"), 10**400),
        (("plan", "rungs"), {"a": 1}),
        (("data",), None),
        (("data", "n_train"), [10**400] * 10),
        (("data", "n_train"), [float("nan")] * 10),
        (("data", "classes"), [1, None, [], {}]),
        (("data", "image_shape"), 7),
        (("groups", "many"), [10**9]),
        (("schema",), 99),
        (("teacher",), "none"),
        (("teacher", "val_recall"), [float("inf")] * 10),
        (("confirm_entries", "best1"), {"trial": "../../x", "config": 4}),
        (("space", "tunable"), []),
        (("space", "tunable", 0, "distribution"), {"name": "FloatDistribution", "attributes": {"low": float("nan")}}),
        (("space", "tunable", 0, "distribution"), "__import__('os')"),
        (("versions",), []),
        (("failures",), {"a": 1}),
        (("failures",), [None, 4, ["x"], ":"]),
        (("name",), None),
        (("tuned_baselines",), "text"),
        (("tuned_baselines",), {"kd": None}),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_manifest_with_odd_content_gives_a_report_or_one_message(simulated: Simulated, capsys, path, value) -> None:
    folder = simulated(**SMALL)

    def poison(manifest: Any) -> None:
        for key in path[:-1]:
            manifest = manifest[key]
        manifest[path[-1]] = value

    _rewrite(folder, poison)
    _ends_well_or_in_one_message(folder, capsys)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE epoch_records SET record = '{}'",
        "UPDATE epoch_records SET record = replace(record, '\"correct\": [', '\"correct\": [-9, ')",
        "UPDATE epoch_records SET record = replace(record, '0.1', 'Infinity')",
        "UPDATE epoch_records SET record = replace(record, 'total', '[2J')",
        "UPDATE epoch_records SET number = number + 99",
        "UPDATE confirm_runs SET record = '[]'",
        "UPDATE confirm_runs SET record = 'text'",
        "UPDATE confirm_runs SET record = replace(record, '\"seen\": [', '\"seen\": [0, ')",
        "UPDATE confirm_runs SET record = replace(record, '300', '1e400')",
        "UPDATE confirm_runs SET record = replace(record, '300', '\"text\"')",
        "UPDATE confirm_runs SET record = replace(record, '300', '-1')",
        "UPDATE confirm_runs SET record = replace(record, 'confusion', 'confused')",
        "UPDATE confirm_runs SET entry = '[2J', seed = rowid",
        "UPDATE confirm_runs SET trial = 'text'",
        "UPDATE confirm_runs SET data_seed = -1",
        "UPDATE selection_runs_kd SET record = '{\"correct\": [], \"seen\": []}'",
        "UPDATE epoch_records_kd SET record = replace(record, '1000000', '0')",
        "DROP TABLE epoch_records",
    ],
)  # fmt: skip
def test_results_with_odd_content_give_a_report_or_one_message(simulated: Simulated, capsys, statement) -> None:
    recalls = {"la": (0.86, 0.50), "kd": (0.93, 0.30), "best1": (0.83, 0.64), "kd_tuned": (0.84, 0.63)}
    folder = simulated(recalls=recalls, **SMALL)
    with closing(sqlite3.connect(folder / "study.db")) as database, database:
        database.execute(statement)
    _ends_well_or_in_one_message(folder, capsys)


def _ends_well_or_in_one_message(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path.name for path in folder.iterdir()}
    code = report.main([str(folder)])
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err
    if code == 0:
        assert (folder / "report" / "index.html").is_file()
    else:
        assert (code, said.out) == (2, "")
        assert len(said.err.splitlines()) == 1
        assert str(folder) in said.err
        assert {path.name for path in folder.iterdir()} == before, "nothing is left behind"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs the browser chromium")
def test_a_browser_runs_nothing_of_it(attacked: Attacked, tmp_path: Path) -> None:
    page = attacked.folder / "report" / "index.html"
    browse = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile"]
    run = subprocess.run(
        [*browse, "--dump-dom", page.as_uri()], capture_output=True, text=True, timeout=300, check=True
    )
    title = re.search(r"<title>(.*?)</title>", run.stdout, re.DOTALL)
    assert title is not None
    assert title[1] != "x"
    assert "&lt;script&gt;" in run.stdout
    assert SCRIPT not in run.stdout
    # The check can fail: the same browser does run a script.
    (tmp_path / "own.html").write_text(f"<title>before</title>{SCRIPT}")
    own = [*browse, "--dump-dom", (tmp_path / "own.html").as_uri()]
    assert "<title>x</title>" in subprocess.run(own, capture_output=True, text=True, timeout=300, check=True).stdout
