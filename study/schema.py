"""Every published column and file name of a study folder: column -> one sentence with its unit. Standard library only.

Scripts outside the project read these names, so a name may be added but never changed. Accuracies are fractions from 0
to 1. A missing value is an empty field.
"""

import os
import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

#: Layout version written into study.json. It rises where a column or a knob changes its meaning.
SCHEMA_VERSION = 2

#: Earlier layouts, whose folders are read and reported -> the last version of this toolkit that trains them further.
#: In layout 1, cckd_mix was weighed by mix_weight * cckd_mix_weight, and imitation was a sum over D and D_mix.
EARLIER_SCHEMAS: Mapping[int, str] = MappingProxyType({1: "0.2.0"})


def is_newer(layout: object) -> bool:
    """Return whether a newer version of this toolkit wrote a study of this layout."""
    return isinstance(layout, int) and layout > SCHEMA_VERSION


def training_fault(layout: object) -> str | None:
    """Return why a study of this layout cannot train further, to stand behind the name of its study.json, else None."""
    if layout == SCHEMA_VERSION:
        return None
    for earlier, last in EARLIER_SCHEMAS.items():
        if layout == earlier:
            return (
                f"is of layout {earlier}, whose knobs mean something else here; version {last} can continue it, "
                "this version only reports it"
            )
    if is_newer(layout):
        return (
            f"is of layout {layout}, which a newer version wrote; this version reads layout {SCHEMA_VERSION}: upgrade "
            "to continue it"
        )
    return f"must be of layout {SCHEMA_VERSION}; got layout {layout!r}"


#: What a study folder may be called: not only dots, which name other folders.
FOLDER_NAME = re.compile(r"(?!\.+\Z)[A-Za-z0-9._-]{1,64}")

#: The Optuna study's name in study.db, and the name of its metric.
STUDY_NAME = "search"
METRIC = "val_balanced_accuracy"

#: The entry of the confirmation that is the chosen trial of the search.
BEST = "best1"

#: The baselines that the claim compares with: the confirmation trains both, whatever rungs are asked for.
COMPARED = ("la", "kd")

#: A tuned baseline has its own Optuna study in study.db, `search-<baseline>`. Its winner is confirmed as the entry
#: `<baseline>_tuned`.
BASELINE_PREFIX = f"{STUDY_NAME}-"
TUNED_SUFFIX = "_tuned"

#: User attribute of each trial in study.db: how its point was chosen. Trials of other programs lack it.
KIND = "kind"

_SEARCH = re.compile(rf"{STUDY_NAME}|{BASELINE_PREFIX}[a-z0-9_]{{1,64}}")


def is_search(name: str) -> bool:
    """Return whether an Optuna study of this name is a search of ours: of the studied method, or of a baseline."""
    return _SEARCH.fullmatch(name) is not None


def search_table(kind: str, search: str) -> str:
    """Return the name of the table of `kind` (epoch_records, selection_runs) of one search in study.db.

    The tables of the studied method keep the names from before baselines could be tuned.
    """
    return kind if search == STUDY_NAME else f"{kind}_{search.removeprefix(BASELINE_PREFIX)}"


class PhaseName(StrEnum):
    """The phases of a study, as study.json's `phase` names them; `tuning_phase` names the others."""

    TEACHER = "teacher"
    SEARCH = "search"
    SELECTION = "selection"
    CONFIRMATION = "confirm"
    LONGER = "longer"
    ABLATION = "ablation"


def tuning_phase(baseline: str) -> str:
    """Return the name of the phase in which a baseline is searched and selected."""
    return f"tune {baseline}"


#: Key of study.json: phase -> the most runs that it will have, in the order of the phases; the teacher has none.
PLANNED = "planned"

#: Key of study.json: the driver's last word on the time left, {"seconds": S, "at": ISO 8601 in UTC, "all_phases":
#: whether it holds for all phases or for the present one}.
LEFT = "left"

#: Keys of study.json: the labels of the data set's own images that its teacher has learned, in words, or null; and what
#: a reader must know of data and teacher, a list of {"reason": one of CautionReason, "text": one sentence}.
CONTAMINATED_BY = "contaminated_by"
CAUTIONS = "cautions"


class CautionReason(StrEnum):
    """What a caution is about."""

    SHARED_IMAGES = "shared_images"
    UNSURE_CLASS_ORDER = "unsure_class_order"
    CONTAMINATED_TEACHER = "contaminated_teacher"
    SELECTED_ON_TEST = "selected_on_test"
    TEACHER_FITTED_ON_TEST = "teacher_fitted_on_test"
    FILES_LEFT_OUT = "files_left_out"
    TIME_CUT = "time_cut"
    SETTLED = "settled"


