"""The teacher sees every image once a study and data root: a killed pass continues, a finished one is looked up."""

import io
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import ray

from study.cache import main as prune_cache
from study.execution import tasks
from study.execution.workers import Workers
from study.planning.check import check
from study.planning.checked import Checked
from study.planning.cores import Cores
from study.planning.parser import build_parser
from study.teacher import bundle, teacher_fit
from study.teacher.bundle import damaged_images, decode_images, prepare, teacher_on_test
from study.teacher.worker_tasks import damaged_files, extract, extract_all, hold, read_classifier
from study.terminal.progress import Progress
from tests.support.damaged_images import encoded
from trainables.cckd.errors import TeacherError
from trainables.cckd.teacher.fit import fit_steps

N_TRAIN, N_VIEWS, N_FEATURES = 303, 2, 1280


class _Teacher:
    """Plays Ray and the backbone: features depend on pixels and view, and every image seen is counted."""

    def __init__(self) -> None:
        self.n_seen = self.weights = 0
        self.width = N_FEATURES
        self.dies_after: int | None = None
        self.meanwhile: Callable[[], object] = lambda: None
        self.most_in_flight = 0
        self.on_wait: Callable[[float], bool] = lambda timeout: True
        self._n_in_flight = 0

    def as_ray(self) -> SimpleNamespace:
        def remote(**resources: Any) -> Any:
            return lambda function: SimpleNamespace(remote=partial(submit, function))

        def submit(function: Any, *args: Any) -> object:
            self._n_in_flight += function is extract
            self.most_in_flight = max(self.most_in_flight, self._n_in_flight)
            return _Reference(function, args)

        def get(reference: Any) -> Any:
            asked = {extract: self.extract, extract_all: self.extract_all}
            return asked[reference.function](*reference.args)

        def wait(references: list[Any], timeout: float) -> tuple[list[Any], list[Any]]:
            if not self.on_wait(timeout):
                return [], references
            self._n_in_flight -= 1
            return references[-1:], references[:-1]  # the latest first: order must not matter

        return SimpleNamespace(
            remote=remote,
            put=lambda value: value,
            wait=wait,
            get=get,
            exceptions=ray.exceptions,
            get_runtime_context=lambda: SimpleNamespace(get_node_id=lambda: "this one"),
        )

    def extract_all(self, file: Any, size: int, *sets: Any) -> Any:
        return [self.extract(file, size, "cpu", 0, *sets[first : first + 3])[0] for first in range(0, len(sets), 3)]

    def extract(self, file: Any, size: int, device: str, decoders: int, images: Any, rows: Any, views: Any) -> Any:
        if self.dies_after is not None and self.n_seen >= self.dies_after:
            raise KeyboardInterrupt
        self.meanwhile()
        pixels = images[rows].reshape(-1, 64).astype(np.float32) / 255
        base = pixels @ np.random.default_rng(self.weights).normal(size=(64, self.width)) / 8
        seen = base if views is None else base[:, None] + 0.01 * views[..., 0, None]
        n_seen = int(np.prod(seen.shape[:-1]))
        self.n_seen += n_seen
        return seen.astype(np.float16), n_seen


@dataclass(frozen=True, eq=False)
class _Reference:
    function: Any
    args: tuple[Any, ...]


@pytest.fixture
def teacher(monkeypatch: pytest.MonkeyPatch) -> _Teacher:
    played = _Teacher()
    monkeypatch.setattr(tasks, "ray", played.as_ray())
    monkeypatch.setattr(tasks, "NodeAffinitySchedulingStrategy", lambda *node, soft: node)
    return played


WORKERS = Workers(n_workers=2)


def _check(out: Path, root: Path, *flags: str, n_views: int = N_VIEWS) -> Checked:
    """A study of digits; nearest class means are fitted at once, where a probe takes longer than all the rest."""
    what = ["--data", "digits_lt", "--teacher-form", "ncm", "--teacher-views", str(n_views)]
    return check(build_parser().parse_args([*what, *flags, "--data-root", str(root), "--out", str(out)]))


@pytest.fixture
def checked(tmp_path: Path) -> Checked:
    return _check(tmp_path, tmp_path / "data")


def _prepare(checked: Checked, told: io.StringIO | None = None) -> Any:
    prepared = prepare(checked, WORKERS, Progress(told or io.StringIO()))
    prepared.verification.wait()
    return prepared


