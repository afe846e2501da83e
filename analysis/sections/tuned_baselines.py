"""The tuned baselines: what each search spent, chose, and was worth on test."""

import pandas as pd

from analysis.page.document import Block
from analysis.page.writer import Writer
from analysis.reading.study_data import Study
from analysis.reading.wording import MISSING, listing, percent, points, span
from analysis.results.ladder import scores
from analysis.results.tuned_baselines import tuned_baselines

_STATES = (("COMPLETE", "complete"), ("PRUNED", "pruned"), ("FAIL", "failed"), ("RUNNING", "running"))


def rival_blocks(study: Study, writer: Writer) -> list[Block]:
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
            "bought_mean": item.bought.mean,
            "bought_low": item.bought.low,
            "bought_high": item.bought.high,
            "bought_n": item.bought.n,
        }
        for item in found
    ]
    rows = [
        (
            item.name,
            listing([f"{item.counts[state]} {label}" for state, label in _STATES if item.counts.get(state)]),
            MISSING if item.chosen is None else f"{item.name}-{item.chosen}",
            ", ".join(f"{knob} {_shown(value)}" for knob, value in item.params.items()) or MISSING,
            percent(item.searched),
            MISSING if not item.n_fresh else f"{percent(item.fresh)} ({item.n_fresh} runs)",
            MISSING if not item.bought.n else f"{points(item.bought.mean)} ({span(item.bought)}, n {item.bought.n})",
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
                "what tuning bought on test (points, 95 % interval)",
            ),
            rows=rows,
            wordy=True,
            caption=(
                f"The baselines that were tuned as {study.space.method} was: a search each with as many trials, the "
                "same sampler, pruner and epochs, and the same choice among finalists by fresh runs on validation. The "
                "last column is the tuned entry minus the same method at its reference values, paired by seed. "
                "study.replay takes the names in the column 'chosen'."
            ),
        )
    ]


def _shown(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