#: Key of study.json's `data`: relative path -> what is wrong, of each image file that left the study under way.
LEFT_OUT = "left_out"

#: Keys of study.json's `data`: `resident` or `streamed`; the shorter side in the image store, pixels, null for the
#: originals; and what else decides the pixels there.
DATA_PATH, IMAGE_STORE, STORE_RECIPE = "path", "image_store", "image_store_recipe"


def store_recipe(data: Mapping[str, Any]) -> str | None:
    """Return what decides the pixels of the image store, of study.json's `data`; None where originals are read."""
    shorter = data.get(IMAGE_STORE)
    # Studies that wrote no recipe had the first one.
    return str(data.get(STORE_RECIPE) or f"{shorter}px-1") if shorter else None


def images_of(recipe: str | None) -> str:
    """Return in words which images a study reads, by the recipe of its store."""
    return f"the image store {recipe}" if recipe else "the originals"


#: Key of study.json: what decided the number format of the students, one row per kind of machine: {"processor": its
#: name, "gain": seconds of a step in float32 over seconds in bfloat16}. Absent where a flag or a GPU decided it, and in
#: studies of earlier versions.
STEP_GAINS = "step_gains"

#: Key of study.json: the own method (`method`, `name`, `text`, `sha256` of the module's file), or null.
OWN_METHOD = "own_method"

#: Key of study.json's `recipe`: why the students are not trained out, in words; null where they are.
NOT_TRAINED_OUT = "not_trained_out"

#: Key of study.json's `recipe`: a sentence where the recipe's length is known for other data than these, and the
#: students take its steps; else null. Absent in studies of earlier versions.
LENGTH_NOT_MEASURED = "length_not_measured"

#: Key of study.json: the looks at the test set, a list with one row per confirmation that came to its end with other
#: seeds, subsets or another best1 than before: {"seeds": S, "subsets": R, "trial": number of best1}.
LOOKS = "looks"


def look_of(plan: Mapping[str, Any], trial: int | None) -> dict[str, Any]:
    """Return the row of LOOKS for a confirmation by this plan of study.json, with this trial as best1."""
    return {"seeds": plan.get("confirm_seeds"), "subsets": plan.get("data_seeds", 1), "trial": trial}


#: Key of study.json: the looks at a search with `--stop-when settled`, a list of {"finished": trials that had ended,
#: "of": the planned number, "settled": whether the search ends with that look, "text": what it found}.
SEARCH_LOOKS = "search_looks"

#: Groups of classes by training count (trainables/cckd/long_tail.py forms them), in study.json and in column names.
GROUPS = ("many", "medium", "few")

#: Prefix of the columns of trials.csv that hold searched knobs.
KNOB_PREFIX = "config/"

#: Prefix of the columns of epochs.parquet that hold loss terms.
LOSS_PREFIX = "loss_"

#: trials.csv: one row per trial. `config/<knob>` columns stand between `cause` and `epochs`.
TRIALS_HEAD = {
    "number": "Optuna trial number, from 0.",
    "state": "COMPLETE, PRUNED, FAIL, or RUNNING while the study runs.",
    "cause": "Why a trial failed, one line `<kind>: <what>` (kinds: study/execution/failure_causes.py); else empty.",
}
TRIALS_TAIL = {
    "epochs": "Epochs trained.",
    "val_balanced_accuracy_last": "Mean per-class recall on D_val after the last evaluated epoch.",
    "val_many": "Mean recall on D_val over classes with more than 100 training images.",
    "val_medium": "Mean recall on D_val over classes with 20 to 100 training images.",
    "val_few": "Mean recall on D_val over classes with fewer than 20 training images.",
    "duration_s": "Seconds spent training and evaluating.",
    "attempts": "Times the trial was started (1 unless it was interrupted or retried).",
    "seed": "Seed from which every random stream of the trial derives.",
    "stopped": "Why the trial trains no further: finished; pruned at epoch E by PRUNER: VALUE below THRESHOLD, from N "
    "trials; failed: CAUSE; or interrupted after epoch E. Empty while it trains, and where its driver was killed.",
    "pruned_value": "What the pruner judged: the best value so far (median), or the value at the rung (asha, "
    "hyperband); empty where nothing was pruned, or by a version before 0.3.0.",
    "pruned_threshold": "The smallest value that would have gone on at that moment; empty as above.",
}

#: trials.csv of a study with guards has one more column.
TRIALS_GUARDED = {
    "keeps_guards": "1 where a complete trial keeps every --guard on D_val, 0 where it breaks one; empty otherwise.",
}

