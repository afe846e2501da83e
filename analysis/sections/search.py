"""How the search went: its history, the states of its trials, the front of two objectives, and the failures."""

from collections.abc import Sequence
from functools import partial

import pandas as pd

from analysis.figures.front import draw_front
from analysis.figures.history import draw_history, draw_spending
from analysis.figures.plotly_figures import MOST_LINES, history_lines, parallel_coordinates
from analysis.page.document import Block, Gallery, Interactive, Note, Paragraph, Picture, Section, fold
from analysis.page.writer import Writer
from analysis.reading.study_data import StudyData
from analysis.reading.wording import listing, percent, plural, time_unit, value_text
from analysis.search.front import read_front
from analysis.search.history import SPREAD, failed_runs, failure_causes, history, pruned_at, state_counts, time_to_best
from analysis.search.trial_matrix import scored

_FEWEST_LINES = 3
_MOST_NAMED = 8


def search_section(study: StudyData, writer: Writer) -> Section:
    """Return the figures of the history, the table of states and the trials that the pruner stopped."""
    pictures: list[Picture] = []
    table = history(study)
    if table["value"].notna().any():
        reference = table.loc[(table["kind"] == "reference") & (table["state"] == "COMPLETE"), "value"]
        spread = table.loc[table["kind"].isin(SPREAD), "number"]
        ends = (int(spread.min()), int(spread.max())) if len(spread) else None
        best = study.best
        reached = f"best complete trial {best.number} at {percent(best.value)} %" if best else "no complete trial yet"
        pictures.append(
            writer.picture(
                "history",
                partial(draw_history, table, spread=ends, reference=reference.iloc[0] if len(reference) else None),
                table,
                alt=f"Validation balanced accuracy of {plural(len(table), 'trial')} in order; {reached}.",
                caption=(
                    "Validation balanced accuracy of every trial after its last evaluated epoch. A pruned trial's "
                    "value is its value at the rung where it was stopped. The best so far counts complete trials only. "
                    "An arrow stands for a value beyond the axis."
                ),
            )
        )
    if table["best_so_far"].notna().any() and table["duration_s"].sum() > 0:
        pictures.append(_spending(table, writer))
    blocks: list[Block] = [Gallery(tuple(pictures))] if pictures else []
    stopped = pruned_at(study)
    if stopped:
        where = listing([f"{n} at epoch {epoch}" for epoch, n in stopped])
        blocks.append(Paragraph(f"The {study.manifest['plan'].get('pruner', '')} pruner stopped {where}."))
    if len(study.trials) > 1 and table["value"].notna().any():
        blocks += fold("Every trial, to point at and to filter", _interactive(study, table, writer))
    blocks += fold("The states of the trials", [_states(study, writer)])
    return Section("search", "How the search went", tuple(blocks))


def _spending(table: pd.DataFrame, writer: Writer) -> Picture:
    """The best so far against the time of training."""
    unit_s, unit = time_unit(table["spent_s"].max())
    total, soon = table["spent_s"].max() / unit_s, time_to_best(table) / unit_s
    reached = f"the best so far came within a point of its last value after {soon:.1f} of {total:.1f} {unit}"
    return writer.picture(
        "spending",
        partial(draw_spending, table),
        table[["number", "state", "value", "best_so_far", "duration_s", "spent_s"]],
        alt=f"Best validation balanced accuracy so far against training time: {reached}.",
        caption=(
            "The same against the training time of the trials, in order of their numbers, pruned and failed ones "
            f"included: {reached}. Trials run side by side, so the search itself took less."
        ),
    )


def _interactive(study: StudyData, table: pd.DataFrame, writer: Writer) -> list[Interactive]:
    """The interactive figures: each trial's configuration, and what the good trials have in common."""
    params = pd.DataFrame([{"number": trial.number, **trial.params} for trial in study.trials])
    numbers = table[["number", "state", "value"]].merge(params, on="number")
    hover = writer.interactive(
        "trials",
        history_lines(study.trials),
        numbers,
        alt=f"Last validation balanced accuracy of {plural(len(study.trials), 'trial')}, with each configuration.",
        caption="The same trials with a hover text: state, value and configuration. Drag to enlarge a part.",
        height_px=380,
        width_px=340,
    )
    shown = scored(study)
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
            "Each line is a complete trial, from yellow-green (high rank) to violet (low). The first is the value; "
            "every other axis has the knob's own scale and range, with one place per choice. Drag a box over an axis "
            "to keep the trials that pass through it. Boxes on several axes combine; double-click to start again."
            f"{left_out}"
        ),
        height_px=460,
        width_px=max(340, 72 * (len(study.knobs) + 1)),
        brush=True,
    )
    return [hover, lines]


