"""The front of two objectives: the figure, and its trials in a table."""

import pandas as pd

from analysis.figures.front import draw_front
from analysis.page.document import Section
from analysis.page.writer import Writer
from analysis.reading.study_data import Study
from analysis.reading.wording import percent, plural
from analysis.results.front import Front


def front_section(study: Study, front: Front, writer: Writer) -> Section:
    """Return the front's figure and table."""
    names = [knob.name for knob in study.knobs]
    params = {trial.number: trial.params for trial in study.complete}
    members = front.members
    guarded = " that keeps the guards" if study.manifest["plan"].get("guards") else ""
    better = "less is better" if front.is_seconds else "more is better"
    picture = writer.picture(
        "front",
        draw_front(front),
        front.points,
        alt=f"All classes against {front.second} of {plural(len(front.points), 'complete trial')}; "
        f"{len(members)} on the front.",
        caption=(
            f"Both objectives of every complete trial on validation ({front.second}: {better}). No trial{guarded} "
            "beats one on the line in both. The knee is the point nearest to the best of both, in units of the front's "
            "extent. Every point is a single run, and the best of many are lucky: the confirmation tells what remains "
            "on test."
        ),
    )
    rows = [
        (
            str(trial),
            role,
            percent(all_classes),
            front.told(second),
            *(_shown(params[trial].get(name)) for name in names),
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
    return Section("front", "Two objectives", (picture, table))


def _shown(value: object) -> str:
    return "" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)
