"""The tuned baselines: the budget and the choice of each search, and its gain on test."""

import pandas as pd

from analysis.page.document import Block
from analysis.page.writer import Writer
from analysis.reading.study_data import StudyData
from analysis.reading.wording import MISSING, listing, percent, points, span, value_text
from analysis.results.accuracies import scores
from analysis.results.tuned_baselines import tuned_baselines

_STATES = (("COMPLETE", "complete"), ("PRUNED", "pruned"), ("FAIL", "failed"), ("RUNNING", "running"))


def tuned_baseline_blocks(study: StudyData, writer: Writer) -> list[Block]:
    """Return the table of tuned baselines; nothing where none is tuned."""
    found = tuned_baselines(study, scores(study))
    if not found:
        return []
    raw = [
        {
            "baseline": item.name,
            **{label: item.counts.get(state, 0) for state, label in _STATES},
            "chosen_trial": item.chosen,
            **{f"chosen_{knob}": value for knob, value in item.params.items()},
            "val_in_search": item.searched,
            "val_fresh": item.fresh,
            "n_fresh": item.n_fresh,
            "bought_mean": item.gain.mean,
            "bought_low": item.gain.low,
            "bought_high": item.gain.high,
            "bought_n": item.gain.n,
        }
        for item in found
    ]
    rows = [
        (
            item.name,
            listing([f"{item.counts[state]} {label}" for state, label in _STATES if item.counts.get(state)]),
            MISSING if item.chosen is None else f"{item.name}-{item.chosen}",
            ", ".join(f"{knob} {value_text(value, digits=3)}" for knob, value in item.params.items()) or MISSING,
            percent(item.searched),
            MISSING if not item.n_fresh else f"{percent(item.fresh)} ({item.n_fresh} runs)",
            MISSING if not item.gain.n else f"{points(item.gain.mean)} ({span(item.gain)}, n {item.gain.n})",
        )
        for item in found
    ]
    return [
        writer.table(
            "tuned_baselines",
            pd.DataFrame(raw),
            columns=(
                "baseline",
                "trials",
                "chosen",
                "its knobs",
                "val, in the search (%)",
                "val, fresh runs (%)",
                "gain from tuning on test (points, 95 % interval)",
            ),
            rows=rows,
            wordy=True,
            caption=(
                f"The baselines that were tuned as {study.space.method} was: one search each with as many trials, the "
                "same sampler, pruner and epochs, and the same choice among finalists by fresh runs on validation. The "
                "last column is the tuned entry minus the same method at its reference values, paired by seed. "
                "study.replay takes the names in the column 'chosen'."
            ),
        )
    ]
