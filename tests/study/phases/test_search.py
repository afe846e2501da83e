"""What a search asks for, what it files, and how it ends."""

import io
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from study.execution.tasks import TaskError
from study.phases import search
from study.phases.drive import finish
from study.phases.state.study_in_progress import NothingComplete, Study, StudyFailed
from study.phases.state.ticker import Ticker
from study.planning.checked import Checked
from study.planning.manifest import first_manifest
from study.records.ledger import Ledger
from study.records.store import StudyStore
from study.schema import CAUTIONS, LEFT, SEARCH_LOOKS, CautionReason
from study.strategy import stopping
from study.terminal.pace import TimeBudget
from study.terminal.progress import Progress, duration
from tests.study.phases.played import ANALYSES, EPOCHS, N_TRIALS, WORKERS, PlayedRay, play, then_ctrl_c


def test_the_search_runs_the_planned_total_and_never_opens_the_test_set(study: Study, ray: PlayedRay) -> None:
    play(study, search.search, search.studied_method(study))
    assert study.ledger.counts() == {"complete": N_TRIALS, "pruned": 0, "fail": 0, "running": 0}
    assert ray.opened_test is False
    assert all(
        (config["config"]["lr"], config["config"]["feature_weight"], config["config"]["epochs"]) == (0.1, 0.5, EPOCHS)
        for config in ray.configs
    )
    assert len({config["config"]["seed"] for config in ray.configs}) == N_TRIALS


def _told(study: Study, target: search.SearchTarget, n_done: int) -> str:
    return search.best_and_time_left(target, search.seconds_left(study, target, WORKERS, n_done))


@pytest.mark.parametrize(("n_later", "ending"), [(6, " left in all"), (0, " left")])
def test_the_time_left_says_when_it_counts_later_phases(study: Study, n_later: int, ending: str) -> None:
    play(study, search.search, search.studied_method(study))
    target = replace(search.studied_method(study), n_later=n_later)
    assert _told(study, target, N_TRIALS).endswith(ending)


