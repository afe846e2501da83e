"""Simulated study folders: a study.db as the ledger writes it, with effects set by the test, and its exports."""

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.trial import TrialState
from scipy import stats

from analysis.reading.study_data import StudyData
from search_spaces.acckd import ACCKD_CORE
from search_spaces.registry import get_space
from search_spaces.space import SearchSpace
from study.records.ledger import Ledger
from study.records.rerun_names import ablation_name, rerun_name
from study.records.run_tables import AblationRun
from study.records.store import StudyStore
from study.schema import ABLATED, BEST, TUNED_SUFFIX
from study.strategy.search_settings import SearchSettings
from trainables.cckd.records import ClassCounts, EpochRecord

CLOTHES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
COUNTS = (200, 129, 83, 54, 35, 22, 14, 9, 6, 4)

EPOCHS = 20
SETTINGS = SearchSettings("sobol+tpe", "median", 48, 23, 0, EPOCHS, (5, 10, 15, 20))

#: Images behind each count of D_val, so that a value comes back to six digits.
_SEEN = 10**6

#: Of a tuned baseline, in its own search.
TUNED_TRIAL = 3

#: Of the ablation, best1's; a change has the first of them.
ABLATION_SEEDS = tuple(range(7001, 7013))

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
    #: Runs at twice the training: entry -> recalls as above.
    longer: dict[str, tuple[float, float]] = field(default_factory=dict)
    n_long_seeds: int = 3
    #: Runs of the ablation: (kind, change) -> what each seed reached; a text is the cause of a failure.
    ablation: dict[tuple[str, str], tuple[float | str, ...]] = field(default_factory=dict)
    ablated_on: str = "val"


def write_study(folder: Path, plan: Simulation) -> Path:
    """Write a study folder through the product's own ledger and exports, which no report reads back."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(plan.seed)
    with _opened(folder / "study.db", plan.space) as ledger:
        best = _write_trials(ledger, plan, rng)
        if plan.n_seeds and best:
            _write_confirmation(ledger, plan, rng, best[0])
        for trial, values in plan.finalists.items():
            for k, value in enumerate(values):
                ledger.runs.add_selection_run(trial, 100 + k, counts_of(value, len(plan.classes)))
        if best:
            _write_ablation(ledger, plan, best[0])
        (folder / "study.json").write_text(json.dumps(_manifest(plan, best)), encoding="utf-8")
        export_tables(folder, ledger)
    return folder


def export_tables(folder: Path, ledger: Ledger) -> None:
    """Write the exports of a study, e.g. confirm.csv, as its driver does."""
    store = StudyStore(folder)
    store.export_tables(ledger, ledger.space, store.manifest()["groups"])


@contextmanager
def rewriting(folder: Path) -> Iterator[Ledger]:
    """Open a study's ledger, make all writes of the block one transaction, and export the tables anew."""
    ledger = Ledger.open(folder / "study.db")
    try:
        with ledger._database.together():
            yield ledger
            ledger._storage.write_new()
        export_tables(folder, ledger)
    finally:
        ledger.close()


def drop_runs(folder: Path, where: str) -> None:
    """Take the runs of the confirmation for which the SQL condition `where` holds out of study.db and the exports."""
    with rewriting(folder) as ledger:
        assert ledger._database.connection.execute(f"DELETE FROM confirm_runs WHERE {where}").rowcount


def fail_run(
    folder: Path, entry: str, seed: int, cause: str | None, *, data_seed: int = 0, epochs_factor: int = 1
) -> None:
    """Let a recorded run of the confirmation have failed for good because of `cause`."""
    key = (entry, seed, data_seed, epochs_factor)
    with rewriting(folder) as ledger:
        (run,) = (
            run for run in ledger.runs.confirm_runs() if (run.entry, run.seed, run.data_seed, run.epochs_factor) == key
        )
        where = "entry = ? AND seed = ? AND data_seed = ? AND epochs_factor = ?"
        ledger._database.connection.execute(f"DELETE FROM confirm_runs WHERE {where}", key)
        ledger.runs.fail_rerun(rerun_name(entry, seed, run.trial, data_seed, epochs_factor), str(cause))


