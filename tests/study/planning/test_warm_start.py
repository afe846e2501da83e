"""A study that starts warm learns from another's complete trials, counts only its own, and takes no stranger's word."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from search_spaces.acckd import ACCKD_SMOKE
from study.planning.check import check
from study.planning.checked import Checked
from study.planning.manifest import first_manifest
from study.planning.parser import build_parser
from study.planning.preview.dry_run import dry_run
from study.planning.warm_start import WarmStart, read_warm_start
from study.records.ledger import Ledger
from study.records.store import StudyStore
from study.strategy.search_settings import SearchSettings
from trainables.cckd.data.store.image_store import ImageStore
from trainables.cckd.errors import UsageError
from trainables.cckd.records import ClassCounts

N_OTHER = 24


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _check(*argv: str) -> Checked:
    given = ["--space", "acckd_smoke", "--data", "digits_lt", "--epochs", "4", "--trials", str(N_OTHER), *argv]
    return check(build_parser().parse_args(given))


def _settings(**changes: Any) -> SearchSettings:
    parts = {"sampler": "sobol+tpe", "pruner": "none", "trials": N_OTHER, "n_sobol": 8, "seed": 0}
    return SearchSettings(**(parts | {"epochs": 4, "rungs": (4,)} | changes))


def _run(ledger: Ledger, n_trials: int, seed_of: Callable[..., int]) -> None:
    """Bring trials to their end; the value grows with the temperature, and one of them fails."""
    for _ in range(n_trials):
        asked = ledger.ask(seed_of)
        right = int(5 * asked.params["temperature"])
        record = {"epoch": 4, "losses": {"total": 1.0}, "lr": 0.1, "train_s": 1.0, "eval_s": 1.0}
        ledger.record(asked.number, [record | {"val": {"correct": [right] * 10, "seen": [40] * 10}}])
        if asked.number == 5:
            ledger.fail(5, "made to")
        else:
            ledger.complete(asked.number)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, seed_of) -> Path:
    """The folder of a finished search of acckd_smoke on digits_lt."""
    out = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(out)
        checked = _check("--name", "other")
    store = StudyStore.create(out, "other")
    store.write_manifest(first_manifest(checked, "command"))
    ledger = Ledger.create(store.database, checked.space, _settings())
    _run(ledger, N_OTHER, seed_of)
    ledger.close()
    return store.path


@pytest.fixture
def other(here: Path, finished: Path) -> Path:
    """A copy of it, the test's own."""
    return Path(shutil.copytree(finished, here / "other"))


def _warm(other: Path, *argv: str) -> WarmStart:
    warm = _check("--warm-start", str(other), *argv).warm
    assert warm is not None
    return warm


