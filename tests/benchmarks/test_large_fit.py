"""What the benchmark of a large fit reads and judges; its way is walked on a set of seconds."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import large_fit
from benchmarks.large_fit import (
    Judged,
    NoFirstStepError,
    Way,
    agreement,
    agreement_rows,
    measure_way,
    named_seconds,
    way_rows,
)
from benchmarks.simulated_features import SimulatedSet


@pytest.mark.parametrize(("said", "seconds"), [("45 s", 45.0), ("7 min", 420.0), ("2 h 05 min", 7500.0), (None, None)])
def test_the_time_that_a_dry_run_names_is_read_over_line_ends(said: str | None, seconds: float | None) -> None:
    text = "estimate  about 6 min of one core's student training\n          about 3 s of teacher passes\n"
    if said:
        text += f"          about {said} of the teacher's\n          fit at this machine's speed"
    assert named_seconds(text) == seconds


WAY = Way(seconds=1200, fit_s=600, n_kills=2, peak_gb=4.0, peak_with_file_gb=9.0, val_balanced_accuracy=0.6)


def test_only_the_full_size_is_judged_by_its_minutes() -> None:
    verdicts = [row.verdict for row in way_rows("imagenet_lt", 1.0, 500.0, WAY)]
    assert verdicts == ["not met", "met", "met", "not met"]
    assert way_rows("imagenet_lt", 0.1, None, WAY)[0].goal is None
    assert len(way_rows("imagenet_lt", 0.1, None, WAY)) == 3


def test_a_worse_fit_fails_and_a_better_one_does_not() -> None:
    fits = {"as a study": Judged(0.1, 1.02, 60.0, 9, 9), "to the end": Judged(0.1, 1.0, 60.31, 9, 9)}
    assert [row.verdict for row in agreement_rows("x", fits)] == ["not met", "not met"]
    fits["to the end"] = Judged(0.1, 1.1, 59.0, 9, 9)
    assert [row.verdict for row in agreement_rows("x", fits)] == ["met", "met"]


def test_a_study_agrees_with_a_fit_to_the_end() -> None:
    size = SimulatedSet(10, 400, 120, 2, 100, n_features=64, n_views=4)
    fits = agreement(size, every_view=True)
    assert list(fits) == ["as a study", "to the end", "every view, to the end"]
    assert fits["to the end"].iterations > fits["as a study"].iterations
    first, second, *_ = agreement_rows("small", fits)
    assert (first.verdict, second.verdict) == ("met", "met")


class _PlayedStudy:
    """A driver that keeps a step of its fit in each second, and begins to train one second after the last step."""

    def __init__(self, folder: Path, n_steps: int) -> None:
        self.now, self.began, self.commands, self.killed_at = 1000.0, 0.0, [], []
        self.path, self.running, self.pid = folder / "runs" / "large", False, 1
        self.manifest = {"teacher": {"val_balanced_accuracy": 0.5}}
        self._fits, self._n_steps = folder / "data" / "teacher-cache" / "of" / "fits", n_steps

    def start(self, module: str, command: str, *argv: str) -> "_PlayedStudy":
        assert not self.running
        self.commands.append((command, argv[0]))
        self.running, self.began = True, self.now
        return self

    def sleep(self, seconds: float) -> None:
        before, self.now = self.now, self.now + seconds
        steps = self._fits / "x.steps"
        if int(self.now - self.began) > int(before - self.began):
            steps.mkdir(parents=True, exist_ok=True)
            n_kept = len(list(steps.iterdir()))
            (steps / f"{n_kept}.safetensors").touch()
            if n_kept + 1 == self._n_steps:
                (self._fits / "x.safetensors").touch()

    def others(self) -> list[int]:
        return [2]

    def kill(self) -> None:
        self.killed_at.append(len(list(self._fits.glob("*.steps/*"))))
        self.running = False

    def first_step(self) -> float | None:
        return self.now if list(self._fits.glob("*.safetensors")) else None


@pytest.mark.parametrize(("n_steps", "kills"), [(12, [1, 3]), (2, [1])])
def test_a_driver_is_killed_inside_the_steps_behind_the_first_and_the_third(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_steps: int, kills: list[int]
) -> None:
    study = _PlayedStudy(tmp_path, n_steps)
    monkeypatch.setattr(large_fit, "_MOMENT_S", 0.5)
    monkeypatch.setattr(large_fit, "time", SimpleNamespace(time=lambda: study.now, sleep=study.sleep))
    monkeypatch.setattr(large_fit, "Command", study.start)
    monkeypatch.setattr(large_fit, "WatchedStudy", lambda path: study)
    held = iter([(2e9, 1e9), (3e9, 1e9)])
    monkeypatch.setattr(large_fit, "_memory", lambda pids: next(held, (1e9, 2.5e9)))
    dry_run = SimpleNamespace(stdout="about 7 min of the teacher's fit")
    monkeypatch.setattr(large_fit.subprocess, "run", lambda *command, **options: dry_run)
    named_s, way = measure_way(tmp_path, "tiny", 1.0)
    assert named_s == 420
    assert study.killed_at == [*kills, n_steps], "the last one, behind the first training step, is no kill of the fit"
    assert way.n_kills == len(kills)
    assert [command for command, _ in study.commands] == ["run", *["resume"] * len(kills)]
    assert {folder for command, folder in study.commands if command == "resume"} == {str(study.path)}
    assert way.seconds == way.fit_s == study.now - 1000
    assert (way.peak_gb, way.peak_with_file_gb, way.val_balanced_accuracy) == (3.0, 4.0, 0.5)


def test_a_study_that_ends_without_a_training_step_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = SimpleNamespace(running=False, end=lambda: SimpleNamespace(code=2, out="", err="error: no disk"))
    monkeypatch.setattr(large_fit, "Command", lambda *argv: ended)
    monkeypatch.setattr(large_fit.subprocess, "run", lambda *command, **options: SimpleNamespace(stdout=""))
    with pytest.raises(NoFirstStepError, match=r"ended with 2:\nerror: no disk"):
        measure_way(tmp_path, "tiny", 1.0)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_small_set_walks_the_whole_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_fit, "KILL_AT", ())  # a played driver is killed above; these steps are too short to keep
    named_s, way = measure_way(tmp_path, "tiny", 1.0)
    assert named_s is None
    assert way.n_kills == 0
    assert 0 < way.fit_s <= way.seconds
    assert 0.1 < way.peak_gb < 8
    assert way.val_balanced_accuracy > 0.3