def test_every_view_of_every_training_image_and_every_val_image_is_seen_once(checked, teacher: _Teacher) -> None:
    prepared = _prepare(checked)
    assert teacher.n_seen == N_TRAIN * N_VIEWS + 400
    assert prepared.teacher["forward_passes"] == teacher.n_seen
    assert prepared.data.teacher_features.shape == (N_TRAIN, N_VIEWS, N_FEATURES)
    assert teacher.most_in_flight <= 2 * WORKERS.n_workers


def test_a_pass_that_stands_still_says_why(checked, teacher: _Teacher, monkeypatch: pytest.MonkeyPatch) -> None:
    now, left = [1000.0], [20]
    monkeypatch.setattr("study.terminal.pace.time.monotonic", lambda: now[0])

    def on_wait(timeout: float) -> bool:
        left[0] -= 1
        now[0] += timeout
        return left[0] < 0

    teacher.on_wait = on_wait
    told = io.StringIO()
    _prepare(checked, told)
    line = "NOTE no part of the teacher's pass is finished for 60 s; load average"
    assert " ".join(told.getvalue().split()).count(line) == 1
    assert "workers at niceness" in " ".join(told.getvalue().split())


def test_a_finished_pass_is_looked_up_by_later_studies_of_any_seed(checked, teacher: _Teacher) -> None:
    first = _prepare(checked)
    teacher.n_seen = 0
    second = _prepare(checked)
    assert second.teacher["forward_passes"] == 0
    assert 0 < teacher.n_seen == second.teacher["verification_passes"], "a sample is computed again, and counted apart"
    assert np.array_equal(first.data.teacher_features, second.data.teacher_features)
    passes = {"forward_passes": 0, "verification_passes": teacher.n_seen}
    assert first.teacher | passes == second.teacher


def test_another_teacher_than_the_caches_is_found_out(checked, teacher: _Teacher) -> None:
    _prepare(checked)
    teacher.weights = 1  # what no key knows: a library that computes other features now
    with pytest.raises(TeacherError, match="8 of 8 views computed again came out otherwise"):
        _prepare(checked)


def test_it_is_waited_for_once(checked, teacher: _Teacher) -> None:
    _prepare(checked)
    prepared, teacher.n_seen = _prepare(checked), 0
    prepared.verification.wait()
    assert teacher.n_seen == 0


def test_the_fit_is_looked_up_too_and_the_same_to_the_last_bit(checked, teacher, tmp_path: Path) -> None:
    told = io.StringIO()
    first, second = _prepare(checked), _prepare(checked, told)
    assert "fitting" not in told.getvalue()
    assert np.array_equal(first.readout.weight, second.readout.weight)
    told = io.StringIO()
    other = _check(tmp_path, tmp_path / "data", "--teacher-prior", "uniform")
    assert _prepare(other, told).teacher["prior"] == pytest.approx([0.1] * 10)
    assert "fitting" in told.getvalue(), "of another prior it is another fit"


def test_a_killed_pass_continues_at_the_missing_parts_and_ends_the_same(checked, teacher, tmp_path: Path) -> None:
    teacher.dies_after = 1
    with pytest.raises(KeyboardInterrupt):
        _prepare(checked)
    seen_before, teacher.dies_after = teacher.n_seen, None
    assert 0 < seen_before < N_TRAIN * N_VIEWS
    resumed = _prepare(checked)
    assert teacher.n_seen == N_TRAIN * N_VIEWS + 400
    assert resumed.teacher["forward_passes"] == teacher.n_seen - seen_before

    undisturbed = _prepare(_check(tmp_path, tmp_path / "other"))
    assert np.array_equal(resumed.data.teacher_features, undisturbed.data.teacher_features)
    assert np.array_equal(resumed.readout.weight, undisturbed.readout.weight)


class _KilledInTheFit(Progress):
    """Ends the driver behind the second step of the fit."""

    def update(self, done: int, note: str = "") -> None:
        super().update(done, note)
        if done == 2 and "strength" in note:
            raise KeyboardInterrupt