#: epochs.parquet: one row per epoch of a trial or of a run of the confirmation; `loss_<term>` columns stand between
#: `epochs_factor` and `lr`.
EPOCHS_HEAD = {
    "number": "Optuna trial number; empty in rows of the confirmation.",
    "epoch": "Epochs completed, from 1.",
    "entry": "Entry of the confirmation, as in confirm.csv; empty in rows of trials.",
    "seed": "Training seed of the entry's run; empty in rows of trials, whose seeds stand in trials.csv.",
    "data_seed": "As in confirm.csv; empty in rows of trials.",
    "epochs_factor": "As in confirm.csv; empty in rows of trials.",
}
EPOCHS_TAIL = {
    "lr": "Learning rate of the epoch's last step.",
    "val_balanced_accuracy": "Mean per-class recall on D_val; empty where the epoch was not evaluated.",
    "val_many": "Mean recall on D_val over classes with more than 100 training images; empty as above.",
    "val_medium": "Mean recall on D_val over classes with 20 to 100 training images; empty as above.",
    "val_few": "Mean recall on D_val over classes with fewer than 20 training images; empty as above.",
    "train_s": "Seconds spent training this epoch.",
    "eval_s": "Seconds spent evaluating after this epoch.",
}

#: finalists.csv: one row per (trial, seed) of the selection, which chooses best1 by the mean over seeds.
FINALISTS = {
    "trial": "Optuna trial number of the configuration.",
    "seed": "Training seed, the same set for every finalist and none of the search's.",
    "val_balanced_accuracy": "Mean per-class recall on D_val after the last epoch of this run.",
    "search_val_balanced_accuracy": "The trial's own value in the search, not used for the choice.",
}

#: baselines.csv: one row per trial of a tuned baseline. The columns of trials.csv, with the `config/<knob>` columns of
#: all baselines, stand between these two parts. The last part holds what finalists.csv holds for the studied method.
BASELINES_HEAD = {
    "baseline": "la, kd, ...: the method that the trial tunes; its search is search-<baseline> in study.db.",
}
BASELINES_TAIL = {
    "fresh_val_balanced_accuracy": "Mean over fresh seeds of the mean recall on D_val; empty where not trained again.",
    "fresh_runs": "Runs behind that mean.",
}

#: confirm.csv: one row per (entry, seed, data_seed, epochs_factor).
CONFIRM = {
    "entry": "ce, la, kd, cckd, acckd_no_fi, acckd (reference points), best1... (searched), la_tuned, kd_tuned... "
    "(baselines, searched), or teacher.",
    "seed": "Training seed, the same set for every entry; empty for the teacher, which is fitted once per cut.",
    "data_seed": "Cut of the long tail; 0 is the study's own cut. Each cut has its own training seeds.",
    "test_balanced_accuracy": "Mean per-class recall on the test set after the last epoch.",
    "test_accuracy": "Fraction of test images that are classified correctly.",
    "test_many": "Mean test recall over classes with more than 100 training images.",
    "test_medium": "Mean test recall over classes with 20 to 100 training images.",
    "test_few": "Mean test recall over classes with fewer than 20 training images.",
    "selected_on": "The set on which the entry's configuration was chosen: val, test, or reference (not searched).",
    "val_balanced_accuracy": "Mean per-class recall on D_val of the same trained model.",
    "trial": "Optuna trial number of a searched entry, in its own search; empty otherwise.",
    "test_worst": "Smallest recall of a class on test.",
    "test_harmonic": "Harmonic mean of the recalls of the classes on test; 0 where a recall is 0.",
    "test_ece": "Expected calibration error on test, 15 equal bins of softmax confidence; empty in older runs.",
    "epochs_factor": "Epochs of the run over epochs of a trial: 1, or 2 and more for a run at a longer training.",
}

#: classes.csv: one row per (entry, seed, data_seed, epochs_factor, class).
CLASSES = {
    "entry": "As in confirm.csv.",
    "seed": "As in confirm.csv.",
    "data_seed": "As in confirm.csv.",
    "class_id": "Label, from 0.",
    "class_name": "The data set's name of the class.",
    "n_train": "Training images of the class.",
    "n_test": "Test images of the class.",
    "n_correct": "Test images of the class that were classified correctly.",
    "epochs_factor": "As in confirm.csv.",
}

#: confusion.csv: one row per (entry, seed, data_seed, epochs_factor, true class, predicted class) with at least one
#: test image.
CONFUSION = {
    "entry": "As in confirm.csv, without the teacher and without runs of versions before this file.",
    "seed": "As in confirm.csv.",
    "data_seed": "As in confirm.csv.",
    "class_id": "True label, from 0.",
    "predicted_id": "Label that the student predicted, from 0.",
    "n": "Test images of the true class with the predicted label.",
    "epochs_factor": "As in confirm.csv.",
}