def paired_values(mean: float, half: float, n: int = 6) -> np.ndarray:
    """Return `n` values, an even number, whose 95 % t interval is `mean` +- `half`."""
    step = half * ((n - 1) ** 0.5) / float(stats.t.ppf(0.975, n - 1))
    return np.asarray(mean + step * np.array([1.0, -1.0] * (n // 2)))


def with_gains(study: StudyData, baseline: str, column: str, gains: np.ndarray) -> StudyData:
    """Return a study of one subset in which best1 has exactly these gains over a baseline in a column of CONFIRM."""
    table = study.confirm.copy()
    base = table.loc[table["entry"] == baseline, column].to_numpy(dtype=float)
    table.loc[table["entry"] == BEST, column] = base + gains
    return replace(study, confirm=table, confirm_all=table)


def set_last_counts(ledger: Ledger, number: int, counts: ClassCounts) -> None:
    """Replace what trial `number` reached on D_val after its last epoch."""
    record = replace(ledger.runs.epochs(number)[-1], val=counts).to_dict()
    update = "UPDATE epoch_records SET record = ? WHERE number = ? AND epoch = ?"
    ledger._database.connection.execute(update, (json.dumps(record), number, record["epoch"]))


def counts_of(value: float, n_classes: int) -> ClassCounts:
    """Counts whose balanced accuracy is `value` to six digits, in every class alike."""
    return ClassCounts((round(value * _SEEN),) * n_classes, (_SEEN,) * n_classes)


def bins_of(correct: int, seen: int) -> dict[str, list[float]]:
    """Bins of a classifier that is sure of every image by 90 %, of which it gets `correct` right."""
    return {
        name: [0] * 13 + [total, 0] for name, total in (("n", seen), ("confidence", 0.9 * seen), ("correct", correct))
    }


@contextmanager
def _opened(database: Path, space: SearchSpace) -> Iterator[Ledger]:
    database.write_bytes(_empty_database())
    ledger = Ledger.open(database)
    try:
        with ledger._database.together():
            ledger._study.set_user_attr("space", space.to_json())
            ledger.space = space
            yield ledger
    finally:
        ledger.close()


@cache
def _empty_database() -> bytes:
    """A study without a trial, made once: creating the tables takes half a second."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "study.db"
        Ledger.create(path, ACCKD_CORE, SETTINGS).close()
        return path.read_bytes()


def _write_trials(ledger: Ledger, plan: Simulation, rng: np.random.Generator) -> tuple[int, dict[str, Any]] | None:
    states = [TrialState.COMPLETE] * plan.n_trials
    # Half of the trials are reference and Sobol ones, which are never pruned.
    late = np.arange(plan.n_trials // 2, plan.n_trials)
    hit = rng.permutation(late)[: plan.n_pruned + plan.n_failed]
    for index, number in enumerate(hit):
        states[number] = TrialState.PRUNED if index < plan.n_pruned else TrialState.FAIL
    states += [TrialState.RUNNING] * plan.n_running
    sampler = optuna.samplers.RandomSampler(seed=plan.seed)
    draws = optuna.create_study(sampler=sampler)
    for number, state in enumerate(states):
        params = plan.space.reference_point() if number == 0 else plan.space.suggest(draws.ask())
        value = _response(params) + rng.normal(0, 0.008)
        kind = "reference" if number == 0 else "sobol" if number < plan.n_trials // 2 else "tpe"
        steps = {TrialState.COMPLETE: (5, 10, 15, 20), TrialState.PRUNED: (5,)}.get(state, ())
        values = {step: float(value - 0.004 * (20 - step)) for step in steps}
        attrs = {"kind": kind, "attempts": 1, "duration_s": 10.0, "seed": 1000 + number}
        if state == TrialState.FAIL:
            attrs["cause"] = "loss term 'cckd' became inf at epoch 3, step 7"
        add_trial(ledger, state, params, values, attrs, n_classes=len(plan.classes))
    best = max(ledger._trials(TrialState.COMPLETE), key=lambda trial: trial.value or 0.0, default=None)
    return (best.number, best.params) if best else None


def add_trial(
    ledger: Ledger,
    state: TrialState,
    params: dict[str, Any],
    values: dict[int, float],
    attrs: dict[str, Any],
    *,
    n_classes: int,
) -> None:
    """Add a trial as its driver would have filed it: `values` are its balanced accuracies by epoch."""
    trial = optuna.trial.create_trial(
        state=state,
        value=values[max(values)] if state == TrialState.COMPLETE else None,
        params=params,
        distributions={name: ledger.space.distributions[name] for name in params},
        intermediate_values=values,
        user_attrs=attrs,
    )
    number = ledger.n_asked
    ledger._study.add_trial(trial)
    ledger._storage.write_new()
    seconds = attrs["duration_s"] / max(len(values), 1)
    ledger.runs.add_epochs(
        number,
        [
            EpochRecord(step, {"total": 1.0}, 0.1, counts_of(value, n_classes), seconds, 0.0)
            for step, value in values.items()
        ],
    )


def _response(params: dict[str, Any]) -> float:
    """A known landscape: cckd_weight matters most, feature_weight costs above 0.3, temperature hardly matters."""
    weight = np.log10(params.get("cckd_weight", 1.0) / 2)
    imitation = max(0.0, np.log10(params.get("feature_weight", 0.1) / 0.3))
    ratio = params.get("mix_ratio", 0.5) - 0.45
    return 0.72 - 0.06 * weight**2 - 0.05 * imitation - 0.15 * ratio**2


def _write_confirmation(ledger: Ledger, plan: Simulation, rng: np.random.Generator, best: int) -> None:
    n_classes = len(plan.classes)
    luck = rng.normal(0, plan.seed_sd, size=plan.n_seeds)  # shared by all entries: pairing removes it
    runs = [(1, cut, entry) for cut, entry in product(range(plan.n_cuts), plan.recalls)]
    for factor, cut, entry in (*runs, *((2, 0, entry) for entry in plan.longer)):
        head, tail = (plan.longer if factor > 1 else plan.recalls)[entry]
        n_seeds = 1 if entry == "teacher" else min(plan.n_long_seeds, plan.n_seeds) if factor > 1 else plan.n_seeds
        # The effect of a subset differs from entry to entry, so pairing keeps it; the study's own subset has none.
        shift = rng.normal(0, plan.cut_sd) if cut else 0.0
        for index in range(n_seeds):
            seed = None if entry == "teacher" else cut * 10**13 + 1001 + index
            noise = shift + luck[index] + rng.normal(0, plan.seed_sd / 2, size=n_classes)
            correct = np.rint(plan.n_test * np.clip(np.linspace(head, tail, n_classes) + noise, 0, 1)).astype(int)
            recall = correct / plan.n_test
            trial = best if entry == "best1" else TUNED_TRIAL if entry.endswith(TUNED_SUFFIX) else None
            test: dict[str, Any] = {"correct": correct.tolist(), "seen": [plan.n_test] * n_classes}
            record: dict[str, Any] = {
                "test": test,
                "selected_on": "reference" if trial is None else plan.selected_on,
            }
            test["bins"] = bins_of(int(correct.sum()), plan.n_test * n_classes)
            if entry != "teacher":
                record["epochs"] = _curve(recall + 0.005, EPOCHS * factor)
                # A wrong prediction is the next larger class; for the largest class it is the second.
                pairs = [(i, i, right) for i, right in enumerate(test["correct"])]
                pairs += [(i, abs(i - 1), plan.n_test - n) for i, n in enumerate(test["correct"]) if n_classes > 1]
                test["confusion"] = [pair for pair in pairs if pair[2]]
                away = 1 - recall  # what is recognised less lies further from its training images
                features = {"deviation": (4 * away).tolist(), "intra": [2.0] * n_classes, "inter": [4.0] * n_classes}
                record["separability"] = features
            ledger.runs.add_confirm_run(entry, seed, trial, record, data_seed=cut, epochs_factor=factor)
    for entry in plan.recalls:
        if entry.endswith(TUNED_SUFFIX):
            _write_baseline(ledger, entry.removesuffix(TUNED_SUFFIX), n_classes)


def _write_ablation(ledger: Ledger, plan: Simulation, trial: int) -> None:
    for (kind, change), values in plan.ablation.items():
        for seed, value in zip(ABLATION_SEEDS, values, strict=False):
            name = ablation_name(trial, kind, change, seed, plan.ablated_on)
            ledger.runs.start_rerun(name)
            if isinstance(value, str):
                ledger.runs.fail_rerun(name, value)
            else:
                counts = counts_of(value, len(plan.classes))
                ledger.runs.add_ablation_run(AblationRun(trial, kind, change, seed, plan.ablated_on, counts))


def _ablated(plan: Simulation, best: tuple[int, dict[str, Any]]) -> dict[str, Any]:
    references = plan.space.reference_point()
    values: dict[str, tuple[Any, Any]] = {
        name: (best[1].get(name), reference) for name, reference in references.items()
    }
    changes = [
        {"kind": kind, "name": change, "value": value, "reference": reference, "config": {}}
        for kind, change in plan.ablation
        if kind != "best1"
        for value, reference in [values.get(change, (None, None))]
    ]
    return {"trial": best[0], "seeds": list(ABLATION_SEEDS), "changes": changes}


def _curve(recall: np.ndarray, epochs: int) -> list[dict[str, Any]]:
    """Epochs of a run whose recalls rise to `recall` (C,), evaluated at each quarter."""
    shares = [(epochs * quarter // 4, 1 - 0.4 * (1 - quarter / 4)) for quarter in (1, 2, 3, 4)]
    return [
        EpochRecord(epoch, {"total": 1.0}, 0.1, _counts(share * recall), 0.5, 0.0).to_dict() for epoch, share in shares
    ]


def _counts(recall: np.ndarray) -> ClassCounts:
    return ClassCounts(tuple(int(n) for n in np.rint(_SEEN * recall.clip(0, 1))), (_SEEN,) * len(recall))


def _write_baseline(ledger: Ledger, name: str, n_classes: int) -> None:
    """Four trials, the last of them chosen; nothing is known of their knobs but tau."""
    tuned = ledger.tune(name, get_space(name))
    for number in range(TUNED_TRIAL + 1):
        attrs = {"kind": "sobol", "attempts": 1, "duration_s": 9.0, "seed": 5000 + number}
        values = {20: 0.6 + 0.01 * number}
        add_trial(tuned, TrialState.COMPLETE, {"tau": 1.0 + 0.1 * number}, values, attrs, n_classes=n_classes)
    for seed in range(3):
        tuned.runs.add_selection_run(TUNED_TRIAL, seed, counts_of(0.61, n_classes))


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
        "schema": 2,
        "name": f"{plan.space.name}-fashion_mnist_lt-simulated",
        "status": plan.status,
        "command": f"python -m study.run --space {plan.space.name} --data fashion_mnist_lt",
        "started": "2026-01-01T12:00:00Z",
        "ended": None if plan.status == "running" else "2026-01-01T12:14:00Z",
        "space": plan.space.to_json(),
        "plan": {
            "trials": plan.n_trials + plan.n_running,
            "epochs": EPOCHS,
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
        **({ABLATED: _ablated(plan, best)} if plan.ablation and best else {}),
    }
