"""How the search went: its history, and what became of every trial."""

from math import isfinite

import pandas as pd

from analysis.figures.history import draw_history, draw_spending
from analysis.figures.plotly_figures import MOST_LINES, history_lines, parallel_coordinates
from analysis.page.document import Block, Paragraph, Section
from analysis.page.writer import Writer
from analysis.reading.study_data import Study
from analysis.reading.wording import listing, percent, plural
from analysis.search.history import history, pruned_at, state_counts, time_to_best

_FEWEST_LINES = 3


def search_section(study: Study, writer: Writer) -> Section:
    """Return the history figure, the table of states and the failures' causes."""
    blocks: list[Block] = []
    table = history(study)
    if table["value"].notna().any():
        reference = table.loc[(table["kind"] == "reference") & (table["state"] == "COMPLETE"), "value"]
        n_sobol = int(table.loc[table["kind"] == "sobol", "number"].max()) if "sobol" in set(table["kind"]) else 0
        best = study.best
        reached = f"best complete trial {best.number} at {percent(best.value)} %" if best else "no complete trial yet"
        blocks.append(
            writer.picture(
                "history",
                draw_history(table, n_sobol=n_sobol, reference=reference.iloc[0] if len(reference) else None),
                table,
                alt=f"Validation balanced accuracy of {plural(len(table), 'trial')} in order; {reached}.",
                caption=(
                    "Validation balanced accuracy of every trial after its last evaluated epoch. A pruned trial's "
                    "value is that of the rung it was stopped at. The best so far counts complete trials only."
                ),
            )
        )
    if table["best_so_far"].notna().any() and table["duration_s"].sum() > 0:
        blocks.append(_spending(table, writer))
    if len(study.trials) > 1 and table["value"].notna().any():
        blocks += _asked(study, table, writer)
    blocks.append(_states(study, writer))
    stopped = pruned_at(study)
    if stopped:
        told = listing([f"{n} at epoch {epoch}" for epoch, n in stopped])
        blocks.append(Paragraph(f"The {study.manifest['plan'].get('pruner', '')} pruner stopped {told}."))
    return Section("search", "How the search went", tuple(blocks))


def _spending(table: pd.DataFrame, writer: Writer) -> Block:
    """What the time bought."""
    total, soon = table["spent_s"].max() / 60, time_to_best(table) / 60
    told = f"the best so far came within a point of its last value after {soon:.1f} of {total:.1f} minutes"
    return writer.picture(
        "spending",
        draw_spending(table),
        table[["number", "state", "value", "best_so_far", "duration_s", "spent_s"]],
        alt=f"Best validation balanced accuracy so far against training time: {told}.",
        caption=(
            "The same against the time that trials trained, in order of their numbers, pruned and failed ones "
            f"included: {told}. Trials run side by side, so the search itself took less."
        ),
    )


def _asked(study: Study, table: pd.DataFrame, writer: Writer) -> list[Block]:
    """The figures a reader can ask: which trial is which, and what the good ones have in common."""
    params = pd.DataFrame([{"number": trial.number, **trial.params} for trial in study.trials])
    numbers = table[["number", "state", "value"]].merge(params, on="number")
    hover = writer.interactive(
        "trials",
        history_lines(study.trials),
        numbers,
        alt=f"Last validation balanced accuracy of {plural(len(study.trials), 'trial')}, with each configuration.",
        caption="The same trials to point at: state, value and configuration of each. Drag to enlarge a part.",
        height_px=380,
        width_px=340,
    )
    shown = [trial for trial in study.complete if trial.value is not None and isfinite(trial.value)]
    if len(shown) < _FEWEST_LINES:
        return [hover]
    names = [knob.name for knob in study.knobs]
    left_out = f" The best {MOST_LINES} of {len(shown)} are drawn." if len(shown) > MOST_LINES else ""
    lines = writer.interactive(
        "parallel",
        parallel_coordinates(shown, study.knobs),
        numbers[numbers["state"] == "COMPLETE"],
        alt=f"Parallel coordinates of {plural(len(shown), 'complete trial')}: {', '.join(names)}.",
        caption=(
            "A line is a complete trial, from yellow-green (high rank) to violet (low). Every axis has the knob's own "
            "scale and range; a choice has a place each. Drag a box over an axis to keep the trials that pass through "
            f"it, over several to combine them; double-click to start again.{left_out}"
        ),
        height_px=420,
        width_px=max(340, 84 * (len(study.knobs) + 1)),
        brush=True,
    )
    return [hover, lines]


def _states(study: Study, writer: Writer) -> Block:
    counts = state_counts(study)
    table = history(study)
    seconds = {state: float(table.loc[table["state"] == state, "duration_s"].sum()) for state in counts}
    raw = pd.DataFrame({"state": list(counts), "trials": list(counts.values()), "seconds": list(seconds.values())})
    planned = study.manifest["plan"]["trials"]
    return writer.table(
        "states",
        raw,
        columns=("state", "trials", "minutes of training"),
        rows=[(state.lower(), str(n), f"{seconds[state] / 60:.1f}") for state, n in counts.items()],
        caption=f"What became of the {len(study.trials)} of {planned} planned trials.",
    )