def test_a_killed_fit_goes_on_behind_its_last_step_and_ends_the_same(
    checked, teacher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit_steps, "KEEP_S", 0.0)
    probe = _check(tmp_path, tmp_path / "data", "--teacher-form", "linear_probe")
    with pytest.raises(KeyboardInterrupt):
        prepare(probe, WORKERS, _KilledInTheFit(io.StringIO()))
    fits = partial(Path(probe.plan.data_root).rglob, "fits/**/*.safetensors")
    assert len(list(fits())) == 2
    told = io.StringIO()
    resumed = _prepare(probe, told)
    assert "teacher     8/8  strength" in told.getvalue()
    assert len(list(fits())) == 1, "the finished fit takes the place of its steps"
    undisturbed = _prepare(_check(tmp_path, tmp_path / "other", "--teacher-form", "linear_probe"))
    assert np.array_equal(resumed.readout.weight, undisturbed.readout.weight)
    assert resumed.teacher["strength"] == undisturbed.teacher["strength"]


def test_two_studies_that_start_together_pay_once(checked, teacher: _Teacher) -> None:
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(_prepare, [checked, checked])
    passes = [prepared.teacher["forward_passes"] for prepared in (first, second)]
    assert sum(passes) == N_TRAIN * N_VIEWS + 400
    assert np.array_equal(first.data.teacher_features, second.data.teacher_features)


def test_pruning_beside_a_study_never_takes_what_it_uses(checked, teacher: _Teacher, capsys) -> None:
    def prune() -> None:
        assert prune_cache(["prune", "--all", "--data-root", checked.plan.data_root]) == 0

    teacher.meanwhile = prune
    prepared = _prepare(checked)
    assert teacher.n_seen == N_TRAIN * N_VIEWS + 400 + prepared.teacher["verification_passes"]
    assert "kept, a study uses it" in capsys.readouterr().out
    prune()
    kept = "kept, a study uses it" in capsys.readouterr().out
    assert kept, "trials may read the training images' features from their file"
    del prepared
    prune()
    assert list((Path(checked.plan.data_root) / "teacher-cache").iterdir()) == []


def test_other_views_are_another_pass(checked, teacher: _Teacher, tmp_path: Path) -> None:
    _prepare(checked)
    teacher.n_seen = 0
    _prepare(_check(tmp_path, tmp_path / "data", n_views=3))
    n_sampled = teacher.n_seen - N_TRAIN * 3  # of the val images, which have been seen
    assert 0 <= n_sampled < 400


@pytest.mark.parametrize("kind", ["stages", "both"])
def test_other_features_are_another_pass_and_the_whole_teacher_reads_the_same(
    checked, teacher: _Teacher, tmp_path: Path, kind: str
) -> None:
    first = _prepare(checked)
    teacher.n_seen = 0
    found = _check(tmp_path, tmp_path / "data", "--teacher-features", kind)
    teacher.width = found.teacher_file.n_features
    prepared = _prepare(found)
    assert teacher.n_seen == N_TRAIN * N_VIEWS + 400
    assert (first.data.teacher.features, prepared.data.teacher.features) == ("final", kind)
    assert prepared.data.teacher_features.shape[2] == teacher.width == {"stages": 512, "both": 1792}[kind]
    assert prepared.teacher["features"] == kind


def test_the_test_set_is_seen_only_when_asked_for(checked, teacher: _Teacher) -> None:
    prepared = _prepare(checked)
    teacher.n_seen = 0
    counts, bins, n_passes = teacher_on_test(checked, prepared, WORKERS, Progress(io.StringIO()))
    assert (teacher.n_seen, n_passes, sum(counts.seen)) == (400, 400, 400)
    assert (sum(bins.n), sum(bins.correct)) == (400, sum(counts.correct))
    assert teacher_on_test(checked, prepared, WORKERS, Progress(io.StringIO())) == (counts, bins, 0)


def test_the_manifests_teacher_is_plain_and_says_how_good_it_is(checked, teacher: _Teacher) -> None:
    described = _prepare(checked).teacher
    assert json.loads(json.dumps(described, allow_nan=False)) == described
    assert (described["size"], described["views"], len(described["val_recall"])) == (96, N_VIEWS, 10)
    assert described["val_balanced_accuracy"] == pytest.approx(np.mean(described["val_recall"]))
    assert sum(described["prior"]) == pytest.approx(1)


