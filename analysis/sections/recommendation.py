"""What to use: the searched best as a command to paste, its configuration, and how far to trust it."""

import json
import os
import shlex
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.page.document import Block, Code, Paragraph, Section
from analysis.page.writer import Writer
from analysis.reading.study_data import Study
from analysis.reading.wording import mean_sd, percent
from analysis.results.ladder import BEST, paired_gain, primary_family, scores
from analysis.sections.model_loading import loading_lines


def recommendation_section(study: Study, writer: Writer) -> Section:
    """Return the best trial's replay command, its flat configuration and its `--set` flags."""
    title = "Recommended configuration"
    if study.best is None:
        return Section("recommendation", title, (Paragraph("There is none: no trial is complete."),))
    number, config = _chosen(study)
    searched = {name: config[name] for name in (knob.name for knob in study.knobs) if name in config}
    folder = shlex.quote(_shown(study.folder))
    blocks: list[Block] = [
        Paragraph(_trust(study)),
        *loading_lines(study.folder, BEST),
        Code("Train it again, from the row of the study", f"python -m study.replay {folder} {number}"),
        Code("The whole configuration", json.dumps(config, indent=2)),
        Code(
            "Its searched values as fixed knobs, for a space that does not search them",
            " ".join(f"--set {name}={_flag(value)}" for name, value in searched.items()),
        ),
    ]
    if study.chosen_from:
        blocks.insert(1, _finalists(study, writer))
    return Section("recommendation", title, tuple(blocks))


def _finalists(study: Study, writer: Writer) -> Block:
    """How the choice was made: each finalist's fresh runs beside the single score that nominated it."""
    kinds = {trial.number: str(trial.user_attrs.get("kind", "")) for trial in study.trials}
    found = study.chosen_from
    raw = [(item.trial, item.fresh.n, item.fresh.mean, item.fresh.sd, item.searched) for item in found]
    return writer.table(
        "finalists",
        pd.DataFrame(raw, columns=["trial", "n", "val_mean", "val_sd", "val_in_search"]),
        columns=("trial", "proposed by", "fresh runs", "val, fresh runs (%)", "val, in the search (%)"),
        rows=[
            (
                str(item.trial),
                kinds.get(item.trial, ""),
                str(item.fresh.n),
                mean_sd(item.fresh),
                percent(item.searched),
            )
            for item in found
        ],
        caption=(
            f"The finalists, best first: {BEST} is the one with the best mean over fresh training seeds (± sd). The "
            "single score that nominated a trial does not count, since the best of many is a lucky one."
        ),
        strong=(0,),
    )


def _chosen(study: Study) -> tuple[int, dict[str, Any]]:
    confirmed = study.manifest.get("confirm_entries", {}).get(BEST)
    if confirmed:
        return int(confirmed["trial"]), dict(confirmed["config"])
    assert study.best is not None
    return study.best.number, dict(study.space.config(study.best.params))


def _trust(study: Study) -> str:
    table = scores(study)
    family = primary_family(table)
    if not family:
        return "The best complete trial on validation. It is not confirmed: treat it as a candidate."
    lost = [item.baseline for item in family if item.verdict == "loss"]
    if lost:
        return f"The best of the search, but worse than {lost[0]} on test: prefer {lost[0]}."
    method = study.space.method
    if paired_gain(table, BEST, method).verdict == "loss":
        return f"The best of the search, but worse than {method} at its reference point on test: prefer that."
    if all(item.verdict == "gain" for item in family):
        return "Chosen on validation, confirmed on test with fresh seeds."
    return "Chosen on validation; on test it is not shown to be better than every baseline (see the first screen)."


def _shown(folder: Path) -> str:
    """The folder as a user in the current directory would type it; above that, the full path."""
    relative = os.path.relpath(folder.resolve())
    return str(folder.resolve()) if relative.startswith(os.pardir) else relative


def _flag(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return shlex.quote(repr(value) if isinstance(value, float) else str(value))
