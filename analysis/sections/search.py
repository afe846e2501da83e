"""How the search went: its history, and what became of every trial."""

import pandas as pd

from analysis.document import Block, Paragraph, Section
from analysis.figures.history import draw_history
from analysis.search_history import history, pruned_at, state_counts
from analysis.tables import Study
from analysis.wording import listing, percent, plural
from analysis.writer import Writer


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
    blocks.append(_states(study, writer))
    stopped = pruned_at(study)
    if stopped:
        told = listing([f"{n} at epoch {epoch}" for epoch, n in stopped])
        blocks.append(Paragraph(f"The {study.manifest['plan'].get('pruner', '')} pruner stopped {told}."))
    return Section("search", "How the search went", tuple(blocks))


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