def _snapshot(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_every_complete_trial_is_evidence_and_the_other_folder_stays_as_it_is(other: Path) -> None:
    before = _snapshot(other)
    warm = _warm(other)
    assert [trial.number for trial in warm.evidence] == [number for number in range(N_OTHER) if number != 5]
    assert warm.evidence[0].params == ACCKD_SMOKE.reference_point()
    assert warm.evidence[0].val == ClassCounts((10,) * 10, (40,) * 10)
    assert _snapshot(other) == before
    assert f"warm      {N_OTHER - 1} trials of other" in dry_run(_check("--warm-start", str(other)))


def test_a_warm_study_learns_at_once_and_counts_its_own_trials_only(other: Path, here: Path, seed_of) -> None:
    evidence = _warm(other).evidence
    warm = Ledger.create(here / "warm.db", ACCKD_SMOKE, _settings(sampler="tpe", trials=9), evidence)
    _run(warm, 9, seed_of)
    assert (warm.n_asked, warm.finished_total, len(warm.rows())) == (9, 9, 9)
    assert [row.number for row in warm.rows()] == list(range(9))
    cold = Ledger.create(here / "cold.db", ACCKD_SMOKE, _settings(sampler="tpe", trials=9))
    _run(cold, 9, seed_of)
    # High temperatures are good: who knows the other study looks there, who does not draws from the whole range.
    means = [sum(row.params["temperature"] for row in ledger.rows()[1:]) / 8 for ledger in (warm, cold)]
    assert means[0] > 5.5 > means[1]
    warm.close()
    cold.close()


def test_reopening_a_warm_study_changes_nothing(other: Path, here: Path, seed_of) -> None:
    evidence = _warm(other).evidence
    courses = []
    for name, reopen in (("calm.db", False), ("torn.db", True)):
        ledger = Ledger.create(here / name, ACCKD_SMOKE, _settings(trials=8, n_sobol=3), evidence)
        for _ in range(8):
            _run(ledger, 1, seed_of)
            if reopen:
                ledger.close()
                ledger = Ledger.open(here / name)
        courses.append([(row.number, row.kind, row.params) for row in ledger.rows()])
        ledger.close()
    assert courses[0] == courses[1]


def test_only_the_reference_point_of_the_other_study_comes_again(other: Path, here: Path, seed_of) -> None:
    warm = _warm(other)
    ledger = Ledger.create(here / "warm.db", ACCKD_SMOKE, _settings(trials=12, n_sobol=8), warm.evidence)
    _run(ledger, 12, seed_of)
    theirs = [trial.params for trial in warm.evidence]
    assert [row.number for row in ledger.rows() if row.params in theirs] == [0]
    ledger.close()


def test_a_study_behind_a_warm_one_goes_on_behind_both(other: Path, here: Path, seed_of) -> None:
    checked = _check("--warm-start", str(other))
    store = StudyStore.create(here, "second")
    store.write_manifest(first_manifest(checked, "command"))
    assert checked.warm is not None
    ledger = Ledger.create(store.database, checked.space, _settings(trials=3), checked.warm.evidence)
    _run(ledger, 3, seed_of)
    ledger.close()
    assert [trial.number for trial in _warm(store.path).evidence] == [N_OTHER, N_OTHER + 1, N_OTHER + 2]


def test_trials_outside_the_new_ranges_are_left_out_and_counted(other: Path, here: Path) -> None:
    (temperature, *rest) = ACCKD_SMOKE.tunable
    narrow = replace(temperature, distribution=type(temperature.distribution)(1.0, 3.0, log=True))
    checked = _check("--warm-start", str(other))
    space = replace(ACCKD_SMOKE, tunable=(narrow, *rest))
    found = read_warm_start(checked.plan, space, checked.data, None)
    assert found is not None
    assert all(trial.params["temperature"] <= 3.0 for trial in found.evidence)
    assert found.left_out == {"outside this space's ranges": N_OTHER - 1 - len(found.evidence)}
    assert 0 < len(found.evidence) < N_OTHER - 1
    assert "left out: outside this space's ranges" in str(found)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("--data", "digits_lt:ir=10"), "its data are others"),
        (("--epochs", "8"), "its epochs must be 8; got 4"),
        (("--teacher-views", "2"), "its teacher_views must be 2; got 30"),
        (("--set", "lr=0.1"), r"its lr must be 0.1; got 0.15"),
        (("--space", "acckd_core"), "its space must search temperature, cckd_weight.*; got temperature, mix_ratio"),
        (("--space", "cckd"), "its space must search method cckd; got acckd"),
        (
            ("--sampler", "random"),
            r"--warm-start needs a sampler that learns, one of lhs\+tpe, sobol\+tpe, tpe, gp; got 'random'",
        ),
    ],
)
def test_another_question_is_no_evidence(other: Path, argv: tuple[str, ...], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        _warm(other, *argv)


def test_trials_on_other_pixels_are_no_evidence(other: Path) -> None:
    checked, store = _check("--warm-start", str(other)), ImageStore(Path("image-store"), 64)
    with pytest.raises(UsageError, match="its images must come from the image store 64px-1; got the originals"):
        read_warm_start(checked.plan, checked.space, checked.data, store)
    data = StudyStore.open(other).manifest()["data"]
    StudyStore.open(other).update_manifest(data=data | {"image_store": 64})
    assert read_warm_start(checked.plan, checked.space, checked.data, store) is not None
    with pytest.raises(UsageError, match="its images must come from the originals; got the image store 64px-1"):
        _warm(other)


def test_every_reason_is_named_at_once(other: Path) -> None:
    with pytest.raises(UsageError) as caught:
        _warm(other, "--epochs", "8", "--space", "kd", "--seed", "3")
    assert len(caught.value.faults) == 3


def _alter_manifest(folder: Path) -> None:
    path = folder / "study.json"
    path.write_text(path.read_text().replace('"epochs": 4', '"epochs": 5'))


def _unseal_manifest(folder: Path) -> None:
    path = folder / "study.json"
    manifest = json.loads(path.read_text())
    del manifest["sha256_of_this"]
    path.write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_alter_manifest, "its own hash is another"),
        (_unseal_manifest, "its own hash is another"),
        (
            lambda folder: (folder / "study.db").write_bytes(b"no database"),
            "study.db must be a study's intact database",
        ),
        (lambda folder: (folder / "study.db").unlink(), "must be a study folder, with study.json and study.db"),
        (lambda folder: (folder / "out").symlink_to("/"), "links lead out of it: out"),
        (shutil.rmtree, "must be a study folder"),
    ],
)
def test_a_folder_that_is_not_as_its_study_wrote_it_is_refused(
    other: Path, damage: Callable[[Path], Any], words
) -> None:
    damage(other)
    with pytest.raises(UsageError, match=words):
        _warm(other)


def test_a_study_without_a_complete_trial_is_refused(here: Path) -> None:
    checked = _check()
    store = StudyStore.create(here, "empty")
    store.write_manifest(first_manifest(checked, "command"))
    Ledger.create(store.database, checked.space, _settings()).close()
    with pytest.raises(UsageError, match=r"has no trial that this study could use .it has no complete trial."):
        _warm(store.path)
