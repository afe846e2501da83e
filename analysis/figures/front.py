"""Two objectives against each other, with the front as a line."""

from matplotlib.figure import Figure

from analysis.page.style import BLACK, BLUE, GREEN, ORANGE, POINTS, SKY, VERMILION, canvas, place_legend
from analysis.search.front import Front


def draw_front(front: Front) -> Figure:
    """Draw every complete trial; the front is joined, its knee and ends are marked."""
    scale = 1 if front.is_seconds else 100
    marks = {"": ("complete trial", SKY, "o"), "front": ("on the front", BLUE, "o"), "knee": ("knee", VERMILION, "D")}
    ends = sorted(role for role in set(front.points["role"]) if role.startswith("best "))
    for role, (colour, marker) in zip(ends, ((GREEN, "^"), (ORANGE, "s")), strict=False):
        marks[role] = (role, colour, marker)
    with canvas(5.2, 3.9) as (figure, axes):
        axes.plot(100 * front.members["all"], scale * front.members["second"], color=BLACK, lw=1.0, zorder=2)
        for role, (label, colour, marker) in marks.items():
            rows = front.points[front.points["role"] == role]
            if len(rows):
                look = POINTS | {"color": colour, "marker": marker, "s": 56 if role else 24}
                axes.scatter(100 * rows["all"], scale * rows["second"], label=label, **look)
        unit = front.second if front.is_seconds else f"{front.second}, validation recall (%)"
        axes.set(xlabel="all classes, validation balanced accuracy (%)", ylabel=unit)
        axes.grid()
        place_legend(axes, columns=3)
    return figure
