"""The phases of a study without Ray: what each asks for, what it files, and how it ends."""

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ray.tune.search import Searcher

from study import confirmation, schema, search, selection
from study.command import build_parser
from study.confirmation import confirm
from study.cuts import with_cuts
from study.drive import _keep_passes
from study.ledger import Ledger
from study.manifest import first_manifest
from study.phase import Study, StudyFailed, StudyInterrupted
from study.preflight import Checked, check
from study.prepare import Prepared
from study.progress import Progress
from study.reruns import confirm_seeds
from study.session import _create_ledger
from study.store import StudyStore
from study.tuned import tune_baselines
from study.tuner import Workers
from trainables.cckd.methods import LADDER
from trainables.cckd.records import ClassCounts
from trainables.shelf import MODEL, Shelf

N_TRIALS, EPOCHS, N_SEEDS = 4, 4, 2
N_RUNS = (len(LADDER) + 1) * N_SEEDS
N_CUTS = 3
WORKERS = Workers(n_workers=1, threads=1, device="cpu")


def _of_cut(cut: int) -> Prepared:
    """What the played teacher prepares: the cut's number stands for its bundle."""
    return Prepared(cut, None, {"name": "played", "forward_passes": 50, "verification_passes": 8}, None, None)


OWN = _of_cut(0)


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Checked:
    out = tmp_path_factory.mktemp("out")
    what = ["--space", "acckd_smoke", "--data", "digits_lt", "--out", str(out), "--name", "toy"]
    budget = ["--trials", str(N_TRIALS), "--epochs", str(EPOCHS), "--confirm-seeds", str(N_SEEDS), "--finalists", "0"]
    return check(build_parser().parse_args([*what, *budget, "--set", "lr=0.1", "--set", "feature_weight=0.5"]))


