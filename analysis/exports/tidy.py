"""All tables of a study as one tidy Parquet file: one row per observation, with a dictionary of every variable."""

import json
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from analysis.page.render import escape_markdown
from analysis.reading.study_data import StudyData
from search_spaces.knob import Knob
from search_spaces.space import SearchSpace
from study.schema import (
    ABLATION,
    BASELINES_HEAD,
    BASELINES_TAIL,
    CLASSES,
    CONFIRM,
    CONFUSION,
    EPOCHS_HEAD,
    EPOCHS_TAIL,
    FINALISTS,
    KNOB_PREFIX,
    LOSS_PREFIX,
    SEPARABILITY,
    TRIALS_HEAD,
    TRIALS_TAIL,
)
from trainables.cckd.losses.terms import LOSSES

#: Columns of the Parquet file: the keys of an observation, then its variable and value.
COLUMNS = {
    "table": "The table of the study folder, as its file is named without the suffix.",
    "trial": "Optuna trial number; empty where a row belongs to no trial.",
    "baseline": "Tuned baseline that the trial's search belongs to (baselines); empty elsewhere.",
    "entry": "Entry of the ladder (confirm, the tables below it, and its epochs); empty elsewhere.",
    "seed": "Training seed; empty for the teacher and in epochs of trials, whose seeds stand in trials.",
    "data_seed": "Subset of the long tail (where there is an entry); empty elsewhere.",
    "epochs_factor": "Epochs of the run over epochs of a trial (where there is an entry); empty elsewhere.",
    "change": "Knob or part that is changed, best1 where none is (ablation); empty elsewhere.",
    "judged_on": "Set on which the run was judged, val or test (ablation); empty elsewhere.",
    "epoch": "Epochs completed (epochs); empty elsewhere.",
    "class_id": "True label, from 0 (classes, confusion, separability); empty elsewhere.",
    "predicted_id": "Predicted label, from 0 (confusion); empty elsewhere.",
    "variable": "Name of the variable; the dictionary has a sentence on each.",
    "value": "The number observed; empty for a text.",
    "text": "The text observed; empty for a number.",
}

_TEXT_KEYS = ("baseline", "entry", "change", "judged_on")
_KEYS = list(COLUMNS)[1 : list(COLUMNS).index("variable")]


def write_tidy(study: StudyData, out: Path) -> Path:
    """Write study.parquet, dictionary.json and dictionary.md into `out`; return the path of study.parquet."""
    path = out / "study.parquet"
    tidy(study).to_parquet(path, index=False)
    words = dictionary(study)
    (out / "dictionary.json").write_text(json.dumps(words, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (out / "dictionary.md").write_text(_markdown(words), encoding="utf-8")
    return path


def tidy(study: StudyData) -> pd.DataFrame:
    """Return one row per observation of the study's tables, with the columns of COLUMNS, without missing values."""
    tables = {
        "trials": study.measured.reset_index(),
        "epochs": pd.concat([study.epochs, study.curves]),
        "finalists": study.finalists,
        "baselines": study.baselines,
        "confirm": pd.concat([study.confirm_all, study.longer]),
        "classes": study.classes_all,
        "confusion": study.confusion,
        "separability": study.separability,
        "ablation": study.ablation,
    }
    parts = [_melted(name, table) for name, table in tables.items() if len(table)]
    found = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(COLUMNS))
    kinds = {
        **dict.fromkeys([key for key in _KEYS if key not in _TEXT_KEYS], "Int64"),
        "value": "Float64",
    }
    texts = dict.fromkeys(["table", *_TEXT_KEYS, "variable", "text"], "string")
    return found.reindex(columns=list(COLUMNS)).astype({**kinds, **texts})


def dictionary(study: StudyData) -> dict[str, dict[str, str]]:
    """Return, for the file's columns and for each table, variable -> a sentence with its unit."""
    spaces = [SearchSpace.from_json(tuned["space"]) for tuned in study.manifest.get("tuned_baselines", {}).values()]
    tuned_knobs = [knob for space in spaces for knob in space.tunable]
    losses = {
        name: f"Mean over the epoch's steps. {LOSSES.get(name.removeprefix(LOSS_PREFIX), name)}"
        for name in (*study.epochs.columns, *study.curves.columns)
        if str(name).startswith(LOSS_PREFIX)
    }
    return {
        "columns": dict(COLUMNS),
        "trials": {**TRIALS_HEAD, **_knob_words(study.knobs), **TRIALS_TAIL},
        "epochs": {**EPOCHS_HEAD, **losses, **EPOCHS_TAIL},
        "finalists": dict(FINALISTS),
        "baselines": {**BASELINES_HEAD, **TRIALS_HEAD, **_knob_words(tuned_knobs), **TRIALS_TAIL, **BASELINES_TAIL},
        "confirm": dict(CONFIRM),
        "classes": dict(CLASSES),
        "confusion": dict(CONFUSION),
        "separability": dict(SEPARABILITY),
        "ablation": dict(ABLATION),
    }


def _knob_words(knobs: Iterable[Knob]) -> dict[str, str]:
    return {f"{KNOB_PREFIX}{knob.name}": f"Searched knob, unit {knob.unit}: {knob.reason}" for knob in knobs}


def _melted(name: str, table: pd.DataFrame) -> pd.DataFrame:
    # In the table confirm `trial` is a result of the choice, but it keys a row just as well.
    keyed = table.rename(columns={"number": "trial"})
    keys = [key for key in _KEYS if key in keyed]
    long = keyed.astype(object).melt(id_vars=keys, var_name="variable", value_name="seen").dropna(subset="seen")
    number = pd.to_numeric(long["seen"].map(_plain), errors="coerce")
    is_text = long["seen"].map(lambda seen: isinstance(seen, str)) | number.isna()
    long["value"] = number.where(~is_text)
    long["text"] = long["seen"].map(str).where(is_text)
    return long.drop(columns="seen").assign(table=name)


def _plain(seen: object) -> object:
    return float(seen) if isinstance(seen, bool) else seen


def _markdown(words: dict[str, dict[str, str]]) -> str:
    lines = ["# Data dictionary", "", "Accuracies are fractions 0-1. Missing values are left out."]
    for table, variables in words.items():
        lines += ["", f"## {table}", "", "| name | what |", "|---|---|"]
        lines += [f"| {escape_markdown(name)} | {escape_markdown(sentence)} |" for name, sentence in variables.items()]
    return "\n".join(lines) + "\n"