#: separability.csv: one row per (entry, seed, data_seed, epochs_factor, class), distances between a student's
#: penultimate features.
SEPARABILITY = {
    "entry": "As in confusion.csv.",
    "seed": "As in confirm.csv.",
    "data_seed": "As in confirm.csv.",
    "class_id": "Label, from 0.",
    "deviation": "Distance between the class's mean feature over training images and over test images.",
    "intra": "Root mean square distance of the class's test images from their mean feature.",
    "inter": "Mean distance from the class's mean feature over test images to the mean features of the other classes.",
    "epochs_factor": "As in confirm.csv.",
}

#: ablation.csv: one row per (change of best1, seed, set on which it was judged), best1 itself first.
ABLATION = {
    "kind": "best1 (nothing is changed), knob (put back to its reference value) or part (taken out of the method).",
    "change": "Name of the knob or of the part (trainables/cckd/methods.py); best1 where nothing is changed.",
    "seed": "Training seed, the confirmation's first; best1 has twice as many as each change, and shares the first.",
    "judged_on": "val or test: the set on which the run was judged after its last epoch.",
    "balanced_accuracy": "Mean per-class recall on that set; empty where the run failed.",
    "many": "Mean recall on that set over classes with more than 100 training images; empty as above.",
    "medium": "Mean recall on that set over classes with 20 to 100 training images; empty as above.",
    "few": "Mean recall on that set over classes with fewer than 20 training images; empty as above.",
    "cause": "Why the run failed for good, as in trials.csv; else empty.",
    "trial": "Optuna trial number of best1.",
    "value": "The knob's value in best1; empty where no knob is put back.",
    "reference": "The value to which the knob is put back; empty as above.",
}

#: Key of study.json: what the ablation trains. `trial` of best1, `seeds`, and `changes`, each with the kind and name of
#: the change, the knob's value and reference, and the flat configuration without its seed.
ABLATED = "ablation"

#: Files of a study folder, relative to it.
MANIFEST = "study.json"
MANIFEST_BEFORE = ".study.json.before"
CONFIG = "study.yaml"
#: A copy of the file of study.ingest from which the study has started warm. It is read where a driver died
#: before it made study.db, and not again.
EVIDENCE = "evidence.json"
DATABASE = "study.db"
IMAGE_FILES = "files.safetensors"
TRIALS = "trials.csv"
EPOCHS = "epochs.parquet"
FINALISTS_CSV = "finalists.csv"
BASELINES_CSV = "baselines.csv"
CONFIRM_CSV = "confirm.csv"
CLASSES_CSV = "classes.csv"
CONFUSION_CSV = "confusion.csv"
SEPARABILITY_CSV = "separability.csv"
ABLATION_CSV = "ablation.csv"
MODELS = "models"
REPORT = "report"
EXPORT = "export"
CHECKPOINTS = "checkpoints"
RAY = "ray"
LOG = "run.log"


def sqlite_url(path: Path) -> str:
    """Return SQLAlchemy's URL of a SQLite file, whatever its folder is called.

    SQLAlchemy 2.1 quotes a path in a URL. Before, it did not, and a question mark needs SQLite's own form of a URI.
    """
    from sqlalchemy.engine import URL, make_url  # `study.status` does without it

    database = str(path.absolute())
    for url in (f"sqlite:///{database}", URL.create("sqlite", database=database).render_as_string()):
        if make_url(url).database == database:
            return url
    return f"sqlite:///file:{quote(database)}?uri=true"


def n_ended(counts: Mapping[str, int]) -> int:
    """Return how many trials have ended, by `counts`: state -> trials, as in study.json and in the ledger."""
    return sum(n for state, n in counts.items() if state != "running")


def lost_database(folder: Path, manifest: Mapping[str, Any]) -> str | None:
    """Return what is wrong where a study has lost its study.db; None where it has one, or never needed one.

    A driver that died before it made the file has no trial that ended. An empty file holds no more than none.
    """
    database = folder / DATABASE
    exists = database.exists()
    if exists and database.stat().st_size:
        return None
    counts = manifest.get("counts")
    ended = n_ended(counts) if isinstance(counts, dict) else 0
    if not ended:
        return None
    trials = "1 trial has" if ended == 1 else f"{ended} trials have"
    return (
        f"{database} must hold the trials of the study; it is {'empty' if exists else 'missing'}, and {trials} ended; "
        "choices: restore it from a copy, or start a new study by another --name"
    )


def links_out(folder: Path) -> list[str]:
    """Return the links in a study folder that lead out of it. A study makes none; following one leaves the folder."""
    entries = (Path(path, name) for path, folders, files in os.walk(folder) for name in (*folders, *files))
    home = folder.resolve()
    strays = (entry for entry in entries if entry.is_symlink() and not entry.resolve().is_relative_to(home))
    return sorted(entry.relative_to(folder).as_posix() for entry in strays)
