"""Simulated study folders: a real Optuna database, and tables by study/schema.py, with effects set by the test."""

import json
import pickle
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest
import sqlalchemy
from matplotlib.figure import Figure
from optuna.trial import TrialState

from analysis import report
from analysis.page import style
from analysis.search.importance import importances
from search_spaces.acckd import ACCKD_CORE
from search_spaces.registry import get_space
from search_spaces.space import SearchSpace
from study.schema import (
    BASELINES_TAIL,
    CLASSES,
    CONFIRM,
    CONFUSION,
    FINALISTS,
    SEPARABILITY,
    STUDY_NAME,
    TRIALS_HEAD,
    TRIALS_TAIL,
    TUNED_SUFFIX,
)

CLOTHES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
COUNTS = (200, 129, 83, 54, 35, 22, 14, 9, 6, 4)

#: Of a tuned baseline, in its own search.
TUNED_TRIAL = 3

#: entry -> (recall of the largest class, recall of the smallest); classes between lie on the line.
RECALLS = {
    "ce": (0.95, 0.20),
    "la": (0.86, 0.50),
    "kd": (0.93, 0.30),
    "cckd": (0.85, 0.56),
    "acckd_no_fi": (0.84, 0.60),
    "acckd": (0.84, 0.58),
    "best1": (0.83, 0.64),
    "teacher": (0.80, 0.68),
}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    _hasten(monkeypatch)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are drawn, coarsely, where a test is about what drawing them meets."""
    _draw(monkeypatch)


def _hasten(patch: pytest.MonkeyPatch) -> None:
    """Reports as they are, but with few half-samples and figures composed but not drawn, which takes longest."""
    patch.setattr(report, "importances", lambda study: importances(study, n_samples=3))
    patch.setattr("analysis.page.writer.save", _save_empty)
    patch.setattr("analysis.page.figure_workers.spare_cores", lambda: 0)


def _draw(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(style, "_DPI", 40)
    patch.setattr("analysis.page.writer.save", _save_coarse)


def _save_empty(figure: Figure, path: Path) -> None:
    if path.suffix == ".png":
        _sent(figure)
    path.write_bytes(b"")


def _save_coarse(figure: Figure, path: Path) -> None:
    if path.suffix == ".png":
        style.save(_sent(figure), path)
    else:
        path.write_text("<svg/>")


def _sent(figure: Figure) -> Figure:
    """Return a figure as another process gets it, which is how reports have theirs drawn."""
    arrived: Figure = pickle.loads(pickle.dumps(figure))
    return arrived


@dataclass(frozen=True)
class Simulation:
    """What a simulated study looks like; the defaults are a finished study with a clear gain."""

    space: SearchSpace = ACCKD_CORE
    n_trials: int = 40
    n_pruned: int = 8
    n_failed: int = 2
    n_running: int = 0
    n_seeds: int = 6
    seed_sd: float = 0.010
    n_cuts: int = 1
    cut_sd: float = 0.0
    recalls: dict[str, tuple[float, float]] = field(default_factory=lambda: dict(RECALLS))
    classes: Sequence[str] = CLOTHES
    counts: Sequence[int] = COUNTS
    n_test: int = 300
    status: str = "done"
    selected_on: str = "val"
    seed: int = 0
    finalists: dict[int, tuple[float, ...]] = field(default_factory=dict)


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Simulation], Path]:
    """Return a function that writes each simulation once a session: creating a database takes a second."""
    folders: dict[str, Path] = {}

    def once(plan: Simulation) -> Path:
        key = repr(plan)
        if key not in folders:
            folders[key] = write_study(tmp_path_factory.mktemp("written") / "study", plan)
        return folders[key]

    return once


@pytest.fixture(scope="session")
def simulate(written: Callable[[Simulation], Path]) -> Callable[..., Path]:
    """Return a function that gives a study folder within `place`, made from Simulation's fields."""

    def write(place: Path, **changes: Any) -> Path:
        return Path(shutil.copytree(written(Simulation(**changes)), place / "runs" / "simulated"))

    return write


@pytest.fixture
def simulated(tmp_path: Path, simulate: Callable[..., Path]) -> Callable[..., Path]:
    """Return a function that gives a study folder of the test's own, made from Simulation's fields."""
    return partial(simulate, tmp_path)