@pytest.fixture(scope="module")
def empty_database(checked: Checked, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Making the tables takes longer than most tests; make them once."""
    store = StudyStore.create(tmp_path_factory.mktemp("empty"), "toy")
    _create_ledger(checked, store).close()
    return store.database.read_bytes()


@pytest.fixture
def study(checked: Checked, empty_database: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Study]:
    """A study that has not begun; its teacher is played."""
    store = StudyStore.create(tmp_path, "toy")
    store.write_manifest(first_manifest(checked, "...") | {"teacher": {"forward_passes": 7}})
    store.database.write_bytes(empty_database)
    ledger = Ledger.open(store.database)
    teacher = ClassCounts((4,) * 10, (40,) * 10)
    monkeypatch.setattr(confirmation, "teacher_on_test", lambda *_: (teacher, 400))
    begun = Study(checked, store, ledger, Progress(io.StringIO()))
    yield begun
    begun.ledger.close()


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> "_Ray":
    played = _Ray()
    monkeypatch.setattr(search, "run_phase", played.run_phase)
    monkeypatch.setattr(selection, "run_phase", played.run_phase)
    monkeypatch.setattr(confirmation, "run_phase", played.run_phase)
    return played


class _Ray:
    """Runs what the searcher hands out, one by one, until `stop_after` runs; `outcome` makes their last result."""

    def __init__(self) -> None:
        self.configs: list[dict[str, Any]] = []
        self.stop_after: int | None = None
        self.outcome: Callable[[dict[str, Any]], dict[str, Any] | None] = _good
        self.opened_test: bool | None = None
        self.bundles: list[tuple[Any, bool]] = []

    def run_phase(
        self, study, prepared, workers, phase, searcher, scheduler, on_step, *, test=False, passing=False
    ) -> None:
        self.configs, self.opened_test = [], test
        self.bundles.append((prepared, passing))
        while len(self.configs) != self.stop_after:
            config = searcher.suggest(f"{phase}-{len(self.configs)}")
            if config == Searcher.FINISHED:
                return
            self.configs.append(config)
            result = self.outcome(config)
            if config.get("export"):
                _export(config)
            name = f"{phase}-{len(self.configs) - 1}"
            if result is None:
                study.failures.crash(name, "exception: OSError: lost")
            searcher.on_trial_complete(name, result, error=result is None)
            on_step()
        searcher.suggest("begun")
        searcher.suggest("waiting")
        searcher.on_trial_complete("waiting")  # Ctrl-C: Ray takes back what it had not begun


def test_the_search_runs_the_planned_total_and_never_opens_the_test_set(study: Study, ray: _Ray) -> None:
    search.search(study, None, WORKERS)
    assert study.ledger.counts() == {"complete": N_TRIALS, "pruned": 0, "fail": 0, "running": 0}
    assert ray.opened_test is False
    assert all(
        (config["config"]["lr"], config["config"]["feature_weight"], config["config"]["epochs"]) == (0.1, 0.5, EPOCHS)
        for config in ray.configs
    )
    assert len({config["config"]["seed"] for config in ray.configs}) == N_TRIALS


def test_a_search_that_is_done_asks_ray_for_nothing(study: Study, ray: _Ray) -> None:
    search.search(study, None, WORKERS)
    ray.configs = []
    search.search(study, None, WORKERS)
    assert ray.configs == []


@pytest.mark.parametrize(("study_seed", "same"), [(0, True), (1, False)])
def test_a_trials_seed_depends_on_the_study_seed_and_its_configuration_only(
    study: Study, checked: Checked, empty_database: bytes, ray: _Ray, tmp_path: Path, study_seed: int, same: bool
) -> None:
    search.search(study, None, WORKERS)
    first = [config["config"]["seed"] for config in ray.configs]
    # Only the trials' seeds change; the sampler's is in the ledger's settings.
    other = replace(checked, plan=replace(checked.plan, seed=study_seed))
    store = StudyStore.create(tmp_path, "other")
    store.write_manifest(first_manifest(checked, "..."))
    store.database.write_bytes(empty_database)
    ledger = Ledger.open(store.database)
    search.search(Study(other, store, ledger, Progress(io.StringIO())), None, WORKERS)
    ledger.close()
    assert all((config["config"]["seed"] == seed) is same for config, seed in zip(ray.configs, first, strict=True))


def test_an_interrupted_search_says_so_and_goes_on_where_it_stood(study: Study, ray: _Ray) -> None:
    ray.stop_after = 2
    with pytest.raises(StudyInterrupted):
        search.search(study, None, WORKERS)
    assert study.ledger.counts() == {"complete": 2, "pruned": 0, "fail": 0, "running": 2}
    ray.stop_after = None
    search.search(study, None, WORKERS)
    assert study.ledger.counts() == {"complete": N_TRIALS, "pruned": 0, "fail": 0, "running": 0}
    assert [config["attempt"] for config in ray.configs] == [2, 2]


def test_a_search_without_a_complete_trial_has_failed_and_names_the_causes(study: Study, ray: _Ray) -> None:
    ray.outcome = lambda config: {"records": [], "done": True, "cause": "loss term 'cckd' became nan"}
    with pytest.raises(StudyFailed, match="loss term 'cckd' became nan"):
        search.search(study, None, WORKERS)


_SEARCHED: list[bytes] = []


@pytest.fixture
def searched(study: Study, ray: _Ray) -> Study:
    if not _SEARCHED:
        search.search(study, None, WORKERS)
    study.ledger.close()  # leaves one file
    if not _SEARCHED:
        _SEARCHED.append(study.store.database.read_bytes())
    study.store.database.write_bytes(_SEARCHED[0])
    study.ledger = Ledger.open(study.store.database)
    return study


def test_the_confirmation_files_every_entry_and_the_teacher(searched: Study, ray: _Ray) -> None:
    confirm(searched, None, WORKERS)
    runs = searched.ledger.confirm_runs()
    assert ray.opened_test is True
    assert len(runs) == N_RUNS + 1
    teacher = next(run for run in runs if run.entry == "teacher")
    assert (teacher.seed, teacher.trial, teacher.record["val"]) == (None, None, None)
    assert {run.record["selected_on"] for run in runs if run.entry == "best1"} == {"val"}
    assert {run.record["selected_on"] for run in runs if run.entry in LADDER} == {"reference"}
    assert searched.store.manifest()["teacher"]["forward_passes"] == 407
    assert set(searched.store.manifest()["confirm_entries"]) == {"best1", *LADDER}


def test_the_rungs_keep_their_references_though_the_searched_method_has_a_knob_set(searched, ray: _Ray) -> None:
    confirm(searched, None, WORKERS)
    by_entry = {config["number"].split("-")[0]: config["config"] for config in ray.configs}
    assert by_entry["best1"]["feature_weight"] == 0.5
    assert "feature_weight" not in by_entry["acckd"]
    assert all(config["lr"] == 0.1 for config in by_entry.values())


def test_the_best_trial_is_the_one_with_the_best_validation(searched: Study, ray: _Ray) -> None:
    confirm(searched, None, WORKERS)
    assert searched.store.manifest()["confirm_entries"]["best1"]["trial"] == N_TRIALS - 1  # `_good` gets better


def test_a_confirmation_that_is_done_opens_nothing_again(searched: Study, ray: _Ray) -> None:
    confirm(searched, None, WORKERS)
    before, ray.configs = searched.ledger.confirm_runs(), []
    confirm(searched, None, WORKERS)
    assert ray.configs == []
    assert searched.ledger.confirm_runs() == before
    assert searched.store.manifest()["teacher"]["forward_passes"] == 407


@pytest.mark.parametrize("stop_after", [1, N_RUNS - 2])
def test_an_interrupted_confirmation_goes_on_seed_by_seed(searched: Study, ray: _Ray, stop_after: int) -> None:
    ray.stop_after = stop_after
    with pytest.raises(StudyInterrupted):
        confirm(searched, None, WORKERS)
    ray.stop_after = None
    confirm(searched, None, WORKERS)
    assert len(ray.configs) == N_RUNS - stop_after
    assert len(searched.ledger.confirm_runs()) == N_RUNS + 1


def test_more_seeds_only_add_runs(searched: Study, ray: _Ray, checked: Checked) -> None:
    confirm(searched, None, WORKERS)
    before = searched.ledger.confirm_runs()
    searched.checked = replace(checked, plan=replace(checked.plan, confirm_seeds=N_SEEDS + 1))
    confirm(searched, None, WORKERS)
    assert len(ray.configs) == len(LADDER) + 1
    assert searched.ledger.confirm_runs()[: len(before)] == before


def test_an_extended_study_with_another_best_forgets_the_former(searched: Study, ray: _Ray, checked: Checked) -> None:
    confirm(searched, None, WORKERS)
    extended = replace(checked, plan=replace(checked.plan, trials=N_TRIALS + 1))
    searched.checked = extended
    searched.ledger.settings = replace(searched.ledger.settings, trials=N_TRIALS + 1)
    search.search(searched, None, WORKERS)
    confirm(searched, None, WORKERS)
    assert {config["number"].split("-")[0] for config in ray.configs} == {"best1"}
    runs = [run for run in searched.ledger.confirm_runs() if run.entry == "best1"]
    assert [run.trial for run in runs] == [N_TRIALS] * N_SEEDS
    assert len(searched.ledger.confirm_runs()) == N_RUNS + 1


def test_a_run_that_cannot_go_on_is_told_in_the_manifest_and_the_others_are_filed(searched, ray: _Ray) -> None:
    def outcome(config: dict[str, Any]) -> dict[str, Any] | None:
        if config["config"]["method"] == "kd":
            return None
        return _good(config) | ({"cause": "became nan"} if config["config"]["method"] == "ce" else {})

    _allow(searched, max_failures=2 * N_SEEDS)
    ray.outcome = outcome
    confirm(searched, None, WORKERS)
    searched.export()
    failures = searched.store.manifest()["failures"]
    assert "ce-seed1001: became nan" in failures
    assert "kd-seed1002: exception: OSError: lost" in failures
    assert len(failures) == 2 * N_SEEDS
    assert len(searched.ledger.confirm_runs()) == N_RUNS + 1 - len(failures)
    attempts = {name: run.attempts for name, run in searched.ledger.rerun_attempts().items()}
    assert (attempts["ce-seed1001"], attempts["kd-seed1002"], attempts["la-seed1001"]) == (1, 3, 1)


def test_more_failed_runs_than_allowed_end_the_confirmation_and_a_higher_limit_continues_it(searched, ray) -> None:
    _allow(searched, max_failures=1)
    ray.outcome = lambda config: None if config["config"]["method"] == "kd" else _good(config)
    with pytest.raises(StudyFailed, match=r"2 runs failed and --max-failures allows 1; most frequent cause \(2 of 2\)"):
        confirm(searched, None, WORKERS)
    assert len(searched.store.manifest()["failures"]) == N_SEEDS
    _allow(searched, max_failures=2, max_retries=3)
    ray.outcome, ray.configs = _good, []
    confirm(searched, None, WORKERS)
    assert {config["attempt"] for config in ray.configs if config["number"].startswith("kd")} == {4}
    assert len(searched.ledger.confirm_runs()) == N_RUNS + 1


def test_a_crash_loop_ends_the_search_with_its_cause(study: Study, ray: _Ray) -> None:
    ray.outcome = lambda config: None
    with pytest.raises(StudyFailed, match=r"6 attempts crashed one after the other.*\(6 of 6\): exception: "):
        search.search(study, None, WORKERS)
    assert study.ledger.counts() == {"complete": 0, "pruned": 0, "fail": 2, "running": 0}


@pytest.fixture
def recutting(searched: Study, monkeypatch: pytest.MonkeyPatch) -> Study:
    """A searched study that confirms on three cuts; its teacher is played on each."""
    plan = replace(searched.checked.plan, data_seeds=N_CUTS)
    searched.checked = with_cuts(replace(searched.checked, plan=plan), [])

    monkeypatch.setattr(confirmation, "prepare", lambda checked, *_: _of_cut(checked.cuts.index(checked.data.sha256)))
    return searched


def test_every_cut_runs_every_entry_with_a_teacher_and_seeds_of_its_own(recutting: Study, ray: _Ray) -> None:
    confirm(recutting, OWN, WORKERS)
    runs = recutting.ledger.confirm_runs()
    assert len(runs) == N_CUTS * (N_RUNS + 1)
    by_cut = [[run for run in runs if run.data_seed == cut] for cut in range(N_CUTS)]
    for of_cut in by_cut:
        entries = [run.entry for run in of_cut]
        assert entries.count("teacher") == 1
        assert {entries.count(entry) for entry in ("best1", *LADDER)} == {N_SEEDS}
    seeds = [{run.seed for run in of_cut} - {None} for of_cut in by_cut]
    assert len(set.union(*seeds)) == N_CUTS * N_SEEDS
    assert ray.bundles == [(OWN, False), (_of_cut(1), True), (_of_cut(2), True)], "each bundle in its turn"


def test_the_manifest_counts_the_passes_of_every_cut_and_describes_its_teacher(recutting: Study, ray: _Ray) -> None:
    confirm(recutting, OWN, WORKERS)
    manifest = recutting.store.manifest()
    assert manifest["teacher"]["forward_passes"] == 7 + N_CUTS * 400 + (N_CUTS - 1) * 50
    assert manifest["recuts"]["2"] == {"sha256": recutting.checked.cuts[2], "teacher": {"name": "played"}}
    assert set(manifest["recuts"]) == {"1", "2"}


@pytest.mark.parametrize("whole_cuts", [0, 1, 2])
def test_an_interrupted_confirmation_goes_on_cut_by_cut(recutting: Study, ray: _Ray, whole_cuts: int) -> None:
    ray.outcome = _then_ctrl_c(whole_cuts * N_RUNS + 3)
    with pytest.raises(KeyboardInterrupt):
        confirm(recutting, OWN, WORKERS)
    before = recutting.ledger.confirm_runs()
    assert len(before) == whole_cuts * (N_RUNS + 1) + 1 + 3
    ray.outcome, ray.bundles = _good, []
    confirm(recutting, OWN, WORKERS)
    assert len(ray.bundles) == N_CUTS - whole_cuts, "a cut that is done is not prepared again"
    assert recutting.ledger.confirm_runs()[: len(before)] == before
    assert len({run.key for run in recutting.ledger.confirm_runs()}) == N_CUTS * (N_RUNS + 1)
    ray.bundles = []
    confirm(recutting, OWN, WORKERS)
    assert ray.bundles == []


def test_more_cuts_only_add_runs(searched: Study, recutting: Study, ray: _Ray) -> None:
    checked = recutting.checked
    recutting.checked = replace(checked, plan=replace(checked.plan, data_seeds=1))
    confirm(recutting, OWN, WORKERS)
    before = recutting.ledger.confirm_runs()
    recutting.checked, ray.bundles = checked, []
    confirm(recutting, OWN, WORKERS)
    assert recutting.ledger.confirm_runs()[: len(before)] == before
    assert [passing for _, passing in ray.bundles] == [True, True]


def test_a_failed_run_of_another_cut_is_named_with_its_cut(recutting: Study, ray: _Ray) -> None:
    broken = f"ce-seed{confirm_seeds(0, 1, 1)[0]}-cut1"
    ray.outcome = lambda config: None if config["number"] == broken else _good(config)
    confirm(recutting, OWN, WORKERS)
    recutting.export()
    (failure,) = recutting.store.manifest()["failures"]
    assert failure.startswith(f"{broken}: exception: ")
    ray.outcome, ray.configs = _good, []
    confirm(recutting, OWN, WORKERS)
    assert ray.configs == [], "a restart does not try for ever"
    _allow(recutting, max_retries=3)
    confirm(recutting, OWN, WORKERS)
    recutting.export()
    assert [config["number"] for config in ray.configs] == [broken]
    assert recutting.store.manifest()["failures"] == []


def _allow(study: Study, **limits: int) -> None:
    """As if the study were resumed with other limits."""
    study.checked = replace(study.checked, plan=replace(study.checked.plan, **limits))
    study.__dict__.pop("failures", None)


def _selecting(study: Study, **changes: int) -> None:
    plan = replace(study.checked.plan, **{"finalists": 2, "finalist_seeds": 2, **changes})
    study.checked = replace(study.checked, plan=plan)


def _tuning(study: Study, *names: str) -> None:
    """As if the study were confirmed with `--tuned-baselines`, a selection of two candidates and two seeds for each."""
    study.store.update_manifest(phase="selection")
    _selecting(study)
    study.checked = replace(study.checked, plan=replace(study.checked.plan, tuned_baselines=names))


def test_a_baseline_is_tuned_by_the_rules_of_the_studied_method(searched: Study, ray: _Ray) -> None:
    _tuning(searched, "la", "kd")
    tune_baselines(searched, None, WORKERS)
    assert ray.opened_test is False
    own = searched.ledger
    for name, knobs in (("la", {"tau", "weight_decay"}), ("kd", {"tau", "temperature", "kd_weight"})):
        ledger = own.baselines[name]
        assert ledger.settings == own.settings
        assert ledger.counts() == own.counts()
        assert [row.kind for row in ledger.rows()] == [row.kind for row in own.rows()]
        assert set(ledger.space.distributions) == knobs, "--set lr=0.1 holds for every run, so la does not search it"
        assert ledger.rows()[0].params == ledger.space.reference_point()
        assert {run.trial for run in ledger.selection_runs()} == {0, N_TRIALS - 2, N_TRIALS - 1}
        assert not {row.seed for row in ledger.rows()} & {row.seed for row in own.rows()}
    assert len(own.rows()) == N_TRIALS, "the study's own trials are what they were"
    assert {config["config"]["method"] for config in ray.configs} == {"kd"}
    assert not any("feature_weight" in config["config"] for config in ray.configs)


def test_tuned_baselines_are_confirmed_on_the_seeds_of_all_others_and_told_in_the_tables(searched, ray: _Ray) -> None:
    _tuning(searched, "la", "kd")
    tune_baselines(searched, None, WORKERS)
    confirm(searched, None, WORKERS)
    searched.ledger.close()
    searched.ledger = Ledger.open(searched.store.database)
    searched.export()
    runs = searched.ledger.confirm_runs()
    assert len(runs) == N_RUNS + 2 * N_SEEDS + 1
    by_entry = {entry: {run.seed for run in runs if run.entry == entry} for entry in ("best1", "la_tuned", "kd_tuned")}
    assert len(set(map(frozenset, by_entry.values()))) == 1
    assert {run.record["selected_on"] for run in runs if run.entry == "kd_tuned"} == {"val"}
    assert {config["export"] for config in ray.configs} == {"best1", None}
    manifest = searched.store.manifest()
    assert manifest["confirm_entries"]["kd_tuned"]["config"]["method"] == "kd"
    assert manifest["tuned_baselines"]["la"]["chosen_trial"] == manifest["confirm_entries"]["la_tuned"]["trial"]
    with (searched.store.path / schema.BASELINES_CSV).open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert [row["baseline"] for row in rows] == ["la"] * N_TRIALS + ["kd"] * N_TRIALS
    assert [row["fresh_runs"] for row in rows] == ["2", "0", "2", "2"] * 2
    assert rows[0]["config/kd_weight"] == rows[-1]["config/weight_decay"] == ""
    with (searched.store.path / schema.TRIALS).open(newline="") as handle:
        assert len(list(csv.DictReader(handle))) == N_TRIALS


@pytest.mark.parametrize("stop_after", [0, 1, N_TRIALS - 1, N_TRIALS + 1])
def test_an_interrupted_tuning_goes_on_under_the_same_numbers(searched: Study, ray: _Ray, stop_after: int) -> None:
    """Within la's search, before it, or within its selection; the study is opened again each time."""
    _tuning(searched, "la")
    ray.outcome = _then_ctrl_c(stop_after)
    with pytest.raises(KeyboardInterrupt):
        tune_baselines(searched, None, WORKERS)
    known = [(row.params, row.seed) for row in searched.ledger.baselines["la"].rows()]
    assert len(known) == min(stop_after + 1, N_TRIALS)
    searched.ledger.close()
    searched.ledger = Ledger.open(searched.store.database)
    assert [(row.params, row.seed) for row in searched.ledger.baselines["la"].rows()] == known
    ray.outcome = _good
    tune_baselines(searched, None, WORKERS)
    again = searched.ledger.baselines["la"]
    assert [(row.params, row.seed) for row in again.rows()][: len(known)] == known
    assert again.counts() == searched.ledger.counts()
    assert len(again.selection_runs()) == 6


def test_a_tuning_that_is_done_runs_nothing_and_an_extended_study_extends_it(searched: Study, ray: _Ray) -> None:
    _tuning(searched, "la")
    tune_baselines(searched, None, WORKERS)
    ray.configs = []
    tune_baselines(searched, None, WORKERS)
    assert ray.configs == []
    searched.ledger.close()
    searched.ledger = Ledger.open(searched.store.database, trials=N_TRIALS + 1)
    searched.checked = replace(searched.checked, plan=replace(searched.checked.plan, trials=N_TRIALS + 1))
    tune_baselines(searched, None, WORKERS)
    assert searched.ledger.baselines["la"].finished_total == N_TRIALS + 1
    assert searched.ledger.finished_total == N_TRIALS, "the study's own search is another phase's"


def test_a_baseline_that_fails_altogether_is_told_and_the_others_go_on(searched: Study, ray: _Ray) -> None:
    _allow(searched, max_failures=N_TRIALS)
    _tuning(searched, "la", "kd")
    ray.outcome = lambda config: _good(config) | ({"cause": "nan"} if config["config"]["method"] == "la" else {})
    tune_baselines(searched, None, WORKERS)
    ray.outcome = _good
    confirm(searched, None, WORKERS)
    assert "la COULD NOT BE TUNED: no trial completed; causes: nan" in searched.progress._stream.getvalue()
    assert {"kd_tuned", "la"} <= set(searched.store.manifest()["confirm_entries"])
    assert "la_tuned" not in searched.store.manifest()["confirm_entries"]


def test_the_failures_of_baselines_count_with_the_others_and_are_remembered(searched: Study, ray: _Ray) -> None:
    _allow(searched, max_failures=1)
    _tuning(searched, "la")
    ray.outcome = lambda config: _good(config) | {"cause": "non-finite loss: nan"}
    with pytest.raises(StudyFailed, match="2 runs failed and --max-failures allows 1"):
        tune_baselines(searched, None, WORKERS)
    assert searched.ledger.causes_of_failure() == ["non-finite loss: nan"] * 2


def test_checkpoints_of_a_baselines_trials_lie_apart_and_are_swept(searched: Study, ray: _Ray) -> None:
    _tuning(searched, "la")
    tune_baselines(searched, None, WORKERS)
    shelf = searched.shelf_of("la")
    assert shelf.root == f"{searched.shelf.root}/search-la"
    for number in ("0", str(N_TRIALS)):
        shelf.workplace(number, "1").mkdir(parents=True)
    searched.export()
    assert shelf.runs() == [str(N_TRIALS)]


def _then_ctrl_c(n_good: int) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """An outcome: so many runs end well, and then Ctrl-C is pressed."""
    left = n_good

    def outcome(config: dict[str, Any]) -> dict[str, Any]:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        return _good(config)

    return outcome


def _lucky(trial: int) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Outcomes in which `trial` is the worst when trained again, whatever it reached in the search."""

    def outcome(config: dict[str, Any]) -> dict[str, Any]:
        unlucky = f"-trial{trial}-" in str(config["number"])
        result = _good(config)
        result["records"][-1]["val"]["correct"] = [0 if unlucky else 20] * 10
        return result

    return outcome


def test_a_lucky_trial_is_nominated_but_not_chosen(searched: Study, ray: _Ray) -> None:
    _selecting(searched)
    ray.outcome = _lucky(N_TRIALS - 1)
    selection.select(searched, None, WORKERS)
    assert ray.opened_test is False
    tried = {int(config["number"].split("-")[1].removeprefix("trial")) for config in ray.configs}
    assert tried == {N_TRIALS - 1, N_TRIALS - 2, 0}, "the two best and the reference point"
    seeds = {config["config"]["seed"] for config in ray.configs}
    assert len(seeds) == 2
    assert not seeds & {row.seed for row in searched.ledger.rows()}
    order = [found.number for found in selection.ranked(searched.ledger, searched.checked.plan)]
    assert order == [0, N_TRIALS - 2, N_TRIALS - 1]
    ray.outcome = _good
    confirm(searched, None, WORKERS)
    assert searched.store.manifest()["confirm_entries"]["best1"]["trial"] == 0


def test_a_selection_that_is_done_or_not_wanted_runs_nothing(searched: Study, ray: _Ray) -> None:
    _selecting(searched)
    selection.select(searched, None, WORKERS)
    ray.configs = []
    selection.select(searched, None, WORKERS)
    _selecting(searched, finalist_seeds=0)
    selection.select(searched, None, WORKERS)
    assert ray.configs == []
    assert selection.ranked(searched.ledger, searched.checked.plan)[0].number == N_TRIALS - 1


def test_an_interrupted_selection_goes_on_run_by_run(searched: Study, ray: _Ray) -> None:
    _selecting(searched)
    ray.stop_after = 4
    with pytest.raises(StudyInterrupted):
        selection.select(searched, None, WORKERS)
    ray.stop_after = None
    selection.select(searched, None, WORKERS)
    assert len(ray.configs) == 2
    assert len(searched.ledger.selection_runs()) == 6


def test_a_finalist_with_a_failed_run_is_not_chosen(searched: Study, ray: _Ray) -> None:
    _selecting(searched)
    broken = f"-trial{N_TRIALS - 1}-"
    ray.outcome = lambda config: None if broken in str(config["number"]) else _good(config)
    selection.select(searched, None, WORKERS)
    assert [found.number for found in selection.ranked(searched.ledger, searched.checked.plan)] == [0, N_TRIALS - 2]


def test_a_former_candidate_still_counts_when_the_study_was_extended(searched: Study, ray: _Ray) -> None:
    _selecting(searched)
    ray.outcome = _lucky(N_TRIALS - 1)
    selection.select(searched, None, WORKERS)
    _selecting(searched, finalists=1)  # as if better trials had pushed the second out of the nomination
    assert [found.number for found in selection.ranked(searched.ledger, searched.checked.plan)][1] == N_TRIALS - 2


def test_no_confirmation_where_none_was_asked_for(searched: Study, ray: _Ray, checked: Checked) -> None:
    ray.configs = []
    searched.checked = replace(checked, plan=replace(checked.plan, confirm_seeds=0))
    confirm(searched, None, WORKERS)
    assert (ray.configs, searched.ledger.confirm_runs()) == ([], [])


def test_checkpoints_of_finished_trials_are_swept_and_others_stay(study: Study, ray: _Ray) -> None:
    ray.stop_after = 1
    with pytest.raises(StudyInterrupted):
        search.search(study, None, WORKERS)
    for name in ("0", "1", "la-seed1001"):
        study.shelf.workplace(name, "1").mkdir(parents=True)
    study.export()
    assert study.shelf.runs() == ["1", "la-seed1001"]


def test_ray_never_gets_a_folder_that_exists(study: Study) -> None:
    first = Path(*study.ray_folder("search"))
    first.mkdir(parents=True)
    second = Path(*study.ray_folder("search"))
    second.mkdir()
    first.rmdir()
    assert len({first, second, Path(*study.ray_folder("confirm"))}) == 3
    assert not Path(*study.ray_folder("search")).exists()


def test_shared_storage_holds_checkpoints_and_rays_tree_by_study(
    study: Study, checked: Checked, tmp_path: Path
) -> None:
    for storage in (str(tmp_path / "shared"), f"file://{tmp_path}/store"):
        study.checked = replace(checked, plan=replace(checked.plan, storage=storage))
        assert study.shelf.root == f"{storage}/toy/checkpoints"
        assert study.ray_folder("search") == (f"{storage}/toy/ray", "search-1")


def test_the_model_that_a_run_exported_lies_in_the_study_folder_afterwards(searched: Study, ray: _Ray) -> None:
    confirm(searched, None, WORKERS)
    kept = searched.store.models / "best1.safetensors"
    assert kept.read_text() == next(config["number"] for config in ray.configs if config["export"])
    assert searched.shelf.runs() == []


def test_the_teachers_passes_add_up_over_starts() -> None:
    assert _keep_passes(None, {"forward_passes": 5}) == {"forward_passes": 5}
    assert _keep_passes({"forward_passes": 5}, {"forward_passes": 0, "name": "x"}) == {"forward_passes": 5, "name": "x"}


def _export(config: dict[str, Any]) -> None:
    folder = Shelf(config["checkpoints"]).workplace(config["number"], MODEL)
    folder.mkdir(parents=True)
    (folder / f"{config['export']}.safetensors").write_text(config["number"])


def _good(config: dict[str, Any]) -> dict[str, Any]:
    """A whole trial's last result; a search trial does better than those before it."""
    number = config["number"]
    right = 20 + number if isinstance(number, int) else 20
    val = {"correct": [right] * 10, "seen": [40] * 10}
    records = [
        {"epoch": k, "losses": {"total": 1.0}, "lr": 0.1, "val": val, "train_s": 1.0, "eval_s": 0.1}
        for k in range(1, EPOCHS + 1)
    ]
    return {
        "records": records,
        "cause": None,
        "done": True,
        "test_correct": [30] * 10,
        "test_seen": [40] * 10,
        "test_confusion": [],
        **{f"test_{name}": [1.0] * 10 for name in ("deviation", "intra", "inter")},
    }
