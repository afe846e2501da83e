"""The tuned baselines: the budget and the choice of each search, and its gain on test."""

import pandas as pd

from analysis.page.document import Block
from analysis.page.writer import Writer
from analysis.reading.study_data import StudyData
from analysis.reading.wording import MISSING, listing, percent, points, span, value_text
from analysis.results.accuracies import scores
from analysis.results.tuned_baselines import chooses_by_fresh_runs, tuned_baselines

_STATES = (("COMPLETE", "complete"), ("PRUNED", "pruned"), ("FAIL", "failed"), ("RUNNING", "running"))


def tuned_baseline_blocks(study: StudyData, writer: Writer) -> list[Block]:
    """Return the table of tuned baselines; nothing where none is tuned."""
    found = tuned_baselines(study, scores(study))
    if not found:
        return []
    by_fresh_runs = ", and the same choice among finalists by fresh runs on validation"
    fresh = by_fresh_runs if chooses_by_fresh_runs(study) else ""
    raw, cells = [], []
    for item in found:
        gain = item.gain
        states = [f"{item.counts[state]} {label}" for state, label in _STATES if item.counts.get(state)]
        knobs = [f"{knob} {value_text(value, digits=3)}" for knob, value in item.params.items()]
        fresh = f"{percent(item.fresh)} ({item.n_fresh} runs)" if item.n_fresh else MISSING
        gained = f"{points(gain.mean)} ({span(gain)}, n {gain.n})" if gain.n else MISSING
        raw.append(
            {
                "baseline": item.name,
                **{label: item.counts.get(state, 0) for state, label in _STATES},
                "chosen_trial": item.chosen,
                **{f"chosen_{knob}": value for knob, value in item.params.items()},
                "val_in_search": item.searched,
                "val_fresh": item.fresh,
                "n_fresh": item.n_fresh,
                **{f"bought_{part}": getattr(gain, part) for part in ("mean", "low", "high", "n")},
            }
        )
        cells.append(
            {
                "baseline": item.name,
                "trials": listing(states),
                "chosen": MISSING if item.chosen is None else f"{item.name}-{item.chosen}",
                "its knobs": ", ".join(knobs) or MISSING,
                "val, in the search (%)": percent(item.searched),
                "val, fresh runs (%)": fresh,
                "tuned minus reference on test (points, 95 % interval)": gained,
            }
        )
    return [
        writer.table(
            "tuned_baselines",
            pd.DataFrame(raw),
            columns=tuple(cells[0]),
            rows=[tuple(row.values()) for row in cells],
            wordy=True,
            caption=(
                f"The baselines that were tuned as {study.space.method} was: one search each, planned with as many "
                f"trials, the same sampler, pruner and epochs{fresh}. The last column is the tuned entry minus the "
                "same method at its reference values, paired by seed. study.replay takes the names in the column "
                "'chosen'."
            ),
        )
    ]