@pytest.fixture(scope="session")
def build_drawn() -> Callable[[Path], Path]:
    """Return a function that builds a report with figures drawn, for fixtures that several tests read."""

    def build(folder: Path) -> Path:
        with pytest.MonkeyPatch.context() as patch:
            _hasten(patch)
            _draw(patch)
            return report.build_report(folder)

    return build


@pytest.fixture(scope="session")
def reported(simulate: Callable[..., Path], build_drawn: Callable[[Path], Path], tmp_path_factory: Any) -> Path:
    """A study of acckd_core with 16 complete trials and its report, for tests that only read."""
    folder = simulate(tmp_path_factory.mktemp("reported"), n_trials=26)
    build_drawn(folder)
    return folder


def write_study(folder: Path, plan: Simulation) -> Path:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(plan.seed)
    best = _write_database(folder, plan, rng)
    if plan.n_seeds and best:
        _write_confirmation(folder, plan, rng, best[0])
    if plan.finalists:
        _write_finalists(folder, plan)
    (folder / "study.json").write_text(json.dumps(_manifest(plan, best)), encoding="utf-8")
    return folder


def _write_database(folder: Path, plan: Simulation, rng: np.random.Generator) -> tuple[int, dict[str, Any]] | None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    (folder / "study.db").write_bytes(_empty_database())
    storage = optuna.storages.RDBStorage(f"sqlite:///{folder / 'study.db'}")
    # A simulation need not survive a power cut; without this each trial waits for the disk.
    sqlalchemy.event.listen(storage.engine, "connect", lambda raw, _: raw.execute("PRAGMA synchronous = OFF"))
    storage.engine.dispose()
    study = optuna.load_study(study_name=STUDY_NAME, storage=storage)
    states = [TrialState.COMPLETE] * plan.n_trials
    # Half of the trials are reference and Sobol ones, which are never pruned.
    late = np.arange(plan.n_trials // 2, plan.n_trials)
    hit = rng.permutation(late)[: plan.n_pruned + plan.n_failed]
    for index, number in enumerate(hit):
        states[number] = TrialState.PRUNED if index < plan.n_pruned else TrialState.FAIL
    states += [TrialState.RUNNING] * plan.n_running
    sampler = optuna.samplers.RandomSampler(seed=plan.seed)
    draws = optuna.create_study(sampler=sampler)
    rows = []
    for number, state in enumerate(states):
        params = plan.space.reference_point() if number == 0 else plan.space.suggest(draws.ask())
        value = _response(params) + rng.normal(0, 0.008)
        kind = "reference" if number == 0 else "sobol" if number < plan.n_trials // 2 else "tpe"
        steps = {TrialState.COMPLETE: (5, 10, 15, 20), TrialState.PRUNED: (5,)}.get(state, ())
        values = {step: float(value - 0.004 * (20 - step)) for step in steps}
        attrs = {"kind": kind, "attempts": 1, "duration_s": 10.0, "seed": 1000 + number}
        if state == TrialState.FAIL:
            attrs["cause"] = "loss term 'cckd' became inf at epoch 3, step 7"
        study.add_trial(
            optuna.trial.create_trial(
                state=state,
                value=float(value) if state == TrialState.COMPLETE else None,
                params=params,
                distributions={name: plan.space.distributions[name] for name in params},
                intermediate_values=values,
                user_attrs=attrs,
            )
        )
        last = values.get(max(values)) if values else None
        knobs = {f"config/{name}": params.get(name) for name in plan.space.distributions}
        tail = (len(steps) * 5, last, last, last, last, 10.0, 1, 1000 + number)
        head = (number, state.name, attrs.get("cause"))
        rows.append({**dict(zip(TRIALS_HEAD, head, strict=True)), **knobs, **dict(zip(TRIALS_TAIL, tail, strict=True))})
    pd.DataFrame(rows, columns=None if rows else [*TRIALS_HEAD, *TRIALS_TAIL]).to_csv(
        folder / "trials.csv", index=False
    )
    complete = [trial for trial in study.trials if trial.state == TrialState.COMPLETE]
    storage.engine.dispose()
    best = max(complete, key=lambda trial: trial.value or 0.0, default=None)
    return (best.number, best.params) if best else None


@cache
def _empty_database() -> bytes:
    """A study without a trial, made once: creating Optuna's tables takes half a second."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "study.db"
        storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
        optuna.create_study(study_name=STUDY_NAME, storage=storage, direction="maximize")
        storage.engine.dispose()
        return path.read_bytes()


def _response(params: dict[str, Any]) -> float:
    """A known landscape: cckd_weight matters most, feature_weight costs above 0.3, temperature hardly matters."""
    weight = np.log10(params.get("cckd_weight", 1.0) / 2)
    imitation = max(0.0, np.log10(params.get("feature_weight", 0.1) / 0.3))
    ratio = params.get("mix_ratio", 0.5) - 0.45
    return 0.72 - 0.06 * weight**2 - 0.05 * imitation - 0.15 * ratio**2


def _write_finalists(folder: Path, plan: Simulation) -> None:
    searched = pd.read_csv(folder / "trials.csv").set_index("number")["val_balanced_accuracy_last"]
    rows = [
        (trial, 100 + k, value, searched[trial])
        for trial, values in plan.finalists.items()
        for k, value in enumerate(values)
    ]
    pd.DataFrame(rows, columns=list(FINALISTS)).to_csv(folder / "finalists.csv", index=False)


def _write_confirmation(folder: Path, plan: Simulation, rng: np.random.Generator, best: int) -> None:
    confirm, classes, confusion, features = [], [], [], []
    n_classes = len(plan.classes)
    groups = _groups(plan.counts)
    luck = rng.normal(0, plan.seed_sd, size=plan.n_seeds)  # shared by all entries: pairing removes it
    for cut, entry in product(range(plan.n_cuts), plan.recalls):
        head, tail = plan.recalls[entry]
        # What a cut does differs from entry to entry, so pairing does not remove it; the study's own is as planned.
        shift = rng.normal(0, plan.cut_sd) if cut else 0.0
        for index in range(1 if entry == "teacher" else plan.n_seeds):
            seed = None if entry == "teacher" else cut * 10**13 + 1001 + index
            noise = shift + luck[index] + rng.normal(0, plan.seed_sd / 2, size=n_classes)
            correct = np.rint(plan.n_test * np.clip(np.linspace(head, tail, n_classes) + noise, 0, 1)).astype(int)
            recall = correct / plan.n_test
            means = [recall[list(groups[name])].mean() if groups[name] else None for name in ("many", "medium", "few")]
            trial = best if entry == "best1" else TUNED_TRIAL if entry.endswith(TUNED_SUFFIX) else None
            chosen = "reference" if trial is None else plan.selected_on
            row = (entry, seed, cut, recall.mean(), recall.mean(), *means, chosen, recall.mean() + 0.005, trial)
            confirm.append(dict(zip(CONFIRM, row, strict=True)))
            counts = zip(range(n_classes), plan.classes, plan.counts, correct, strict=True)
            classes += [
                dict(zip(CLASSES, (entry, seed, cut, i, name, n, plan.n_test, right), strict=True))
                for i, name, n, right in counts
            ]
            if entry != "teacher":
                # A class is taken for the next larger one; the largest for the second.
                pairs = [(i, i, right) for i, right in enumerate(correct)]
                pairs += [(i, abs(i - 1), plan.n_test - right) for i, right in enumerate(correct) if n_classes > 1]
                confusion += [dict(zip(CONFUSION, (entry, seed, cut, *pair), strict=True)) for pair in pairs if pair[2]]
                away = 1 - recall  # what is recognised less lies further from its training images
                features += [(entry, seed, cut, i, 4 * away[i], 2.0, 4.0) for i in range(n_classes)]
    if tuned := [entry.removesuffix(TUNED_SUFFIX) for entry in plan.recalls if entry.endswith(TUNED_SUFFIX)]:
        _write_baselines(folder, tuned)
    pd.DataFrame(features, columns=list(SEPARABILITY)).to_csv(folder / "separability.csv", index=False)
    pd.DataFrame(confusion, columns=list(CONFUSION)).to_csv(folder / "confusion.csv", index=False)
    pd.DataFrame(confirm).to_csv(folder / "confirm.csv", index=False)
    pd.DataFrame(classes).to_csv(folder / "classes.csv", index=False)


def _write_baselines(folder: Path, names: Sequence[str]) -> None:
    """Four trials each, the last of them chosen; nothing is known of their knobs but tau."""
    rows = []
    for name, number in product(names, range(4)):
        value = 0.6 + 0.01 * number
        head = dict(zip(TRIALS_HEAD, (number, "COMPLETE", None), strict=True))
        tail = dict(zip(TRIALS_TAIL, (20, value, value, value, value, 9.0, 1, 5000 + number), strict=True))
        again = (value - 0.02, 3) if number == TUNED_TRIAL else (None, 0)
        fresh = dict(zip(BASELINES_TAIL, again, strict=True))
        rows.append({"baseline": name, **head, "config/tau": 1.0 + 0.1 * number, **tail, **fresh})
    pd.DataFrame(rows).to_csv(folder / "baselines.csv", index=False)


def _groups(counts: Sequence[int]) -> dict[str, list[int]]:
    ranked = sorted(range(len(counts)), key=lambda i: (-counts[i], i))
    third = -(-len(counts) // 3)
    return {
        "many": [i for i, n in enumerate(counts) if n > 100],
        "medium": [i for i, n in enumerate(counts) if 20 <= n <= 100],
        "few": [i for i, n in enumerate(counts) if n < 20],
        "tercile_high": ranked[:third],
        "tercile_middle": ranked[third:-third],
        "tercile_low": ranked[-third:],
    }


def _manifest(plan: Simulation, best: tuple[int, dict[str, Any]] | None) -> dict[str, Any]:
    n_classes = len(plan.classes)
    entry = {"trial": best[0], "config": plan.space.config(best[1])} if best else None
    tuned = [entry.removesuffix(TUNED_SUFFIX) for entry in plan.recalls if entry.endswith(TUNED_SUFFIX)]
    of_tuned = {name + TUNED_SUFFIX: {"trial": TUNED_TRIAL, "config": {"method": name}} for name in tuned}
    return {
        "schema": 1,
        "name": f"{plan.space.name}-fashion_mnist_lt-simulated",
        "status": plan.status,
        "command": f"python -m study.run --space {plan.space.name} --data fashion_mnist_lt",
        "started": "2026-01-01T12:00:00Z",
        "ended": None if plan.status == "running" else "2026-01-01T12:14:00Z",
        "space": plan.space.to_json(),
        "plan": {
            "trials": plan.n_trials + plan.n_running,
            "epochs": 20,
            "sampler": "sobol+tpe",
            "n_sobol": plan.n_trials // 2 - 1,
            "pruner": "median",
            "rungs": [5, 10, 15, 20],
            "confirm_top": 1,
            "confirm_seeds": plan.n_seeds,
            "seed": 0,
            "data_seeds": plan.n_cuts,
            "tuned_baselines": tuned,
        },
        "data": {
            "name": "fashion_mnist_lt",
            "spec": "fashion_mnist_lt:n_max=200,ir=50",
            "classes": list(plan.classes),
            "n_train": list(plan.counts),
            "n_val": [100] * n_classes,
            "n_test": [plan.n_test] * n_classes,
            "split": "holdout",
            "selected_on": plan.selected_on,
            "source": "simulated",
            "sha256": "0" * 64,
            "image_shape": [1, 28, 28],
            "fallback_from": None,
            "fallback_reason": None,
        },
        "groups": _groups(plan.counts),
        "teacher": {
            "name": "tf_efficientnet_lite0",
            "form": "linear_probe",
            "size": 96,
            "views": 8,
            "sha256": "1" * 64,
            "strength": 0.01,
            "train_accuracy": 0.97,
            "val_accuracy": 0.74,
            "val_balanced_accuracy": 0.74,
            "val_recall": [0.74] * n_classes,
            "prior": [1 / n_classes] * n_classes,
            "forward_passes": 5448,
        },
        "student": {"name": "resnet8_cifar", "n_parameters": 77_850},
        "versions": {"python": "3.11.2", "torch": "2.14.1", "ray": "2.60.0", "optuna": "5.0.0"},
        "git_commit": "0123456789abcdef",
        "hardware": {"cpu": "a processor", "cores": 2, "memory_gb": 8, "gpu": None},
        "device": "cpu",
        "workers": 2,
        "cpus_per_trial": 1,
        "counts": {},
        "tuned_baselines": {name: {"space": get_space(name).to_json(), "chosen_trial": TUNED_TRIAL} for name in tuned},
        "confirm_entries": {"best1": entry, **of_tuned} if plan.n_seeds and entry else {},
    }
