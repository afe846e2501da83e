"""The recommendation: best1 as a command and a configuration, its exported model, and how far to trust it."""

import json
import os
import shlex
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.page.document import Block, Code, Paragraph, Section, fold
from analysis.page.writer import Writer
from analysis.reading.knob_text import point_line
from analysis.reading.study_data import StudyData
from analysis.reading.study_folder import StudyFolderError
from analysis.reading.wording import mean_sd, percent, points
from analysis.results.accuracies import scores
from analysis.results.claim_sentences import chosen_by
from analysis.results.comparisons import claim_terms, paired_gain, primary_family
from analysis.results.entries import BEST
from analysis.results.training_length import check_length
from study.schema import MODELS

#: What best1's searched values are good for beside `study.replay`.
_AS_POINT = "Its searched values as a file for --points, for another study in this space"


def recommendation_section(study: StudyData, writer: Writer) -> Section:
    """Return the best trial's replay command, its flat configuration and its point."""
    title = "Recommended configuration"
    if study.best is None:
        return Section("recommendation", title, (Paragraph("There is none: no trial is complete."),))
    number, config = _chosen(study)
    searched = {knob.name: config[knob.name] for knob in study.knobs if knob.name in config}
    folder = shlex.quote(_shown(study.folder))
    blocks: list[Block] = [
        Paragraph(_trust(study)),
        Code("Train it again, from the row of the study", f"python -m study.replay {folder} {number}"),
        *([] if searched == study.space.reference_point() else [Code(_AS_POINT, point_line(searched))]),
        *fold("Load its trained student", loading_lines(study.folder, BEST)),
        *fold("The whole configuration", [Code("As JSON", json.dumps(config, indent=2))]),
    ]
    if study.ranked_finalists:
        blocks += fold("The finalists", [_finalists(study, writer)])
    return Section("recommendation", title, tuple(blocks))


def _finalists(study: StudyData, writer: Writer) -> Block:
    """Return the finalists: their fresh runs beside the single score that nominated them."""
    kinds = {trial.number: str(trial.user_attrs.get("kind", "")) for trial in study.trials}
    found = study.ranked_finalists
    raw = [(item.trial, item.fresh.n, item.fresh.mean, item.fresh.sd, item.searched) for item in found]
    strong = [index for index, item in enumerate(found) if study.best and item.trial == study.best.number]
    among = " among those that keep the guards" if study.manifest["plan"].get("guards") and strong != [0] else ""
    return writer.table(
        "finalists",
        pd.DataFrame(raw, columns=["trial", "n", "val_mean", "val_sd", "val_in_search"]),
        columns=("trial", "proposed by", "fresh runs", "val, fresh runs (%)", "val, in the search (%)"),
        rows=[
            (str(item.trial), kinds.get(item.trial, ""), str(item.fresh.n), mean_sd(item.fresh), percent(item.searched))
            for item in found
        ],
        caption=(
            f"The finalists, best first: {BEST} is the one with the best mean over fresh training seeds (± sd){among}. "
            "The single score that nominated a trial does not count, since the best of many scores owes a part to "
            "chance."
        ),
        strong=strong,
    )


def _chosen(study: StudyData) -> tuple[int, dict[str, Any]]:
    confirmed = study.manifest.get("confirm_entries", {}).get(BEST)
    if confirmed:
        return int(confirmed["trial"]), dict(confirmed["config"])
    assert study.best is not None
    return study.best.number, dict(study.space.config(study.best.params))


def _trust(study: StudyData) -> str:
    table = scores(study)
    family = primary_family(table, claim_terms(study))
    if not family:
        return f"Chosen {chosen_by(study)}. It is not confirmed: treat it as a candidate."
    check = check_length(study)
    claimed = {item.baseline: item.verdict for item in family if not check.climbing(BEST, item.baseline)}
    lost = [name for name, verdict in claimed.items() if verdict == "loss"]
    if lost:
        return f"The best of the search, but worse than {lost[0]} on test: prefer {lost[0]}."
    method = study.space.method
    tested = {item.baseline for item in family}
    if method not in tested and (tuned := paired_gain(table, BEST, method)).high < 0:
        return (
            f"The best of the search, but {method} at its reference point stands {points(-tuned.mean)} points above it "
            f"on test (95 % interval {points(-tuned.high)} to {points(-tuned.low)}; not tested): consider that."
        )
    if all(claimed.get(name) == "gain" for name in tested):
        return "Chosen on validation, confirmed on test with fresh seeds."
    return "Chosen on validation; on test no gain over every baseline is claimed (see the first screen)."


def _shown(folder: Path) -> str:
    """The folder as a user in the current directory would type it; above that, the full path."""
    relative = os.path.relpath(folder.resolve())
    return str(folder.resolve()) if relative.startswith(os.pardir) else relative


def loading_lines(folder: Path, entry: str) -> tuple[Code, ...]:
    """Return the lines of Python that load the model of `entry`; nothing where none was exported with such lines.

    Raises:
        StudyFolderError: models/<entry>.json cannot be read.
    """
    path = folder / MODELS / f"{entry}.json"
    if not path.is_file():
        return ()
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        lines = [str(line) for line in about.get("load", ())]
        keys = ("input_shape", "pixel_mean", "pixel_std")
        shape, mean, std = (", ".join(f"{value:.4g}" for value in about[key]) for key in keys)
        recipe = f"# for images ({shape}): {about['preprocessing']}; pixel_mean {mean}; pixel_std {std}"
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StudyFolderError(f"{path} does not describe a model: {error!r}") from error
    if not lines:
        return ()
    needs = "timm and this package" if any("trainables" in line for line in lines) else "timm alone"
    title = f"Load its trained student in Python with {needs}, from the study's folder {MODELS}"
    return (Code(title, "\n".join([*lines, recipe])),)