def test_the_time_left_follows_the_epochs_of_the_last_minutes(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    target = replace(search.studied_method(study), n_later=6)
    assert _told(study, target, 0) == "best -", "nothing is known yet"
    monkeypatch.setattr(study.pace, "seconds_for", lambda n_epochs: 60.0 * n_epochs)
    n_epochs = (N_TRIALS + 6) * EPOCHS
    assert _told(study, target, 0) == f"best -, {duration(60.0 * n_epochs)} left in all"
    assert _told(study, target, 1) == f"best -, {duration(60.0 * (n_epochs - EPOCHS))} left in all"


def test_epochs_that_trials_report_are_counted_for_the_time_left(study: Study, ray: PlayedRay) -> None:
    play(study, search.search, search.studied_method(study))
    assert study.pace.done == N_TRIALS, "a played trial reports its last epoch only"


def test_the_manifest_has_the_time_left_of_the_last_tables(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    n_done = 0
    tick = Ticker(
        study, n_done=lambda: n_done, seconds_left=lambda n: 60.0 / n if n else None, note=str, all_phases=True
    )
    tick()
    assert LEFT not in study.store.manifest()
    n_done, tick._next_tick = 2, 0.0
    tick()
    told = study.store.manifest()[LEFT]
    assert (told["seconds"], told["all_phases"]) == (30.0, True)
    assert datetime.now(UTC) - datetime.fromisoformat(told["at"]) < timedelta(minutes=1)


def test_a_search_that_stands_still_says_so(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    tick = Ticker(study, n_done=lambda: 0, seconds_left=lambda n: None, note=lambda left_s: "")
    stream = study.progress._stream
    for seconds in (30, 29, 2):
        now[0] += seconds
        tick()
    assert "no trial has reported an epoch for 61 s; load average" in " ".join(stream.getvalue().split())
    study.pace.note(1)
    said = stream.getvalue()
    for seconds in (5, 59):
        now[0] += seconds
        tick()
    assert stream.getvalue() == said


def test_trials_that_would_not_fit_the_hours_are_left_out_and_told(
    study: Study, ray: PlayedRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []
    monkeypatch.setattr(study, "has_time_for", lambda n_trials: asked.append(n_trials) or len(asked) < 3)
    target = replace(study.checked.plan, max_hours=0.5)
    study.checked = replace(study.checked, plan=target)
    method = search.studied_method(study)
    play(study, search.search, method)
    assert study.ledger.counts() == {"complete": 2, "pruned": 0, "fail": 0, "running": 0}
    assert asked == [1 + method.n_later] * 3, "a trial and all that follows"
    assert study.cut == [f"{N_TRIALS - 2} of {N_TRIALS} trials (search)"]
    assert "left out, would not fit --max-hours 0.5" in study.progress._stream.getvalue()
    finish(study, "done")
    (caution,) = study.store.manifest()[CAUTIONS]
    assert caution["text"] == f"--max-hours 0.5 left out {N_TRIALS - 2} of {N_TRIALS} trials (search)"
    study.cut.clear()
    monkeypatch.setattr(study, "has_time_for", lambda n_trials: True)
    play(study, search.search, search.studied_method(study))
    finish(study, "done")
    assert study.ledger.counts()["complete"] == N_TRIALS
    assert study.store.manifest()[CAUTIONS] == []


@pytest.mark.parametrize("hours", [0.0002, 0.5, 3.0])
def test_hours_that_are_over_before_the_first_trial_are_named_as_the_cause(study: Study, ray: PlayedRay, hours) -> None:
    study.checked = replace(study.checked, plan=replace(study.checked.plan, max_hours=hours))
    study.time = TimeBudget(-1.0)
    cause = f"no trial completed; causes: --max-hours {hours:g} left no time for a trial: give more"
    with pytest.raises(NothingComplete, match=f"^{re.escape(cause)}$"):
        play(study, search.search, search.studied_method(study))
    assert ray.configs == []
    assert study.ledger.n_asked == 0


def test_ctrl_c_while_trials_are_held_back_is_a_ctrl_c(study: Study, ray: PlayedRay, monkeypatch) -> None:
    monkeypatch.setattr(study, "has_time_for", lambda n_trials: len(ray.configs) < 2)
    ray.outcome = then_ctrl_c(1)
    with pytest.raises(KeyboardInterrupt):
        play(study, search.search, search.studied_method(study))
    assert study.cut == []


class _Looked:
    """A study with `--stop-when settled` that is looked at after two and three of its four trials."""

    def __init__(self, study: Study, monkeypatch: pytest.MonkeyPatch, *found: tuple[bool, str] | Exception) -> None:
        monkeypatch.setattr(stopping, "_LEAST", 1)
        self.study, self.asked, self._found = study, [], list(found)
        study.checked = replace(study.checked, plan=replace(study.checked.plan, stop_when="settled"))
        study.analyses = replace(study.analyses, look=self._look)

    def _look(self, folder: Path, share: float) -> tuple[bool, str]:
        self.asked.append((folder, share))
        found = self._found.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    def search(self) -> list[dict[str, Any]]:
        play(self.study, search.search, search.studied_method(self.study))
        finish(self.study, "done")
        return self.study.store.manifest().get(SEARCH_LOOKS, [])


def test_a_search_ends_at_the_look_that_finds_it_settled(
    study: Study, ray: PlayedRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = _Looked(study, monkeypatch, (True, "tau matters"))
    rows = looked.search()
    assert looked.asked == [(study.store.path, stopping.SHARE_OF_LEVEL)]
    assert rows == [{"finished": 2, "of": N_TRIALS, "settled": True, "text": "tau matters"}]
    assert study.ledger.counts() == {"complete": 3, "pruned": 0, "fail": 0, "running": 0}, "trials go on meanwhile"
    assert "no further trial: tau matters" in study.progress._stream.getvalue()
    (caution,) = study.store.manifest()[CAUTIONS]
    assert caution["reason"] == CautionReason.SETTLED
    assert caution["text"] == f"--stop-when settled ended the search after 3 of {N_TRIALS} trials: tau matters"
    ray.configs = []
    looked.search()
    assert (ray.configs, study.ledger.counts()["complete"]) == ([], 3), "a resumed study stays settled"


def test_a_settled_search_goes_on_when_it_is_asked_to(
    study: Study, ray: PlayedRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = _Looked(study, monkeypatch, (True, "tau matters"))
    looked.search()
    study.checked = replace(study.checked, plan=replace(study.checked.plan, stop_when="trials"))
    looked.search()
    assert study.ledger.counts()["complete"] == N_TRIALS
    assert study.store.manifest()[CAUTIONS] == []


def test_a_trial_that_was_under_way_when_a_study_was_settled_comes_to_its_end(
    study: Study, ray: PlayedRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = _Looked(study, monkeypatch)
    ray.stop_after = 1
    with pytest.raises(KeyboardInterrupt):
        looked.search()
    assert study.ledger.counts() == {"complete": 1, "pruned": 0, "fail": 0, "running": 2}
    row = {"finished": 1, "of": N_TRIALS, "settled": True, "text": "tau matters"}
    study.store.update_manifest(**{SEARCH_LOOKS: [row]})
    ray.stop_after = None
    looked.search()
    assert study.ledger.counts() == {"complete": 3, "pruned": 0, "fail": 0, "running": 0}


@pytest.mark.parametrize("found", [(False, "tau is open"), TaskError("study.db is not as a study writes it\nmore")])
def test_a_search_goes_on_where_a_look_finds_it_open_or_fails(
    study: Study, monkeypatch: pytest.MonkeyPatch, found: tuple[bool, str] | Exception
) -> None:
    rows = _Looked(study, monkeypatch, found).search()
    assert study.ledger.counts()["complete"] == N_TRIALS
    told = found[1] if isinstance(found, tuple) else "the look failed: study.db is not as a study writes it more"
    assert rows == [{"finished": 2, "of": N_TRIALS, "settled": False, "text": told}]


def test_a_tuned_baselines_search_is_never_looked_at(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = _Looked(study, monkeypatch)
    target = replace(search.studied_method(study), entry="la_tuned")
    play(study, search.search, target)
    assert (looked.asked, study.ledger.counts()["complete"]) == ([], N_TRIALS)


def test_a_search_that_is_done_asks_ray_for_nothing(study: Study, ray: PlayedRay) -> None:
    play(study, search.search, search.studied_method(study))
    ray.configs = []
    play(study, search.search, search.studied_method(study))
    assert ray.configs == []


@pytest.mark.parametrize(("study_seed", "same"), [(0, True), (1, False)])
def test_a_trials_seed_depends_on_the_study_seed_and_its_configuration_only(
    study: Study, checked: Checked, empty_database: bytes, ray: PlayedRay, tmp_path: Path, study_seed: int, same: bool
) -> None:
    play(study, search.search, search.studied_method(study))
    first = [config["config"]["seed"] for config in ray.configs]
    # Only the trials' seeds change; the sampler's is in the ledger's settings.
    other = replace(checked, plan=replace(checked.plan, seed=study_seed))
    store = StudyStore.create(tmp_path, "other")
    store.write_manifest(first_manifest(checked, "..."))
    store.database.write_bytes(empty_database)
    ledger = Ledger.open(store.database)
    other_study = Study(other, store, ledger, Progress(io.StringIO()), ANALYSES, ray.engine)
    play(other_study, search.search, search.studied_method(other_study))
    ledger.close()
    assert all((config["config"]["seed"] == seed) is same for config, seed in zip(ray.configs, first, strict=True))


def test_an_interrupted_search_says_so_and_goes_on_where_it_stood(study: Study, ray: PlayedRay) -> None:
    ray.stop_after = 2
    with pytest.raises(KeyboardInterrupt):
        play(study, search.search, search.studied_method(study))
    assert study.ledger.counts() == {"complete": 2, "pruned": 0, "fail": 0, "running": 2}
    ray.stop_after = None
    play(study, search.search, search.studied_method(study))
    assert study.ledger.counts() == {"complete": N_TRIALS, "pruned": 0, "fail": 0, "running": 0}
    assert [config["attempt"] for config in ray.configs] == [2, 2]


def test_a_search_without_a_complete_trial_has_failed_and_names_the_causes(study: Study, ray: PlayedRay) -> None:
    ray.outcome = lambda config: {"records": [], "done": True, "cause": "loss term 'cckd' became nan"}
    with pytest.raises(StudyFailed, match="loss term 'cckd' became nan"):
        play(study, search.search, search.studied_method(study))


def test_a_crash_loop_ends_the_search_with_its_cause(study: Study, ray: PlayedRay) -> None:
    ray.outcome = lambda config: None
    with pytest.raises(StudyFailed, match=r"6 attempts crashed one after the other.*\(6 of 6\): exception: "):
        play(study, search.search, search.studied_method(study))
    assert study.ledger.counts() == {"complete": 0, "pruned": 0, "fail": 2, "running": 0}


def test_checkpoints_of_finished_trials_are_swept_and_others_stay(study: Study, ray: PlayedRay) -> None:
    ray.stop_after = 1
    with pytest.raises(KeyboardInterrupt):
        play(study, search.search, search.studied_method(study))
    for name in ("0", "1", "la-seed1001"):
        study.checkpoints.workplace(name, "1").mkdir(parents=True)
    study.export()
    assert study.checkpoints.runs() == ["1", "la-seed1001"]


def test_ray_never_gets_a_folder_that_exists(study: Study) -> None:
    first = Path(*study.ray_folder("search"))
    first.mkdir(parents=True)
    second = Path(*study.ray_folder("search"))
    second.mkdir()
    first.rmdir()
    assert len({first, second, Path(*study.ray_folder("confirm"))}) == 3
    assert not Path(*study.ray_folder("search")).exists()


def test_shared_storage_holds_checkpoints_by_study_and_rays_files_stay_on_the_drivers_disk(
    study: Study, checked: Checked, tmp_path: Path
) -> None:
    for storage in (str(tmp_path / "shared"), f"file://{tmp_path}/store"):
        study.checked = replace(checked, plan=replace(checked.plan, storage=storage))
        assert study.checkpoints.root == f"{storage}/toy/checkpoints"
        assert study.ray_folder("search") == (str(study.store.path / "ray"), "search-1")


@pytest.mark.parametrize(
    ("changes", "asks"),
    [
        ({}, False),
        ({"tuned_baselines": ("la", "kd")}, False),
        ({"overrides": {"mix_targets": "interpolate"}}, False),
        ({"overrides": {"mix_targets": "forward"}}, True),
    ],
)
def test_workers_have_the_teachers_weights_if_a_trial_may_ask_for_them(study: Study, changes: Any, asks: bool) -> None:
    study.checked = replace(study.checked, plan=replace(study.checked.plan, **changes))
    assert search.forwards_teacher(study) == asks
