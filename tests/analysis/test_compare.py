"""Studies side by side: gains as each report gives them, chosen values by knob, and one message for any fault."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from analysis import compare
from analysis.reading.study_folder import load_study
from analysis.results.accuracies import scores
from analysis.results.comparisons import paired_gain
from analysis.results.entries import used_value_of_best
from analysis.results.ladder import ladder
from analysis.results.training_length import check_length
from analysis.study_comparison import chosen_values, facts, labels, ladders, longer_gains
from search_spaces.acckd import ACCKD_CORE, ACCKD_FULL, ACCKD_SMOKE
from tests.analysis.simulation import RECALLS, drop_runs
from trainables.cckd.methods import METHODS

Written = Callable[..., Path]
NASTY = ("<script>alert(1)</script>", "=1+1", "拖鞋, 'q'")


@pytest.fixture
def pair(simulated: Callable[..., Path]) -> tuple[Path, Path]:
    """A study of two knobs with six seeds, and one of four knobs with three, under one name."""
    first = simulated(space=ACCKD_SMOKE, n_trials=8, n_pruned=0, n_failed=0)
    first = first.rename(first.with_name("first"))
    return first, simulated(n_trials=12, n_seeds=3, seed=1)


def test_every_entry_of_every_study_stands_with_its_own_gains(pair: tuple[Path, Path]) -> None:
    studies = {name: load_study(folder) for name, folder in zip("ab", pair, strict=True)}
    table = ladders(studies)
    assert len(table) == sum(len(ladder(study)) for study in studies.values())
    assert list(dict.fromkeys(table["entry"])) == [row.entry for row in ladder(studies["a"])]
    for name, study in studies.items():
        row = table[(table["study"] == name) & (table["entry"] == "best1")].iloc[0]
        for baseline in ("la", "kd"):
            gain = paired_gain(scores(study), "best1", baseline)
            shown = tuple(row[f"over_{baseline}_{part}"] for part in ("n", "mean", "low", "high"))
            assert shown == (gain.n, gain.mean, gain.low, gain.high)
    la = table[table["entry"] == "la"]
    assert la["over_la_mean"].isna().all()
    assert la["over_kd_mean"].notna().all()


def test_a_knob_shows_the_chosen_value_the_fixed_one_or_nothing(pair: tuple[Path, Path]) -> None:
    studies = {name: load_study(folder) for name, folder in zip("ab", pair, strict=True)}
    values = chosen_values(studies).set_index("knob")
    assert set(values.index) == {*ACCKD_SMOKE.distributions, *ACCKD_CORE.distributions}
    for knob in ACCKD_CORE.distributions:
        assert values.loc[knob, "b"] == studies["b"].best.params[knob]
        assert values.loc[knob, "a"] == studies["a"].best.params.get(knob, METHODS["acckd"][knob])
        assert values.loc[knob, "searched"] == 1 + (knob in ACCKD_SMOKE.distributions)


@pytest.mark.parametrize(
    ("overrides", "knob", "shown"),
    [
        ({"tau": 0.8}, "tau", 0.8),
        ({}, "tau", 1.0),  # the method's reference
        ({}, "mix_alpha", 0.5),
        ({"mix_balance": 0.0}, "mix_balance", 0.0),
        ({}, "kd_weight", None),  # use_kd is off
        ({"use_kd": True, "kd_weight": 0.7}, "kd_weight", 0.7),
        ({"cckd_weight": 0.0, "cckd_mix_weight": 0.0}, "estimator", None),  # no term reads it
    ],
)
def test_a_knob_that_was_not_searched_shows_what_its_students_trained_with(
    simulated: Callable[..., Path], tmp_path: Path, overrides: dict[str, object], knob: str, shown: object
) -> None:
    wide = simulated(space=ACCKD_FULL, n_trials=4, n_pruned=0, n_failed=0, n_seeds=0).rename(tmp_path / "wide")
    narrow = simulated(space=replace(ACCKD_CORE, tunable=ACCKD_CORE.tunable[:1]), n_trials=4, n_pruned=0, n_failed=0)
    path = narrow / "study.json"
    manifest = json.loads(path.read_text())
    manifest["plan"]["overrides"] = overrides
    path.write_text(json.dumps(manifest))
    compare.build_comparison([narrow, wide], tmp_path / "side")
    row = pd.read_csv(tmp_path / "side" / "tables" / "comparison_knobs.csv").set_index("knob").loc[knob]
    assert row["searched"] == 1
    assert pd.isna(row.iloc[1]) if shown is None else float(row.iloc[1]) == shown


def test_a_training_setting_that_was_not_searched_shows_the_recipes_value(pair: tuple[Path, Path]) -> None:
    study = load_study(pair[0])
    study.manifest["plan"]["recipe_settings"] = {"lr": 0.05, "batch_size": 32}
    assert used_value_of_best(study, "lr") == 0.05
    study.manifest["plan"]["overrides"] = {"lr": 0.4}
    assert used_value_of_best(study, "lr") == 0.4


def test_a_searched_knob_that_the_chosen_trial_does_not_have_has_no_value(simulated: Callable[..., Path]) -> None:
    study = load_study(simulated(space=ACCKD_FULL, n_trials=4, n_pruned=0, n_failed=0))
    assert study.best is not None
    study.best.params.pop("kd_weight", None)
    assert used_value_of_best(study, "kd_weight") is None
    assert used_value_of_best(study, "use_kd") == study.best.params["use_kd"]


def test_the_budget_is_what_was_spent(pair: tuple[Path, Path]) -> None:
    table = facts({"a": load_study(pair[0])}).set_index("fact")["a"]
    assert table["trials complete"] == 8
    assert table["seconds spent in trials"] == 80.0
    assert table["teacher, validation balanced accuracy"] == 0.74


def test_studies_of_one_name_are_told_apart(pair: tuple[Path, Path]) -> None:
    first, second = (load_study(folder) for folder in pair)
    assert labels([first, second]) == (first.manifest["name"], second.manifest["name"])
    assert labels([first, first]) == (f"{first.manifest['name']} (1)", f"{first.manifest['name']} (2)")


def test_the_command_writes_page_markdown_and_tables(
    pair: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for folder in pair for path in folder.iterdir()}
    out = tmp_path / "side"
    assert compare.main([*map(str, pair), "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"comparison: {out / 'index.html'}\n"
    assert {path.name for path in out.iterdir()} == {"index.html", "comparison.md", "tables"}
    page = (out / "index.html").read_text(encoding="utf-8")
    assert "http" not in page.replace("http-equiv", "")
    assert page.count("3 pairs: nothing is claimed") == 1
    assert len(pd.read_csv(out / "tables" / "comparison.csv")) == 16
    assert {path: path.read_bytes() for folder in pair for path in folder.iterdir()} == before
    assert compare.main([*map(str, pair), "--out", str(out)]) == 0  # an earlier comparison is replaced


def test_a_running_study_without_a_test_result_is_compared_too(pair: tuple[Path, Path], tmp_path: Path) -> None:
    drop_runs(pair[1], "1")
    page = compare.build_comparison(pair, tmp_path / "side").read_text(encoding="utf-8")
    assert "best1 is not confirmed on the test set" in page


def test_what_is_known_of_the_training_length_is_said_of_each_study(pair: tuple[Path, Path], tmp_path: Path) -> None:
    unknown = "length not measured for this cut (n_max=60); it"
    recipes = {"not_trained_out": "recipe quick"}, {"not_trained_out": None, "length_not_measured": unknown}
    for folder, recipe in zip(pair, recipes, strict=True):
        path = folder / "study.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"recipe": recipe}))
    compare.build_comparison(pair, tmp_path / "side")
    text = (tmp_path / "side" / "comparison.md").read_text(encoding="utf-8").replace("\\", "")
    first, second = (load_study(folder).manifest["name"] for folder in pair)
    assert f"Not trained out: {first} (recipe quick)." in text
    assert f"{second}: {unknown}." in text
    assert facts({"b": load_study(pair[1])}).set_index("fact")["b"]["length not measured"] == unknown


def test_a_study_without_a_pair_with_la_claims_nothing(pair: tuple[Path, Path], tmp_path: Path) -> None:
    drop_runs(pair[0], "entry = 'la'")
    page = compare.build_comparison(pair, tmp_path / "side").read_text(encoding="utf-8")
    assert page.count("0 pairs: nothing is claimed") == 1


@pytest.mark.parametrize(
    ("longer", "over_la", "over_kd"),
    [
        ({}, "over la (the gain holds at 40 epochs)", "over kd (the gain holds at 40 epochs)"),
        ({"best1": (0.84, 0.52)}, "over la (the gain vanishes at 40 epochs)", "over kd (the gain shrinks to 6."),
        ({"kd": (0.95, 0.60)}, "over la (the gain holds at", "over kd (no claim: kd still climbs)"),
    ],
)
def test_what_becomes_of_each_gain_is_said_in_the_words_of_its_report(
    pair: tuple[Path, Path],
    simulated: Callable[..., Path],
    tmp_path: Path,
    longer: dict[str, tuple[float, float]],
    over_la: str,
    over_kd: str,
) -> None:
    pair[1].rename(tmp_path / "second")
    at_length = {name: RECALLS[name] for name in ("la", "kd", "best1")}
    checked = simulated(space=ACCKD_SMOKE, n_trials=6, n_pruned=0, n_failed=0, longer=at_length | longer)
    page = compare.build_comparison([checked, pair[0]], tmp_path / "side").read_text(encoding="utf-8")
    assert over_la in page
    assert over_kd in page
    assert "over la (the gain is not checked at more epochs)" in page
    table = pd.read_csv(tmp_path / "side" / "tables" / "comparison_longer.csv")
    check = check_length(load_study(checked))
    assert table["fate"].tolist() == [gain.fate for gain in check.gains] + ["unchecked", "unchecked"]
    first = table.iloc[0]
    assert (first["epochs"], first["longer_epochs"], first["longer_n"]) == (20, 40, 3)
    assert first["longer_mean"] == pytest.approx(check.gains[0].longer.mean)
    assert longer_gains({}).empty


def test_names_are_shown_as_text(simulated: Callable[..., Path], tmp_path: Path) -> None:
    folders = []
    for name in NASTY[:2]:
        folder = simulated(space=ACCKD_SMOKE, n_trials=4, n_pruned=0, n_failed=0, n_seeds=2)
        text = (folder / "study.json").read_text().replace("acckd_smoke-fashion_mnist_lt-simulated", name)
        (folder / "study.json").write_text(text)
        folders.append(folder.rename(tmp_path / f"study{len(folders)}"))
    page = compare.build_comparison(folders, tmp_path / "side").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    header = (tmp_path / "side" / "tables" / "comparison_knobs.csv").read_text().splitlines()[0]
    assert header.split(",")[-1] == "'=1+1"


def test_one_message_names_every_fault_and_nothing_is_written(
    pair: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "mine"
    shutil.copytree(pair[0], out)
    assert compare.main([str(tmp_path / "absent"), "--out", str(out)]) == 2
    said = capsys.readouterr().err
    assert "two studies or more; got 1" in said
    assert "absent is not a folder" in said
    assert f"an earlier comparison; {out} is neither" in said
    assert (out / "study.json").is_file()
    assert compare.main([str(pair[0]), str(pair[0]), "--out", str(tmp_path / "new")]) == 2
    assert "a folder is named twice" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_an_out_that_cannot_be_made_is_one_message(
    pair: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare.main([*map(str, pair), "--out", str(tmp_path / "no" / "such" / "place")]) == 2
    assert "cannot be written" in capsys.readouterr().err