def _states(study: StudyData, writer: Writer) -> Block:
    counts = state_counts(study)
    table = history(study)
    seconds = {state: float(table.loc[table["state"] == state, "duration_s"].sum()) for state in counts}
    raw = pd.DataFrame({"state": list(counts), "trials": list(counts.values()), "seconds": list(seconds.values())})
    planned = study.manifest["plan"]["trials"]
    unit_s, unit = time_unit(sum(seconds.values()))
    return writer.table(
        "states",
        raw,
        columns=("state", "trials", f"{unit} of training"),
        rows=[(state.lower(), str(n), f"{seconds[state] / unit_s:.1f}") for state, n in counts.items()],
        caption=f"The states of the {len(study.trials)} of {planned} planned trials.",
    )


def front_section(study: StudyData, writer: Writer) -> Section | None:
    """Return the figure and the table of the front; None where the search has one objective."""
    front = read_front(study)
    if front is None:
        return None
    names = [knob.name for knob in study.knobs]
    params = {trial.number: trial.params for trial in study.complete}
    members = front.members
    within_guards = " that keeps the guards" if study.manifest["plan"].get("guards") else ""
    better = "less is better" if front.is_seconds else "more is better"
    picture = writer.picture(
        "front",
        partial(draw_front, front),
        front.points,
        alt=f"All classes against {front.second} of {plural(len(front.points), 'complete trial')}; "
        f"{len(members)} on the front.",
        caption=(
            f"Both objectives of every complete trial on validation ({front.second}: {better}). No "
            f"trial{within_guards} lies above a trial on the line in both. The knee is the point nearest to the best "
            "of both, in units of the front's extent. Every point is a single run, and the best of many runs owe a "
            "part to chance: the confirmation measures what remains on test."
        ),
    )
    rows = [
        (
            str(trial),
            role,
            percent(all_classes),
            front.value_text(second),
            *(value_text(params[trial].get(name), digits=3) for name in names),
        )
        for trial, all_classes, second, role in members.itertuples(index=False)
    ]
    table = writer.table(
        "front_members",
        members.merge(pd.DataFrame([{"trial": number, **known} for number, known in params.items()]), on="trial"),
        columns=("trial", "place", "all (%)", front.second, *names),
        rows=rows,
        caption="The trials on the front; the knee and the ends are confirmed as best1, best2 and best3.",
    )
    return Section("front", "Two objectives", (picture, *fold("The trials on the front", [table])))


def failure_blocks(study: StudyData, writer: Writer) -> list[Block]:
    """Return a sentence on failures and, where something failed, one table for the search and one for later phases."""
    return [*_failed_trials(study, writer), *_failed_run_blocks(study, writer)]


def _failed_trials(study: StudyData, writer: Writer) -> list[Block]:
    counts, causes = state_counts(study), failure_causes(study)
    if not causes:
        return [Paragraph(f"What failed? Nothing of {plural(len(study.trials), 'trial')}.")]
    caption = "Failed trials by cause. They count towards the total, but are in no table or figure of values."
    return [
        Paragraph(f"What failed? {counts['FAIL']} of {plural(len(study.trials), 'trial')}, for these causes."),
        _cause_table("failures", causes, ("trials", "number"), caption, writer),
    ]


def _failed_run_blocks(study: StudyData, writer: Writer) -> list[Block]:
    causes = failed_runs(study)
    if not causes:
        return []
    n_failed = sum(len(names) for _, names in causes)
    caption = "Runs of the later phases that failed for good, by cause; a candidate is one of the selection."
    return [
        Note(
            f"After the search {plural(n_failed, 'run')} of the later phases failed for good: a candidate with a "
            "failed run cannot be chosen. A diverged run of the confirmation or the ablation counts at chance, a lost "
            "one is missing."
        ),
        _cause_table("failed_runs", causes, ("runs", "named"), caption, writer),
    ]


def _cause_table(
    name: str, causes: Sequence[tuple[str, list[str]]], heads: tuple[str, str], caption: str, writer: Writer
) -> Block:
    """Return one row per cause: the number of failures and the first of their names; the file has all names."""
    raw = [(cause, len(names), " ".join(names)) for cause, names in causes]
    rows = []
    for cause, names in causes:
        more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
        rows.append((str(len(names)), ", ".join(names[:_MOST_NAMED]) + more, cause))
    frame = pd.DataFrame(raw, columns=["cause", "n", heads[0]])
    return writer.table(name, frame, columns=(*heads, "cause"), rows=rows, caption=caption, wordy=True)
