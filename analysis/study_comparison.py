"""Several studies side by side: accuracies and gains, chosen values, teacher and budget of each."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from analysis.reading.study_data import StudyData
from analysis.reading.wording import length_not_measured, not_trained_out
from analysis.results.accuracies import COLUMNS
from analysis.results.entries import OVER, entries_in_order, used_value_of_best
from analysis.results.ladder import LadderRow, ladder
from analysis.results.training_length import LengthCheck
from analysis.search.history import state_counts


def labels(studies: Sequence[StudyData]) -> tuple[str, ...]:
    """Return a name for each study: its own, with its place in the list where two share one."""
    names = [str(study.manifest["name"]) for study in studies]
    shared = Counter(names)
    return tuple(f"{name} ({i})" if shared[name] > 1 else name for i, name in enumerate(names, start=1))


def ladders(studies: Mapping[str, StudyData]) -> pd.DataFrame:
    """Return one row per (study, entry), entries in the ladder's order.

    Columns: study, entry, n_cuts (subsets of the long tail), n_seeds, `<column>_mean`, `<column>_sd` of every column
    of COLUMNS, and for every entry of OVER `over_<entry>_n`, `_mean`, `_low`, `_high`:
    the gain of All over this entry, paired within the study. Fractions.
    """
    rows = [{"study": label, **_entry(row)} for label, study in studies.items() for row in ladder(study)]
    table = pd.DataFrame(rows, columns=None if rows else ["study", "entry"])
    order = entries_in_order(table["entry"])
    return table.sort_values("entry", key=lambda entry: entry.map(order.index), kind="stable", ignore_index=True)


def longer_gains(checks: Mapping[str, LengthCheck]) -> pd.DataFrame:
    """Return one row per (study, comparison that a longer training was to check), of `check_length` of each study.

    Columns: study, entry, baseline, epochs, longer_epochs, `at_length_<part>` and `longer_<part>` with the parts n,
    mean, low, high (the gain of All, fractions), climbing (entries that still climb, joined by ', '), fate, claimed.
    """
    parts = ("n", "mean", "low", "high")
    rows = [
        {
            "study": label,
            "entry": gain.entry,
            "baseline": gain.baseline,
            "epochs": check.epochs,
            "longer_epochs": check.longer_epochs,
            **{f"at_length_{part}": getattr(gain.at_length, part) for part in parts},
            **{f"longer_{part}": getattr(gain.longer, part) for part in parts},
            "climbing": ", ".join(check.climbing(gain.entry, gain.baseline)),
            "fate": gain.fate,
            "claimed": gain.claimed,
        }
        for label, check in checks.items()
        for gain in check.gains
    ]
    return pd.DataFrame(rows)


def chosen_values(studies: Mapping[str, StudyData]) -> pd.DataFrame:
    """Return one row per knob that any study searched, one column per study: the chosen value or None.

    Columns: knob, then for each study its label; `searched` counts the studies that searched the knob. A knob that a
    study did not search shows the value that its students were trained with, see `used_value_of_best`.
    """
    knobs = list(dict.fromkeys(knob.name for study in studies.values() for knob in study.knobs))
    rows = []
    for knob in knobs:
        searched = sum(knob in study.space.distributions for study in studies.values())
        rows.append(
            {"knob": knob, "searched": searched}
            | {name: used_value_of_best(study, knob) for name, study in studies.items()}
        )
    return pd.DataFrame(rows, columns=["knob", "searched", *studies]).astype(object)


def facts(studies: Mapping[str, StudyData]) -> pd.DataFrame:
    """Return one row per fact, one column per study: data, teacher, budget and machine."""
    columns = {label: _facts(study) for label, study in studies.items()}
    names = list(next(iter(columns.values())))
    return pd.DataFrame({"fact": names} | {label: [of[name] for name in names] for label, of in columns.items()})


def _entry(row: LadderRow) -> dict[str, Any]:
    cells = {f"{name}_{part}": getattr(row.cells[name], part) for name in COLUMNS for part in ("mean", "sd")}
    gains = {
        f"over_{name}_{part}": getattr(row.gains[name], part) if name in row.gains else None
        for name in OVER
        for part in ("n", "mean", "low", "high")
    }
    return {"entry": row.entry, "n_cuts": row.n_subsets, "n_seeds": row.n_seeds, **cells, **gains}


def _facts(study: StudyData) -> dict[str, Any]:
    manifest = study.manifest
    data, plan, teacher = manifest["data"], manifest["plan"], manifest["teacher"] or {}
    n_train, counts = data["n_train"], state_counts(study)
    seconds = [float(trial.user_attrs.get("duration_s") or 0.0) for trial in study.trials]
    return {
        "status": manifest["status"],
        "data": data["spec"],
        "classes": len(n_train),
        "training images": sum(n_train),
        "imbalance ratio": round(max(n_train) / max(min(n_train), 1), 1),
        "selected on": data.get("selected_on"),
        "shorter side in the image store": data.get("image_store"),
        "space": study.space.name,
        "method": study.space.method,
        "knobs searched": len(study.knobs),
        "teacher": teacher.get("name"),
        "teacher form": teacher.get("form"),
        "teacher, validation balanced accuracy": teacher.get("val_balanced_accuracy"),
        "student": manifest.get("student", {}).get("name"),
        "trials planned": plan.get("trials"),
        "trials complete": counts["COMPLETE"],
        "trials pruned": counts["PRUNED"],
        "trials failed": counts["FAIL"],
        "epochs": plan.get("epochs"),
        "not trained out": not_trained_out(manifest),
        "length not measured": length_not_measured(manifest),
        "sampler": plan.get("sampler"),
        "pruner": plan.get("pruner"),
        "seconds spent in trials": round(sum(seconds), 1),
        "confirmation seeds": plan.get("confirm_seeds"),
        "subsets of the long tail": plan.get("data_seeds", 1),
        "seed": plan.get("seed"),
        "device": manifest.get("device"),
        "precision": plan.get("precision"),
        "started": manifest.get("started"),
        "git commit": manifest.get("git_commit"),
    }