@pytest.mark.parametrize("path", ["streamed", "resident"])
def test_every_image_file_is_decoded_once_and_what_fails_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    for part, n in (("train", 12), ("val", 2), ("test", 2)):
        for name in ("ant", "bee"):
            (tmp_path / part / name).mkdir(parents=True)
            for index in range(n):
                (tmp_path / part / name / f"{index}.png").write_bytes(encoded("png", 9, 8, seed=index))
    asked = ["--data", f"image_folder:path={tmp_path},size=8", "--set", "batch_size=8", "--data-path", path]
    checked = check(build_parser().parse_args(["--space", "acckd_smoke", "--out", str(tmp_path / "out"), *asked]))
    monkeypatch.setattr(bundle, "start_beside_driver", lambda task, *arguments: task(*arguments))
    monkeypatch.setattr(bundle, "get", lambda result: result)
    progress = Progress(io.StringIO())
    assert damaged_images(checked, progress) == {}
    (tmp_path / "train/bee/7.png").write_bytes(b"torn")
    (tmp_path / "test/ant/0.png").unlink()
    found = damaged_images(checked, progress)
    assert {relative: str(error) for relative, error in found.items()} == {
        "train/bee/7.png": f"{tmp_path}/train/bee/7.png cannot be read as an image: not a JPEG, PNG or WebP image",
        "test/ant/0.png": f"{tmp_path}/test/ant/0.png cannot be read as an image: missing",
    }


@pytest.mark.parametrize("n_cores", [1, 3])
def test_files_are_decoded_by_as_many_workers_as_the_driver_has_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_cores: int
) -> None:
    for part in ("train", "val", "test"):
        for name in ("ant", "bee"):
            (tmp_path / part / name).mkdir(parents=True)
            for index in range(8):
                (tmp_path / part / name / f"{index}.png").write_bytes(encoded("png", 9, 8, seed=index))
    asked = ["--data", f"image_folder:path={tmp_path},size=8", "--set", "batch_size=8", "--data-path", "resident"]
    checked = check(build_parser().parse_args(["--space", "acckd_smoke", "--out", str(tmp_path / "out"), *asked]))
    n_asked = []

    def start(task: Any, files: Any, n_workers: int) -> Any:
        n_asked.append(n_workers)
        return {} if task is damaged_files else hold(files, n_workers)

    monkeypatch.setattr("study.planning.cores.allotted_cores", lambda: Cores(n_cores, ""))
    monkeypatch.setattr(bundle, "start_beside_driver", start)
    monkeypatch.setattr(bundle, "get", lambda result: result)
    damaged_images(checked, Progress(io.StringIO()))
    decode_images(checked)
    assert n_asked == [n_cores] * 6


def test_a_data_set_without_image_files_decodes_nothing(checked: Checked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "start_beside_driver", lambda *asked: pytest.fail("there is nothing to decode"))
    assert damaged_images(checked, Progress(io.StringIO())) == {}


def test_the_rows_of_a_classifier_follow_the_labels_whatever_its_order(
    teacher: _Teacher, checked: Checked, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = checked.data.class_names
    rng = np.random.default_rng(3)
    weight, bias = rng.normal(size=(10, N_FEATURES)).astype(np.float32), rng.normal(size=10).astype(np.float32)
    asked = tasks.start_on_worker

    def start(plan: Any, function: Any, *arguments: Any) -> Any:
        return (weight, bias) if function is read_classifier else asked(plan, function, *arguments)

    monkeypatch.setattr(teacher_fit, "start_on_worker", start)
    monkeypatch.setattr(teacher_fit, "get", lambda reference: reference)
    spec = replace(checked.teacher, form="checkpoint", weights="w.safetensors", classes="natural")
    rows = rng.normal(size=(4, N_FEATURES)).astype(np.float32)
    for outputs in (names, names[::-1], (*names[5:], *names[:5])):
        prepared = _prepare(replace(checked, plan=replace(checked.plan, teacher=spec), outputs=outputs))
        logits = prepared.readout.logits(rows)
        for label, name in enumerate(names):
            output = outputs.index(name)
            expected = rows.astype(float) @ weight[output] + bias[output]
            np.testing.assert_allclose(logits[:, label], expected, rtol=2e-3, atol=2e-3 * np.abs(logits).max())
        assert prepared.teacher["classes"] == list(outputs)
