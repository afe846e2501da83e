"""`python -m study.ingest`: from a storage of plain Optuna, and from a CSV file, to a study that starts warm."""

import json
import re
from dataclasses import replace
from pathlib import Path

import optuna
import pytest

from search_spaces.acckd import ACCKD_SMOKE
from study.ingest import main
from study.phases.session.begin import create_ledger
from study.planning.check import check
from study.planning.checked import Checked
from study.planning.parser import build_parser
from study.planning.preview.dry_run import dry_run
from study.planning.warm_start import read_warm_start
from study.records.ledger import Ledger
from study.records.store import StudyStore
from trainables.cckd.errors import UsageError

N_THEIRS = 30


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def theirs(here: Path) -> optuna.Study:
    """A search of plain Optuna over two knobs of acckd_smoke, wider than the space, of which high values are good."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.RandomSampler(seed=1)
    study = optuna.create_study(storage="sqlite:///old.db", study_name="tune", direction="maximize", sampler=sampler)

    def objective(trial: optuna.Trial) -> float:
        temperature = trial.suggest_float("T", 1.0, 10.0)
        trial.suggest_float("mix_ratio", 0.1, 0.7)
        trial.suggest_float("momentum", 0.5, 0.9)
        if trial.number == 4:
            raise ValueError
        return 0.05 * temperature

    study.optimize(objective, n_trials=N_THEIRS, catch=(ValueError,))
    return study


INGEST = ("old.db", "--space", "acckd_smoke", "--rename", "T=temperature", "--set", "estimator=prior")


def _check(*argv: str) -> Checked:
    given = ["--space", "acckd_smoke", "--data", "digits_lt", "--trials", "12", *argv]
    return check(build_parser().parse_args(given))


def test_a_study_of_plain_optuna_becomes_evidence_from_which_a_study_learns(
    theirs: optuna.Study, here: Path, seed_of, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(INGEST) == 0
    said = capsys.readouterr().out.splitlines()
    outside = [trial.number for trial in theirs.trials if trial.params["T"] > 8]
    fitting = [trial for trial in theirs.trials if trial.number != 4 and trial.params["T"] <= 8]
    assert said[0] == (f"evidence {len(fitting)} of {N_THEIRS} trials of old.db, study 'tune' for space acckd_smoke")
    named = ", ".join(map(str, [number for number in outside if number != 4][:8]))
    n_outside = len([number for number in outside if number != 4])
    assert said[1].startswith(f"left out {n_outside}: temperature must be a number in [1.0, 8.0], log scale ({named}")
    assert said[2] == "left out 1: its state is FAIL, and only a complete trial is evidence (4)"
    assert said[3] == f"ignored  momentum, which is no knob of the space ({N_THEIRS})"
    assert said[-1] == "use      python -m study.run --space acckd_smoke --warm-start old.evidence.json"

    found = _check("--warm-start", "old.evidence.json")
    assert (found.plan.sampler, found.plan.warm_start) == ("lhs+tpe", str(here / "old.evidence.json"))
    assert found.warm is not None
    assert [one.params for one in found.warm.evidence] == [
        {"temperature": trial.params["T"], "mix_ratio": trial.params["mix_ratio"], "estimator": "prior"}
        for trial in fitting
    ]
    assert [one.value for one in found.warm.evidence] == [trial.value for trial in fitting]
    told = f"warm      {len(fitting)} trials of old.db, study 'tune'; that they were measured as"
    assert told in dry_run(found)
    described = found.warm.described()
    assert (described["trials"], described["behind"]) == (len(fitting), 0)
    assert described["source"] | {"sha256": None} == {
        "file": "old.db", "sha256": None, "study": "tune", "direction": "maximize", "value_is": "accuracy",
        "set": {"estimator": "prior"}, "renamed": {"T": "temperature"},
    }  # fmt: skip

    store = StudyStore.create(here, "warm")
    ledger = create_ledger(_check("--warm-start", "old.evidence.json", "--sampler", "tpe"), store)
    for _ in range(8):
        ledger.ask(seed_of)
        ledger.close()
        ledger = Ledger.open(store.database)
    temperatures = [row.params["temperature"] for row in ledger.rows()[1:]]
    ledger.close()
    assert sum(temperatures) / len(temperatures) > 5.5, "high temperatures were good there"


def test_the_evenly_spread_points_are_those_of_a_study_without_evidence(theirs, here: Path, seed_of) -> None:
    assert main(INGEST) == 0
    points = []
    for name, flags in (("warm", ("--warm-start", "old.evidence.json")), ("cold", ("--sampler", "lhs+tpe"))):
        ledger = create_ledger(_check(*flags), StudyStore.create(here, name))
        points.append([ledger.ask(seed_of).params for _ in range(6)])
        ledger.close()
    assert points[0] == points[1]


def test_a_csv_file_becomes_evidence(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("old.csv").write_text(
        "config/temperature,config/mix_ratio,estimator,error,when\n2,0.2,prior,40,x\n3,0.3,batch,35.5,\n9,0.3,batch,30,\n"
    )
    flags = ("--space", "acckd_smoke", "--value", "error", "--value-is", "error_percent", "--out", "mine.json")
    assert main(["old.csv", *flags]) == 0
    assert "left out 1: temperature must be a number in [1.0, 8.0], log scale (4)" in capsys.readouterr().out
    warm = _check("--warm-start", "mine.json").warm
    assert warm is not None
    assert [(one.number, one.params, one.value) for one in warm.evidence] == [
        (2, {"temperature": 2.0, "mix_ratio": 0.2, "estimator": "prior"}, pytest.approx(0.6)),
        (3, {"temperature": 3.0, "mix_ratio": 0.3, "estimator": "batch"}, pytest.approx(0.645)),
    ]
    made = json.loads(Path("mine.json").read_text())["made"]
    assert made["command"] == "python -m study.ingest old.csv " + " ".join(flags)


@pytest.mark.parametrize(
    ("flags", "fault"),
    [
        (("--space", "nowhere"), "--space must be one of"),
        (("--set", "estimator"), "--set must read KNOB=VALUE; got 'estimator'"),
        (("--rename", "T="), "--rename must read THEIRS=KNOB; got 'T='"),
        (("--set", "a=1", "--set", "a=2"), "--set a must be given once; got it again as 'a=2'"),
        (("--rename", "estimator=lr"), "--rename must end in a knob of space acckd_smoke, one of temperature, mix_r"),
        (("--rename", "U=temperature"), "--rename must begin with a name that old.csv has, one of temperature, mi"),
        (("--out", "old.csv"), "--out must be a new file; old.csv exists"),
        (("--out", "no/where.json"), "--out must be a file that can be written; no/where.json: No such file"),
        (("--study", "tune"), "--study names a study in an SQLite file of Optuna's"),
        (("--value", "score"), "--value must be a column of old.csv, one of temperature, mix_ratio, estimator, value"),
        (("--space", "acckd_core"), "old.csv has no trial that is a point of space acckd_core with a value (1: cckd"),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, tuple) else None,
)  # fmt: skip
def test_a_wrong_command_is_one_line_and_writes_nothing(here: Path, capsys, flags, fault: str) -> None:
    Path("old.csv").write_text("temperature,mix_ratio,estimator,value\n2,0.2,prior,0.5\n")
    space = () if "--space" in flags else ("--space", "acckd_smoke")
    code = main(["old.csv", *space, *flags])
    printed = capsys.readouterr()
    assert (code, printed.out) == (2, "")
    assert printed.err.startswith(f"error: {fault}")
    assert printed.err.count("\n") == 1
    assert [path.name for path in here.iterdir()] == ["old.csv"]


@pytest.mark.parametrize(
    ("flags", "fault"),
    [
        (("--guard", "few=1"), "it has one number per trial, and --guard and --objectives need counts per class"),
        (("--objectives", "all,few"), "it has one number per trial"),
        (("--space", "acckd_core"), "its space must search temperature, cckd_weight"),
        (("--space", "cckd"), "its space must search method cckd; got acckd"),
        (("--sampler", "lhs"), "--warm-start needs a sampler that learns"),
    ],
)
def test_evidence_is_refused_where_it_says_nothing(theirs, here: Path, flags: tuple[str, ...], fault: str) -> None:
    assert main(INGEST) == 0
    with pytest.raises(UsageError, match=fault):
        _check("--warm-start", "old.evidence.json", *flags)


def test_where_nothing_fits_the_message_says_what_was_not_read(here: Path, capsys) -> None:
    Path("old.csv").write_text("temprature,mix_ratio,estimator,value\n2,0.2,prior,0.5\n")
    assert main(["old.csv", "--space", "acckd_smoke"]) == 2
    said = capsys.readouterr().err
    assert "(1: temperature is missing; it must be a number in [1.0, 8.0], log scale; not read: temprature" in said
    assert "--rename temprature=temperature if it is temperature)" in said


def test_a_knob_out_of_a_later_range_is_left_out_and_counted(theirs, here: Path) -> None:
    assert main(INGEST) == 0
    checked = _check("--warm-start", "old.evidence.json")
    first, *rest = ACCKD_SMOKE.tunable
    narrow = replace(first, distribution=type(first.distribution)(1.0, 3.0, log=True))
    found = read_warm_start(checked.plan, replace(ACCKD_SMOKE, tunable=(narrow, *rest)), checked.data, None)
    assert found is not None
    assert all(one.params["temperature"] <= 3 for one in found.evidence)
    assert list(found.left_out) == ["outside this space's ranges"]


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (("",), "SOURCE must be a file that can be read; got ''"),
        (("old.db", "--out", ""), "--out must be a new file; got ''"),
        (("old.db", "--space", ""), "--space must be one of acckd_core, .*; got ''"),
    ],
)
def test_the_text_of_an_unset_variable_is_refused(theirs, here: Path, capsys, argv: tuple[str, ...], told: str) -> None:
    before = set(here.iterdir())
    assert main([*argv]) == 2
    assert re.search(told, capsys.readouterr().err)
    assert set(here.iterdir()) == before
